"""The Zipformer of ZipVoice (Zhu et al. 2025, arXiv 2506.13053, section 3): stacks of layers, the inner ones at lower rates.

    c = time(sinusoids(t) + vector),   h ← stack(h, c),   h ← bypass(h, repeated(stack(shortened(h), c))) …

A stack at a lower rate sees learned weighted means of neighbouring frames. An item's last frame fills up its own last group, so
an item is the same in any company. `fm_audio.zipformer` has the layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.backbones.rates import coarser
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times
from fm_audio.zipformer import Heads, Stack, bypassed, sinusoids, small, swoosh_r


class Zipformer(nn.Module):
    """factors, layers, kernels: for each stack, how many frames make one, its number of layers, and its convolutions' kernel.

    hidden is the width of the middle feed-forward of each layer. With `vector_width`, cond.vector joins the time's sinusoids
    before their network. Masks must be prefixes.
    """

    def __init__(
        self,
        width: int = 512,
        factors: Sequence[int] = (1, 2, 4, 2, 1),
        layers: Sequence[int] = (2, 2, 4, 4, 4),
        kernels: Sequence[int] = (31, 15, 7, 15, 31),
        hidden: int = 1536,
        heads: Heads | None = None,
        time_width: int = 192,
        vector_width: int = 0,
    ):
        super().__init__()
        if not len(factors) == len(layers) == len(kernels):
            raise FmAudioError(
                f"Zipformer: {len(factors)} factors, {len(layers)} numbers of layers, {len(kernels)} kernels; "
                "give as many of each, one for each stack"
            )
        self.width, self.time_width = width, time_width
        self.time = nn.ModuleList([nn.Linear(time_width, 2 * time_width), nn.Linear(2 * time_width, time_width)])
        self.vector = small(nn.Linear(vector_width, time_width, bias=False), 0.1) if vector_width else None
        stacks = (
            Stack(width, number, hidden, kernel, heads or Heads(), time_width)
            for number, kernel in zip(layers, kernels, strict=True)
        )
        self.stacks = nn.ModuleList(
            stack if factor == 1 else Coarse(stack, factor, width) for stack, factor in zip(stacks, factors, strict=True)
        )

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames:
        c = sinusoids(t, self.time_width).to(next(self.time.parameters()).dtype)
        if self.vector is not None:
            c = c + self.vector(cond.vector)
        c = self.time[1](swoosh_r(self.time[0](c)))
        h = h.masked_fill(~mask[..., None], 0.0)
        for stack in self.stacks:
            h = stack(h, mask, c)
        return h


class Coarse(nn.Module):
    """A stack at a rate `factor` times lower, its output repeated and mixed with its input."""

    def __init__(self, stack: Stack, factor: int, width: int):
        super().__init__()
        self.stack, self.factor = stack, factor
        self.shares = nn.Parameter(torch.zeros(factor))
        self.bypass = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, h: Frames, mask: Mask, c: Float[Tensor, "b c"]) -> Frames:
        n = h.shape[1]
        groups = filled(h, mask, self.factor).unflatten(1, (-1, self.factor))  # b m factor d
        coarse = torch.einsum("b m s d, s -> b m d", groups, self.shares.softmax(0))
        kept = coarser(F.pad(mask, (0, -n % self.factor)), self.factor)
        return bypassed(h, self.stack(coarse, kept, c).repeat_interleave(self.factor, 1)[:, :n], self.bypass)


def filled(h: Frames, mask: Mask, factor: int) -> Float[Tensor, "b n2 d"]:
    """n made divisible by `factor`; everything behind an item's last kept frame is that frame."""
    n = h.shape[1] + -h.shape[1] % factor
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
    at = torch.minimum(torch.arange(n, device=h.device)[None], last)
    return h.gather(1, at[..., None].expand(-1, -1, h.shape[2]))
