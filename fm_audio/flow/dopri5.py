"""Dormand and Prince's adaptive solver, for reference rather than for speed.

Fifth order, with an embedded fourth-order result whose distance is the error estimate (Hairer, Norsett and Wanner, "Solving
ODEs I", table II.5.2). The error is the largest one over an item's elements.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fm_audio.flow.adaptive import Pair, follow
from fm_audio.flow.solver import Field
from fm_audio.types import FmAudioError

FIFTH = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
PAIR = Pair(
    stages=(
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        FIFTH,
    ),
    nodes=(1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    result=(*FIFTH, 0.0),
    error=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    order=6,  # between the fifth power of the step and the sixth
    last_is_first=True,
)


class Dopri5:
    """An element's error in a step stays below atol + rtol |x|. Six forwards for each try of a step; see `adaptive.follow`."""

    forwards_per_step = None

    def __init__(self, rtol: float = 1e-5, atol: float = 1e-6, max_steps: int = 1000) -> None:
        if not (0 < rtol < math.inf and 0 < atol < math.inf and max_steps >= 1):
            given = f"rtol {rtol}, atol {atol}, max_steps {max_steps}"
            raise FmAudioError(f"Dopri5: {given}; give finite tolerances above 0 and 1 step or more.")
        self.rtol, self.atol, self.max_steps = rtol, atol, max_steps

    def within(self, tolerance: float) -> Dopri5:
        """The tolerance as rtol, a tenth of it as atol."""
        return Dopri5(tolerance, tolerance / 10, self.max_steps)

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        return follow(PAIR, self._measure, field, x0, grid, self.max_steps)

    def _measure(self, gap: Tensor, x: Tensor, reached: Tensor) -> Tensor:
        allowed = self.atol + self.rtol * torch.maximum(x.abs(), reached.abs())
        return (gap.abs() / allowed).flatten(1).amax(1)
