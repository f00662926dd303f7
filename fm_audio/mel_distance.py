"""How far a decoded wave is from the one it was decoded from: log-mels at several window lengths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.types import Wave

LOSS_FLOOR = 1e-2
"""Below this magnitude (88 dB under a full sine) nothing is heard, and the logarithm's gradient would drown the rest."""


class MultiScaleMelLoss(nn.Module):
    """Mean absolute difference of log-mels at several window lengths, hop a quarter of the window (DAC, section 3.3).

    None of the windows by default is shorter than about two pitch periods: where the pulses of a steady vowel fall cannot be
    read from a mel, and a loss that sees single pulses teaches the decoder to make none.
    """

    def __init__(
        self,
        sample_rate: int,
        windows: Sequence[int] = (2048, 1024, 512),
        bands: Sequence[int] = (160, 100, 64),
    ) -> None:
        super().__init__()
        self.specs = [
            AudioSpec(sample_rate=sample_rate, n_fft=w, window_samples=w, hop_samples=w // 4, bands=m, log_floor=LOSS_FLOOR)
            for w, m in zip(windows, bands, strict=True)
        ]

    def forward(self, wave: Wave, decoded: Wave) -> Tensor:
        with torch.autocast(wave.device.type, enabled=False):
            terms = [(s.log_mel(wave.float()) - s.log_mel(decoded.float())).abs().mean() for s in self.specs]
        return torch.stack(terms).mean()
