"""Zipformer: an item is the same alone, padded, reordered and beside NaN; every parameter learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fm_audio.backbones.zipformer import Zipformer
from fm_audio.encoders.zipformer_text import ZipformerText, evenly
from fm_audio.types import Cond, FmAudioError, length_mask
from fm_audio.zipformer import Heads, between, offsets

# Odd, even, one frame, shorter than a group of the lowest rate, and the longest of the batch.
LENGTHS = (13, 16, 1, 3, 23)
HEADS = Heads(number=2, query_width=4, value_width=3, position_width=2, offsets_width=6)


def shaken(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net.eval()


def backbone() -> nn.Module:
    return shaken(Zipformer(16, (1, 2, 4, 2, 1), (1, 1, 1, 1, 1), (7, 5, 3, 5, 7), 24, HEADS, 8, 6))


def batch() -> tuple[Tensor, Tensor, Tensor, Cond]:
    b, n = len(LENGTHS), max(LENGTHS) + 6
    return torch.randn(b, n, 16), torch.rand(b), length_mask(torch.tensor(LENGTHS), n), Cond(vector=torch.randn(b, 6))


def test_the_backbone_is_the_same_alone_reordered_and_beside_nan() -> None:
    net, (h, t, mask, cond) = backbone(), batch()
    together = net(h, t, mask, cond)
    for k, n in enumerate(LENGTHS):
        row = slice(k, k + 1)
        alone = net(h[row, :n], t[row], mask[row, :n], cond.rows(row))
        assert (together[row, :n] - alone).abs().max() <= 1e-5 * alone.abs().max()
    order = torch.tensor([4, 2, 0, 3, 1])
    again = net(h[order], t[order], mask[order], cond.rows(order))
    torch.testing.assert_close(again[mask[order]], together[order][mask[order]], rtol=1e-5, atol=1e-5)
    dirty = h.masked_fill(~mask[..., None], torch.nan).requires_grad_()
    out = net(dirty, t, mask, cond)
    assert torch.equal(out[mask], together[mask])
    (out[mask] ** 3).sum().backward()
    assert dirty.grad is not None and not dirty.grad[~mask].any() and dirty.grad[mask].any(-1).all()
    unmoved = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()]
    assert not unmoved


def test_the_backbone_hears_time_and_vector() -> None:
    net, (h, t, mask, cond) = backbone(), batch()
    out = net(h, t, mask, cond)[mask]
    for other in (net(h, t.roll(1), mask, cond)[mask], net(h, t, mask, cond.null())[mask]):
        assert (other - out).abs().max() > 1e-3 * out.abs().max()
    with pytest.raises(FmAudioError, match="one for each stack"):
        Zipformer(16, (1, 2, 1), (1, 1), (3, 3, 3))


def test_the_text_is_the_same_alone_and_in_company() -> None:
    text = shaken(ZipformerText(9, 10, 12, 8, 2, 16, 3, HEADS))
    symbols = torch.tensor([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0], [5, 3, 5, 0, 0]])
    lengths, drop = torch.tensor([17, 9, 12]), torch.tensor([False, False, True])
    together = text(symbols, length_mask(lengths, 20), drop)
    for i, n in enumerate(lengths.tolist()):
        m = int((symbols[i] != 0).sum())
        alone = text(symbols[i : i + 1, :m], length_mask(lengths[i : i + 1]), drop[i : i + 1])[0]
        assert (together[i, :n] - alone).abs().max() <= 1e-5 * alone.abs().max().clamp(min=1e-6)
        assert not together[i, n:].any()
    assert not together[2].any() and together[1, :9].any(-1).all()


@pytest.mark.parametrize("symbols, frames", [(1, 7), (3, 7), (3, 3), (5, 23), (5, 4), (0, 4)])
def test_each_symbol_gets_as_many_whole_frames_as_there_are(symbols: int, frames: int) -> None:
    index = evenly(torch.tensor([symbols]), length_mask(torch.tensor([frames])))[0].tolist()
    each = frames // symbols if symbols else 0
    expected = [i for i in range(symbols) for _ in range(each)]
    assert index == expected + [symbols] * (frames - len(expected))


def test_scores_by_offset_come_to_lie_between_query_and_key() -> None:
    n = 5
    by_offset = torch.arange(1.0 - n, n).expand(1, 1, n, -1)
    expected = torch.arange(n)[None] - torch.arange(n)[:, None]
    assert torch.equal(between(by_offset)[0, 0], expected.float())
    assert between(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)
    places = offsets(400, 48, torch.device("cpu"))
    mirrored = places.flip(0)
    torch.testing.assert_close(places[:, :-1:2], mirrored[:, :-1:2])  # cosines are even,
    torch.testing.assert_close(places[:, 1:-1:2], -mirrored[:, 1:-1:2])  # sines are odd
    steps = places.diff(dim=0).norm(dim=1)
    assert steps[399] > 20 * steps[-1]
