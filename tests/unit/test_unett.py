"""E2-TTS's transformer: an item is the same alone and beside others and NaN, all of it learns, and its halves meet in order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fm_audio.backbones.unett import UNetT
from fm_audio.types import Cond, FmAudioError, length_mask

LENGTHS = torch.tensor([13, 16, 1, 3, 22])


@pytest.fixture
def net() -> UNetT:
    net = UNetT(32, 4, 2, position_kernel=7, position_groups=4, rotary_heads=1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def batch() -> tuple[Tensor, Tensor, Tensor]:
    mask = length_mask(LENGTHS, 26)
    return torch.randn(5, 26, 32).masked_fill(~mask[..., None], torch.nan), torch.rand(5), mask


@torch.no_grad()
def test_an_item_is_the_same_in_company(net: nn.Module) -> None:
    h, t, mask = batch()
    together = net(h, t, mask, Cond())
    order = torch.tensor([4, 2, 0, 3, 1])
    reordered = net(h[order], t[order], mask[order], Cond())
    for i, n in enumerate(LENGTHS.tolist()):
        row = slice(i, i + 1)
        alone = net(h[row, :n], t[row], mask[row, :n], Cond())
        for same in (together[row, :n], reordered[order.tolist().index(i)][None, :n]):
            assert (same - alone).abs().max() <= 1e-5 * alone.abs().max()


def test_everything_learns_and_padding_gets_no_gradient(net: nn.Module) -> None:
    h, t, mask = batch()
    h.requires_grad_()
    (net(h, t, mask, Cond())[mask] ** 3).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert h.grad is not None and h.grad[mask].any(-1).all() and not h.grad[~mask].any()


def test_the_last_layer_merges_with_the_first(net: UNetT) -> None:
    """With merges that keep nothing but what the first half kept, the last layer sees the input itself."""
    h, t, mask = torch.randn(1, 9, 32), torch.rand(1), torch.ones(1, 9, dtype=torch.bool)
    seen: list[Tensor] = []
    with torch.no_grad():
        for merge in net.merge:
            merge.weight.copy_(torch.cat([torch.zeros(32, 32), torch.eye(32)], 1))
    for layer in (net.first[0], net.second[-1]):
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(h, t, mask, Cond())
    assert len(seen) == 2 and torch.equal(seen[0], seen[1])


def test_an_odd_number_of_layers_is_refused() -> None:
    with pytest.raises(FmAudioError, match="even"):
        UNetT(32, 3, 2)
