"""Adaptive solvers that are meant for speed: pairs of low order, and an error that is measured as a mean.

    ‖ gap ‖ <= tolerance max(‖ x ‖, ‖ x' ‖)         of each item, in each step; padding is zeros and counts for nothing

Hairer, Norsett and Wanner, "Solving ODEs I", section II.4. `fm_audio.flow.dopri5` is the one for reference.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fm_audio.flow.adaptive import Measure, Pair, follow
from fm_audio.flow.solver import Field
from fm_audio.types import FmAudioError

# Heun's step, whose distance to Euler's is the error.
HEUN_EULER = Pair(((1.0,),), (1.0,), (1 / 2, 1 / 2), (-1 / 2, 1 / 2), order=2, last_is_first=False)
# Bogacki and Shampine 1989, third order with a second-order result beside it.
BOGACKI_SHAMPINE = Pair(
    ((1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (1 / 2, 3 / 4, 1.0),
    (2 / 9, 1 / 3, 4 / 9, 0.0),
    (2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    order=3,
    last_is_first=True,
)


class HeunEuler:
    """Second order: two forwards for each step, and one more for each that is tried again narrower."""

    forwards_per_step = None

    def __init__(self, tolerance: float = 0.03, max_steps: int = 1000) -> None:
        self.measure, self.max_steps = _relative("HeunEuler", tolerance, max_steps), max_steps

    def within(self, tolerance: float) -> HeunEuler:
        return HeunEuler(tolerance, self.max_steps)

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        return follow(HEUN_EULER, self.measure, field, x0, grid, self.max_steps)


class BogackiShampine:
    """Third order: three forwards for each try of a step, and one to begin with."""

    forwards_per_step = None

    def __init__(self, tolerance: float = 0.03, max_steps: int = 1000) -> None:
        self.measure, self.max_steps = _relative("BogackiShampine", tolerance, max_steps), max_steps

    def within(self, tolerance: float) -> BogackiShampine:
        return BogackiShampine(tolerance, self.max_steps)

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        return follow(BOGACKI_SHAMPINE, self.measure, field, x0, grid, self.max_steps)


def _relative(who: str, tolerance: float, max_steps: int) -> Measure:
    if not (0 < tolerance < math.inf and max_steps >= 1):
        raise FmAudioError(f"{who}: tolerance {tolerance}, max_steps {max_steps}; give a tolerance above 0 and 1 step or more.")

    def measure(gap: Tensor, x: Tensor, reached: Tensor) -> Tensor:
        gaps, before, after = (z.flatten(1).norm(dim=1) for z in (gap, x, reached))
        return gaps / (tolerance * torch.maximum(before, after)).clamp(min=1e-12)

    return measure
