"""Matcha-TTS's parts: an item is the same alone and beside others and NaN, at every length, and all of them learn as one task."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fm_audio.backbones.matcha import MatchaUNet
from fm_audio.data.text.matcha import SYMBOLS, MatchaPhones
from fm_audio.encoders.matcha import MatchaText
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.types import Cond, length_mask
from tests.unit.tasks.test_aligned_tts import SPEC, batch_of

LENGTHS = torch.tensor([13, 16, 1, 3, 22])


def shaken(net: nn.Module) -> nn.Module:
    """Moved off its start, where projections are zero and would hide what lies before them."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net.eval()


def same(company: torch.Tensor, alone: torch.Tensor) -> bool:
    return bool((company - alone).abs().max() <= 1e-5 * alone.abs().max())


@pytest.mark.parametrize("channels", [(16,), (16, 24), (16, 24, 8)])
@pytest.mark.parametrize("vector_width", [0, 6])
def test_the_unet_gives_an_item_the_same_in_company(channels: tuple[int, ...], vector_width: int) -> None:
    net = shaken(MatchaUNet(10, channels, middle=1, heads=1, head_width=8, vector_width=vector_width))
    mask, t = length_mask(LENGTHS, 26), torch.rand(5)
    h = torch.randn(5, 26, 10).masked_fill(~mask[..., None], torch.nan)
    vector = torch.randn(5, vector_width) if vector_width else None
    together = net(h, t, mask, Cond(vector=vector))
    assert together.shape == (5, 26, net.width)
    for i, n in enumerate(LENGTHS.tolist()):
        row = slice(i, i + 1)
        assert same(together[row, :n], net(h[row, :n], t[row], mask[row, :n], Cond(vector=vector).rows(row)))


def test_the_encoder_gives_an_item_the_same_in_company() -> None:
    net = shaken(MatchaText(len(SYMBOLS), 5, 4, width=12, layers=2, hidden=16, durations_width=8))
    mask, speaker = length_mask(LENGTHS), torch.randn(5, 4)
    symbols = torch.randint(len(SYMBOLS), mask.shape)
    together = net(symbols, mask, speaker)
    for i, n in enumerate(LENGTHS.tolist()):
        row = slice(i, i + 1)
        alone = net(symbols[row, :n], mask[row, :n], speaker[row])
        assert same(together.mean[row, :n], alone.mean) and same(together.log_durations[row, :n], alone.log_durations)


@pytest.mark.parametrize("given", [True, False])
def test_they_learn_as_one_task(given: bool) -> None:
    backbone = MatchaUNet(2 * SPEC.bands, (16, 16), middle=1, heads=1, head_width=8, vector_width=4)
    text = MatchaText(len(SYMBOLS), SPEC.bands, 4, width=12, layers=1, hidden=16, durations_width=8)
    task = AlignedTTS(
        SPEC, MatchaPhones(), backbone, ["a", "b"], 4, frames_per_token=1, text=text, projected=False, whole_durations=True
    )
    shaken(task).train()
    loss = task.loss(batch_of([(5, 21), (3, 14)], given))
    loss["loss"].backward()
    assert torch.isfinite(loss["loss"])
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters())
