"""Matcha-TTS's parts learn as one task."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fm_audio.backbones.matcha import MatchaUNet
from fm_audio.data.text.matcha import SYMBOLS, MatchaPhones
from fm_audio.encoders.matcha import MatchaText
from fm_audio.tasks.aligned_tts import AlignedTTS
from tests.unit.tasks.test_aligned_tts import SPEC, batch_of


def shaken(net: nn.Module) -> nn.Module:
    """Moved off its start, where projections are zero and would hide what lies before them."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net.eval()


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
