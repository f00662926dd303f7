"""Solvers carry noise along a velocity field to data: x1 = x0 + the integral of field(x, t) over the grid.

Each is called with field(x (b ...), t (b,)) -> v, x0 (b ...) and a grid (steps + 1,), and returns x1. `forwards_per_step` counts
calls of the field; it is None where that depends on the field (`fm_audio.flow.adaptive`). Hairer, Norsett and Wanner, "Solving
ODEs I", chapters II and III.

Those of diffusion know the path besides, and step exactly along it towards the data that the velocity points at; `along(path)` is
the solver for a path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fm_audio.flow.path import LinearPath, Path, data_from_velocity, noise_from_velocity
from fm_audio.layers import jumping

Field = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Solver(Protocol):
    """`(field, x0, grid) -> x1`; `forwards_per_step` calls of the field for each step, None if adaptive."""

    @property
    def forwards_per_step(self) -> int | None: ...

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor: ...


def of_items(field: Field, items: Tensor) -> Field:
    """The field of the items (k,) of its batch alone. One that holds something of each item has a method of this name, as
    `guidance.GuidedField` does; any other is a function of x and t, the same for all."""
    return field.of_items(items) if hasattr(field, "of_items") else field


def _at(t: float, x: Tensor) -> Tensor:
    """One time for every item: (b,) float32 on x's device."""
    return torch.full((x.shape[0],), t, dtype=torch.float32, device=x.device)


def _steps(grid: Tensor) -> Iterator[tuple[float, float]]:
    """(t, h) of each step."""
    times = grid.tolist()
    for t, after in zip(times, times[1:], strict=False):
        yield t, after - t


class Euler:
    """x + h v(x, t). First order, one forward a step. A flow map is told h and gives the mean velocity over the step."""

    forwards_per_step = 1

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        for t, h in _steps(grid):
            with jumping(h):
                v = field(x, _at(t, x))
            x = x + h * v
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


class DDIM:
    """To the next time along the path that leads through the data and the noise found here (Song et al. 2021, "DDIM", equation 12
    with eta 0): exact where those do not change. One forward a step. On `LinearPath` it is Euler."""

    forwards_per_step = 1

    def __init__(self, path: Path | None = None) -> None:
        self.path: Path = path or LinearPath()

    def along(self, path: Path) -> DDIM:
        return DDIM(path)

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        for t, h in _steps(grid):
            v = field(x, _at(t, x))
            x1, noise = data_from_velocity(self.path, v, x, _at(t, x)), noise_from_velocity(self.path, v, x, _at(t, x))
            c = self.path.coefficients(_at(t + h, x)).beside(x)
            x = c.alpha * x1 + c.sigma * noise
        return x


class DPMSolverPP2M:
    """DDIM with the data drawn on through the last two estimates in l = log(alpha / sigma) (Lu et al. 2022, "DPM-Solver++",
    algorithm 2). Second order for one forward a step; where l or the one before is infinite, DDIM's: the last step,
    the first, and the second where l begins at minus infinity.

        x' = sigma'/sigma x + (alpha' - alpha sigma'/sigma) D,   D = x1 + (l' - l) / (2 (l - l_before)) (x1 - x1_before)
    """

    forwards_per_step = 1

    def __init__(self, path: Path | None = None) -> None:
        self.path: Path = path or LinearPath()

    def along(self, path: Path) -> DPMSolverPP2M:
        return DPMSolverPP2M(path)

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x = x0
        before: tuple[Tensor, float] | None = None
        for t, h in _steps(grid):
            v = field(x, _at(t, x))
            x1, noise = data_from_velocity(self.path, v, x, _at(t, x)), noise_from_velocity(self.path, v, x, _at(t, x))
            here, there = self._log_ratio(t), self._log_ratio(t + h)
            drawn_on = x1
            if before is not None and math.isfinite(there - here) and math.isfinite(here - before[1]):
                drawn_on = x1 + (there - here) / (2 * (here - before[1])) * (x1 - before[0])
            now, c = (self.path.coefficients(_at(s, x)).beside(x) for s in (t, t + h))
            # sigma'/sigma x is sigma' (noise + alpha/sigma x1), so that nothing is divided by a sigma that vanishes
            x = c.sigma * noise + c.alpha * drawn_on - (c.sigma * now.alpha / now.sigma.clamp(min=1e-12)) * (drawn_on - x1)
            before = x1, here
        return x

    def _log_ratio(self, t: float) -> float:
        c = self.path.coefficients(torch.tensor([t], dtype=torch.float64))
        alpha, sigma = float(c.alpha), float(c.sigma)
        return -math.inf if alpha <= 1e-12 else math.inf if sigma <= 1e-12 else math.log(alpha / sigma)
