"""Heard speech as states that a backbone attends to: a convolution, frames side by side, transformer blocks.

    states = norm(blocks(patch(gelu(conv(mel − its mean)))))        `frames_per_token` frames of the mel become one token

Taking the mean of a log-mel away makes a whisper and a shout the same words. The blocks are those of the backbones, with a
convolution in each (Conformer's idea, Gulati et al. 2020, in ConvNeXt's order); time, which modulates them there, is constant.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.layers import Block, MaskedConv, Modulation, modulate
from fm_audio.types import Cond, FmAudioError, Frames, Mask

CONV_KERNEL = 5


class SpeechEncoder(nn.Module):
    """Mels of so many `bands` -> `Cond.tokens` of `width`, one for each `frames_per_token` frames begun.

    `beside`: channels of what somebody else makes of each token's sound, which is added to it; 0 is nothing.
    """

    def __init__(
        self,
        bands: int,
        width: int = 144,
        layers: int = 4,
        heads: int = 4,
        frames_per_token: int = 4,
        kernel: int = 7,
        feedforward: float = 2.0,
        dropout: float = 0.1,
        beside: int = 0,
    ) -> None:
        super().__init__()
        if frames_per_token < 1:
            raise FmAudioError(f"SpeechEncoder: frames_per_token is {frames_per_token}; give 1 or more, usually 4")
        self.width, self.frames_per_token = width, frames_per_token
        self.conv = MaskedConv(bands, CONV_KERNEL, out_width=width)
        self.patch = nn.Linear(frames_per_token * width, width)
        self.beside = nn.Linear(beside, width) if beside else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, 1, feedforward, kernel) for _ in range(layers))
        self.last = Modulation(1, width, 2)

    def forward(self, mel: Frames, mask: Mask, beside: Float[Tensor, "b k e"] | None = None) -> Cond:
        """mel (b n bands), mask (b n) -> tokens (b k width), k = ceil(n / frames_per_token), with their mask; zeros where it is
        False. beside (b k e): where the encoder has room for them."""
        mel = mel.masked_fill(~mask[..., None], 0.0)
        mean = mel.sum((1, 2), keepdim=True) / (mask.sum(1)[:, None, None] * mel.shape[2]).clamp(min=1)
        h = F.gelu(self.conv(mel - mean, mask)).masked_fill(~mask[..., None], 0.0)
        short = -h.shape[1] % self.frames_per_token
        h = rearrange(F.pad(h, (0, 0, 0, short)), "b (m k) d -> b m (k d)", k=self.frames_per_token)
        seen = F.pad(mask, (0, short)).unflatten(1, (-1, self.frames_per_token)).any(-1)  # b m
        steady = torch.ones(mel.shape[0], 1, dtype=h.dtype, device=h.device)  # len would fix it for torch.export
        x = self.dropout(self.patch(h))
        if self.beside is not None:
            assert beside is not None
            x = x + self.beside(self.dropout(beside))
        for block in self.blocks:
            x = block(x, steady, seen)
        x = modulate(x, *self.last(steady))
        return Cond(tokens=x.masked_fill(~seen[..., None], 0.0), tokens_mask=seen)
