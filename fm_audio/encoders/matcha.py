"""The text encoder of Matcha-TTS (Mehta et al. 2024, arXiv 2309.03199), so that its published weights can be used.

    hidden = blocks([prenet(√width · embedding(symbols)), speaker]),   mean = W·hidden,   log duration = predictor(hidden)

Glow-TTS's encoder with rotary positions on half of each head, norms after their residual sums.
`fm_audio.encoders.aligned_text` is the one to train.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fm_audio.encoders.aligned_text import EncodedSymbols
from fm_audio.encoders.alignment import expand
from fm_audio.layers import MaskedConv, attend, rotary
from fm_audio.types import Frames, Mask

EPSILON = 1e-4


class MatchaText(nn.Module):
    """`symbols` ids, all of them said (Matcha-TTS puts symbol 0 between all others), `bands` of the mean.

    With `speaker_width` the speaker stands beside the prenet's `width` channels in everything that follows.
    """

    def __init__(
        self,
        symbols: int,
        bands: int,
        speaker_width: int = 0,
        width: int = 192,
        layers: int = 6,
        heads: int = 2,
        hidden: int = 768,
        kernel: int = 3,
        prenet_layers: int = 3,
        prenet_kernel: int = 5,
        durations_width: int = 256,
        durations_kernel: int = 3,
        dropout: float = 0.1,
        prenet_dropout: float = 0.5,
    ):
        super().__init__()
        wide = width + speaker_width
        self.embedding = nn.Embedding(symbols, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.prenet = Prenet(width, prenet_layers, prenet_kernel, prenet_dropout)
        self.blocks = nn.ModuleList(PostNormBlock(wide, heads, hidden, kernel, dropout) for _ in range(layers))
        self.mean = nn.Linear(wide, bands)
        self.durations = Durations(wide, durations_width, durations_kernel, dropout)
        self.frames_channels = bands

    def forward(self, symbols: Int[Tensor, "b m"], mask: Bool[Tensor, "b m"], speaker: Float[Tensor, "b g"]) -> EncodedSymbols:
        x = self.prenet(self.embedding(symbols) * math.sqrt(self.embedding.embedding_dim), mask)
        x = torch.cat([x, speaker[:, None].expand(-1, x.shape[1], -1)], -1)
        for block in self.blocks:
            x = block(x, mask)
        x = x.masked_fill(~mask[..., None], 0.0)
        mean = self.mean(x).float().masked_fill(~mask[..., None], 0.0)
        return EncodedSymbols(x, mean, self.durations(x.detach(), mask))

    def frames(
        self, encoded: EncodedSymbols, durations: Int[Tensor, "b m"], n: int
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n d"]]:
        """The mean (b n bands) at each of n frames, zeros past an item's last; it is also all that the head is told."""
        mean = expand(encoded.mean, durations, n)
        return mean, mean


class Prenet(nn.Module):
    """Masked convolutions, each normed, rectified and dropped out; their projection, zero at the start, is added to the input."""

    def __init__(self, width: int, layers: int, kernel: int, dropout: float):
        super().__init__()
        self.convs = nn.ModuleList(MaskedConv(width, kernel) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=EPSILON) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Frames, mask: Mask) -> Frames:
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = self.dropout(norm(conv(y, mask)).relu())
        return (x + self.out(y)).masked_fill(~mask[..., None], 0.0)


class PostNormBlock(nn.Module):
    """x = norm(x + attention(x)), x = norm(x + convolutions(x))."""

    def __init__(self, width: int, heads: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = MaskedConv(width, kernel, out_width=hidden), MaskedConv(hidden, kernel, out_width=width)
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=EPSILON) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Frames, mask: Mask) -> Frames:
        x = x.masked_fill(~mask[..., None], 0.0)
        x = self.norms[0](x + self.dropout(self.attention(x, mask)))
        y = self.down(self.dropout(self.up(x, mask).relu()), mask).masked_fill(~mask[..., None], 0.0)
        return self.norms[1](x + self.dropout(y))

    def attention(self, x: Frames, mask: Mask) -> Frames:
        q, k, v = rearrange(self.query_key_value(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        y = attend(half_rotary(q), half_rotary(k), v, mask[:, None, None, :])
        return self.out(rearrange(y, "b h n d -> b n (h d)"))


def half_rotary(x: Tensor) -> Tensor:
    """Rotary positions on the first half of every head's channels: (b h n d) -> (b h n d)."""
    turned, plain = x.chunk(2, -1)
    return torch.cat([rotary(turned), plain], -1)


class Durations(nn.Module):
    """Two masked convolutions, each rectified, then normed; then one number: (b m e) -> (b m) float32, log frames."""

    def __init__(self, width: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.convs = nn.ModuleList([MaskedConv(width, kernel, out_width=hidden), MaskedConv(hidden, kernel)])
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, eps=EPSILON) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x: Float[Tensor, "b m e"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, "b m"]:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.dropout(norm(conv(x, mask).relu()))
        return self.out(x).squeeze(-1).float().masked_fill(~mask, 0.0)
