"""A backbone of any kind that is also told how far the step goes: h + W sinusoids(gap), W zero at first.

So a trained network becomes one of two times (s, t) = (t, t + gap) that begins as it was; the rest is taught
(`flow.distillation`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fm_audio.layers import jump
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

FREQUENCIES = 16


class TwoTimes(nn.Module):
    """`inner` (a `types.Backbone`) with a second time. A gap of 0 adds nothing. `least` is the smallest gap that is taught;
    where it is above 0, a head refuses smaller steps, and solvers that ask for the velocity itself."""

    def __init__(self, inner: nn.Module, least: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= least <= 1.0:
            raise FmAudioError(f"TwoTimes: least is {least}; give a gap from 0 to 1, often 0")
        self.inner, self.least = inner, least
        self.width: int = inner.width  # type: ignore[assignment]
        told: int = getattr(inner, "in_width", self.width)  # some take wider or narrower frames than they give
        self.gap = nn.Sequential(nn.Linear(2 * FREQUENCIES, self.width), nn.SiLU(), nn.Linear(self.width, told, bias=False))
        nn.init.zeros_(self.gap[2].weight)  # type: ignore[arg-type]

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Float[Tensor, "b n width"]:
        gap = jump(t)
        told = self.gap(_waves(gap).to(h.dtype)) - self.gap(_waves(torch.zeros_like(gap)).to(h.dtype))
        return self.inner(h + told[:, None], t, mask, cond)


def _waves(gap: Tensor) -> Tensor:
    """(b,) in [0, 1] -> (b 2·FREQUENCIES)."""
    turns = gap[:, None].float() * torch.arange(1, FREQUENCIES + 1, device=gap.device) * torch.pi / 2
    return torch.cat([turns.sin(), turns.cos()], -1)
