"""Aligned text: symbols and a speaker become one hidden vector, one mel mean and one duration per symbol (Matcha-TTS, Glow-TTS).

    hidden = blocks(embedding(symbols), speaker),   mean = W·hidden,   log duration = predictor(stop-gradient(hidden), speaker)

`frames` repeats hidden and mean by durations and adds, for each frame, the fraction of its symbol that has gone by and the log
of the symbol's length: the head's `Cond.frames`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fm_audio.encoders.alignment import expand
from fm_audio.encoders.predictor import Predictor
from fm_audio.layers import Block, Modulation, modulate


@dataclass(frozen=True)
class EncodedSymbols:
    """hidden (b m e); mean (b m bands), the prior of the mel frames; log_durations (b m), natural log of frames."""

    hidden: Float[Tensor, "b m e"]
    mean: Float[Tensor, "b m d"]
    log_durations: Float[Tensor, "b m"]


class AlignedText(nn.Module):
    """Text encoder of `layers` blocks, `width` wide, over `symbols` ids (0 is padding)."""

    def __init__(
        self,
        symbols: int,
        bands: int,
        speaker_width: int,
        width: int = 256,
        layers: int = 4,
        heads: int = 4,
        kernel: int = 5,
        frames_width: int = 128,
        dropout: float = 0.1,
        durations_width: int | None = None,
    ):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, speaker_width, kernel=kernel) for _ in range(layers))
        self.last = Modulation(speaker_width, width, 2)
        self.mean = nn.Linear(width, bands)
        self.hidden = nn.Linear(width, frames_width)
        self.durations = Predictor(width, speaker_width, durations_width or width, 3, dropout)
        self.frames_channels = frames_width + bands + 2

    def forward(self, symbols: Int[Tensor, "b m"], mask: Bool[Tensor, "b m"], speaker: Float[Tensor, "b g"]) -> EncodedSymbols:
        x = self.dropout(self.embedding(symbols))
        for block in self.blocks:
            x = block(x, speaker, mask)
        x = modulate(x, *self.last(speaker))
        log_durations = self.durations(x.detach(), speaker, mask)
        return EncodedSymbols(self.hidden(x), self.mean(x).float(), log_durations)

    def frames(
        self, encoded: EncodedSymbols, durations: Int[Tensor, "b m"], n: int
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n c"]]:
        """The mean (b n bands) and what the head is told (b n frames_channels) at each of n frames; zeros past an item's last."""
        start = durations.cumsum(1) - durations
        told = [encoded.mean, encoded.hidden.float(), start[..., None].float(), durations[..., None].float()]
        mean, hidden, start, length = expand(torch.cat(told, -1), durations, n).split(
            [encoded.mean.shape[-1], encoded.hidden.shape[-1], 1, 1], -1
        )
        gone = (torch.arange(n, device=mean.device)[None, :, None] - start + 0.5) / length.clamp(min=1)
        places = torch.cat([gone, length.clamp(min=1).log()], -1) * (length > 0)
        # The prior loss alone teaches the mean; the head reads it but does not bend it.
        return mean, torch.cat([mean.detach(), hidden, places], -1)
