"""How to sample: what a request may choose about the way from noise to data. A gate: it refuses what cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from torch import Tensor

from fm_audio.flow import grid as grids
from fm_audio.flow import solver as solvers
from fm_audio.flow.dopri5 import Dopri5
from fm_audio.flow.path import Path
from fm_audio.flow.time_law import TimeLaw
from fm_audio.types import FmAudioError

SOLVERS: Mapping[str, type] = {
    "euler": solvers.Euler,
    "midpoint": solvers.Midpoint,
    "heun": solvers.Heun,
    "ab2": solvers.AdamsBashforth2,
    "rk4": solvers.RK4,
    "ddim": solvers.DDIM,
    "dpm++2m": solvers.DPMSolverPP2M,
    "dopri5": Dopri5,
}
GRIDS: Mapping[str, type] = {
    "uniform": grids.Uniform,
    "sway": grids.Sway,
    "shifted": grids.Shifted,
    "cosine": grids.Cosine,
    "epss": grids.EPSS,
}
QUANTILE = "quantile"  # the grid whose steps are as long as the training's time law says


@dataclass(frozen=True)
class Sampling:
    """steps >= 1 of a solver (a name, or any `Solver`) over a grid (a name, times written out, or any `Grid`).

    The grid "quantile" has the quantiles of the time law that the head was trained with (`grid.Quantile`).

    guidance w gives v_null + w (v_cond - v_null); 1 is off. It holds for t inside guidance_interval, elsewhere w is 1 (an
    adaptive solver takes the whole interval only).
    guidance_rescale in [0, 1] draws the guided data estimate back to the spread of the conditional one.
    temperature >= 0 scales the initial noise.
    """

    steps: int = 8
    solver: Any = "euler"
    grid: Any = "uniform"
    guidance: float = 1.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_rescale: float = 0.0
    temperature: float = 1.0

    def changed(self, **wishes: Any) -> Sampling:
        """With the wishes that are not None. Times written out give way to the uniform grid where another number of steps is
        wished for."""
        steps = wishes.get("steps")
        if isinstance(self.grid, tuple) and steps not in (None, self.steps) and wishes.get("grid") is None:
            wishes = {**wishes, "grid": "uniform"}
        return replace(self, **{name: wish for name, wish in wishes.items() if wish is not None})

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise FmAudioError(f"sampling: steps is {self.steps!r}; give a whole number, 1 or more.")
        low, high = _pair(self.guidance_interval)
        if not 0.0 <= low <= high <= 1.0:
            raise FmAudioError(f"sampling: guidance_interval is {self.guidance_interval}; give two times, 0 <= from <= to <= 1.")
        _check("guidance", self.guidance, "a finite number; 1 is off", math.isfinite(self.guidance))
        _check("guidance_rescale", self.guidance_rescale, "a number from 0 (off) to 1", 0.0 <= self.guidance_rescale <= 1.0)
        _check("temperature", self.temperature, "a finite number, 0 or more", 0.0 <= self.temperature < math.inf)
        if self.make_solver().forwards_per_step is None and self.guidance != 1.0 and (low, high) != (0.0, 1.0):
            raise FmAudioError(
                f"sampling: guidance_interval is {self.guidance_interval} with the adaptive solver {self.solver!r}, which cannot "
                "follow a field that jumps where guidance begins or ends; take (0.0, 1.0), or a solver such as 'rk4'."
            )
        if self.grid != QUANTILE:
            self.times()

    def make_solver(self, path: Path | None = None) -> solvers.Solver:
        """The solver itself, made if it was given by name; for this path, if it is one that knows paths."""
        solver = _made("solver", SOLVERS, self.solver)
        return solver.along(path) if path is not None and hasattr(solver, "along") else solver

    def times(self, law: TimeLaw | None = None) -> Tensor:
        """The grid's (steps + 1,) times; `law` is the head's, which the grid "quantile" needs."""
        if self.grid == QUANTILE:
            if law is None:
                raise FmAudioError("sampling: the grid 'quantile' follows a head's time law; sample with a head, or name another")
            return grids.Quantile(law)(self.steps)
        if isinstance(self.grid, tuple):
            return grids.Custom(list(self.grid))(self.steps)
        return _made("grid", GRIDS, self.grid)(self.steps)


def _pair(interval: Any) -> tuple[float, float]:
    try:
        low, high = interval
        return float(low), float(high)
    except (TypeError, ValueError):
        raise FmAudioError(f"sampling: guidance_interval is {interval!r}; give two times, such as (0.0, 0.5).") from None


def _check(name: str, value: float, allowed: str, good: bool) -> None:
    if not good:
        raise FmAudioError(f"sampling: {name} is {value}; give {allowed}.")


def _made(what: str, table: Mapping[str, type], given: Any) -> Any:
    """The object given, or a new one of the class that a name stands for."""
    if not isinstance(given, str):
        if callable(given) and not isinstance(given, type):
            return given
        raise FmAudioError(f"sampling: {what} is {given!r}; give one of {', '.join(table)}, or an object of the library's kind.")
    if given not in table:
        names = [*table, QUANTILE] if what == "grid" else list(table)
        near = get_close_matches(given, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise FmAudioError(f"sampling: no {what} is called {given!r}; there are {', '.join(names)}.{hint}")
    return table[given]()
