"""Text without durations, laid along the frames: filled up behind (E2-TTS, F5-TTS) or stretched evenly (ZipVoice).

    filled     s1 s2 … sm 0 0 … 0                    n frames; the head finds out when each symbol is said
    stretched  s1 s1 s1 s2 s2 s2 … sm sm sm          as many frames each, the later ones one more where it does not go up

ConvNeXt-V2 blocks (Woo et al. 2023; in F5-TTS 2024, section 3.1) refine it, their response norm taken over an item's own frames.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.layers import MaskedConv
from fm_audio.types import FmAudioError, Frames, Mask

FILLS = ("filled", "stretched")


class FillerText(nn.Module):
    """`symbols` ids, 0 the filler, as `width` channels of each frame.

    mask_filler: hide the filler from the blocks. The filler of F5-TTS's first version is a symbol like others; that of its
    second is not. Without blocks (`layers` 0, as in E2-TTS) there are no positions either.
    """

    def __init__(self, symbols: int, width: int = 512, layers: int = 4, fill: str = "filled", mask_filler: bool = True):
        super().__init__()
        if fill not in FILLS:
            raise FmAudioError(f"FillerText: fill is {fill!r}; give one of {', '.join(FILLS)}")
        if fill == "stretched" and not mask_filler:
            raise FmAudioError("FillerText: stretched text has no filler left; leave mask_filler True")
        self.width, self.fill, self.mask_filler = width, fill, mask_filler
        self.embedding = nn.Embedding(symbols, width)
        self.blocks = nn.ModuleList(ConvNeXtV2(width, 2 * width) for _ in range(layers))

    def forward(self, symbols: Int[Tensor, "b m"], mask: Mask, dropped: Bool[Tensor, "b"] | None = None) -> Frames:
        """symbols (b m), padded with 0 and at most as many as frames; mask (b n) -> (b n width), zeros at padded frames.

        Items that are `dropped` come out as the model's idea of no text: filler everywhere, where text stands hidden or not.
        """
        n = mask.shape[1]
        ids = F.pad(symbols[:, :n], (0, n - min(n, symbols.shape[1]))).masked_fill(~mask, 0)
        shown = (ids != 0) if self.mask_filler else mask
        if dropped is not None:
            ids = ids.masked_fill(dropped[:, None], 0)
        h = self.embedding(ids)
        if self.blocks:
            h = (h + positions(n, self.width, h.device)).masked_fill(~shown[..., None], 0.0)
            for block in self.blocks:
                h = block(h, mask).masked_fill(~shown[..., None], 0.0)
        if self.fill == "stretched":
            h = stretched(h, shown.sum(1), mask)
        return h.masked_fill(~mask[..., None], 0.0)


class ConvNeXtV2(nn.Module):
    """Depthwise convolution of 7 frames, norm, a pointwise network with global response normalisation; added to the input."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.depthwise = MaskedConv(width, 7, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.up = nn.Linear(width, hidden)
        self.gamma = nn.Parameter(torch.zeros(hidden))
        self.beta = nn.Parameter(torch.zeros(hidden))
        self.down = nn.Linear(hidden, width)

    def forward(self, h: Frames, mask: Mask) -> Frames:
        x = F.gelu(self.up(self.norm(self.depthwise(h, mask))))
        strength = torch.linalg.vector_norm(x.masked_fill(~mask[..., None], 0.0).float(), dim=1, keepdim=True)  # b 1 hidden
        response = (strength / (strength.mean(-1, keepdim=True) + 1e-6)).to(x.dtype)
        return h + self.down(self.gamma * (x * response) + self.beta + x)


def positions(n: int, width: int, device: torch.device) -> Float[Tensor, "n width"]:
    """cos and sin of position times rate, rates falling from 1 towards 1/10,000."""
    rates = 10_000 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angles = torch.arange(n, device=device, dtype=torch.float32)[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], -1)


def stretched(h: Float[Tensor, "b n e"], symbols: Int[Tensor, "b"], mask: Mask) -> Float[Tensor, "b n e"]:
    """The first `symbols` positions of each item repeated over its frames: n // m frames each, the last n % m one more."""
    frames = mask.sum(1)
    m = symbols.clamp(min=1)
    short, longer = frames // m, frames % m
    at = torch.arange(mask.shape[1], device=h.device).expand(mask.shape)
    plain = (m - longer) * short  # frames before the longer symbols begin
    early = at // short.clamp(min=1)[:, None]
    late = (m - longer)[:, None] + (at - plain[:, None]).clamp(min=0) // (short + 1)[:, None]
    index = torch.where(at < plain[:, None], early, late).clamp(max=h.shape[1] - 1)
    return h.gather(1, index[..., None].expand_as(h)).masked_fill((~mask | (symbols == 0)[:, None])[..., None], 0.0)
