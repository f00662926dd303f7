"""Solvers carry noise along a velocity field to data: x1 = x0 + the integral of field(x, t) over the grid.

Each is called with field(x (b ...), t (b,)) -> v, x0 (b ...) and a grid (steps + 1,), and returns x1. `forwards_per_step` counts
calls of the field; it is None where that depends on the field. Hairer, Norsett and Wanner, "Solving ODEs I", chapters II and III.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Field = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Solver(Protocol):
    """`(field, x0, grid) -> x1`; `forwards_per_step` calls of the field for each step, None if adaptive."""

    @property
    def forwards_per_step(self) -> int | None: ...

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor: ...


def _at(t: float, x: Tensor) -> Tensor:
    """One time for every item: (b,) float32 on x's device."""
    return torch.full((x.shape[0],), t, dtype=torch.float32, device=x.device)


def _steps(grid: Tensor) -> Iterator[tuple[float, float]]:
    """(t, h) of each step."""
    times = grid.tolist()
    for t, after in zip(times, times[1:], strict=False):
        yield t, after - t


class Euler:
    """x + h v(x, t). First order, one forward a step."""

    forwards_per_step = 1

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        for t, h in _steps(grid):
            x = x + h * field(x, _at(t, x))
        return x


class Midpoint:
    """Euler to the middle of the step; its slope carries the whole step. Second order, two forwards."""

    forwards_per_step = 2

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        for t, h in _steps(grid):
            middle = x + h / 2 * field(x, _at(t, x))
            x = x + h * field(middle, _at(t + h / 2, x))
        return x


class Heun:
    """The mean of the slopes at both ends of the step, the far end found by Euler. Second order, two forwards."""

    forwards_per_step = 2

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        for t, h in _steps(grid):
            here = field(x, _at(t, x))
            there = field(x + h * here, _at(t + h, x))
            x = x + h / 2 * (here + there)
        return x


class AdamsBashforth2:
    """The slope drawn on through the last two points: second order for one forward a step; the first step is Euler's.

    Steps may differ: x + h (v + (h / 2 h_before) (v - v_before)).
    """

    forwards_per_step = 1

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        before: tuple[Tensor, float] | None = None
        for t, h in _steps(grid):
            v = field(x, _at(t, x))
            slope = v if before is None else v + h / (2 * before[1]) * (v - before[0])
            x = x + h * slope
            before = v, h
        return x


class RK4:
    """The classical Runge-Kutta method. Fourth order, four forwards."""

    forwards_per_step = 4

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        for t, h in _steps(grid):
            k1 = field(x, _at(t, x))
            k2 = field(x + h / 2 * k1, _at(t + h / 2, x))
            k3 = field(x + h / 2 * k2, _at(t + h / 2, x))
            k4 = field(x + h * k3, _at(t + h, x))
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x
