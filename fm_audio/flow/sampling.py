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
from fm_audio.flow.embedded import BogackiShampine, HeunEuler
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
    "adaptive_heun": HeunEuler,
    "bosh3": BogackiShampine,
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

    guidance w gives v_null + w (v_cond - v_null); 1 is off. It holds for t inside guidance_interval, elsewhere w is 1, and for
    each item until the cosine of its v_cond and v_null comes above guidance_alike (Castillo et al. 2023, "Adaptive guidance"; 1
    is off).
    guidance_rescale in [0, 1] draws the guided data estimate back to the spread of the conditional one.
    temperature >= 0 scales the initial noise.
    tolerance > 0 is the relative error that an adaptive solver allows a step; None is the solver's own.
    rest >= 0: items whose data estimate would move less than that until the end go straight there (`fm_audio.flow.resting`).
    cache >= 0: middle blocks of the backbone are computed again once their input has changed by so much (`fm_audio.recall`).
    An adaptive solver, for which the field must not jump, takes guidance all the way, and neither rest nor cache.
    """

    steps: int = 8
    solver: Any = "euler"
    grid: Any = "uniform"
    guidance: float = 1.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_rescale: float = 0.0
    temperature: float = 1.0
    tolerance: float | None = None
    guidance_alike: float = 1.0
    rest: float = 0.0
    cache: float = 0.0

    def changed(self, **wishes: Any) -> Sampling:
        """With the wishes that are not None. Times written out give way to the uniform grid where another number of steps is
        wished for, a tolerance to the solver's own where another solver is."""
        steps, solver = wishes.get("steps"), wishes.get("solver")
        base = self if solver in (None, self.solver) else replace(self, tolerance=None)
        if isinstance(self.grid, tuple) and steps not in (None, self.steps) and wishes.get("grid") is None:
            wishes = {**wishes, "grid": "uniform"}
        return replace(base, **{name: wish for name, wish in wishes.items() if wish is not None})

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise FmAudioError(f"sampling: steps is {self.steps!r}; give a whole number, 1 or more.")
        low, high = _pair(self.guidance_interval)
        if not 0.0 <= low <= high <= 1.0:
            raise FmAudioError(f"sampling: guidance_interval is {self.guidance_interval}; give two times, 0 <= from <= to <= 1.")
        _check("guidance", self.guidance, "a finite number; 1 is off", math.isfinite(self.guidance))
        _check("guidance_rescale", self.guidance_rescale, "a number from 0 (off) to 1", 0.0 <= self.guidance_rescale <= 1.0)
        _check("temperature", self.temperature, "a finite number, 0 or more", 0.0 <= self.temperature < math.inf)
        _check("tolerance", self.tolerance, "a finite number above 0", self.tolerance is None or 0.0 < self.tolerance < math.inf)
        _check("guidance_alike", self.guidance_alike, "a cosine from -1 to 1 (off)", -1.0 <= self.guidance_alike <= 1.0)
        _check("rest", self.rest, "a finite number, 0 (off) or more", 0.0 <= self.rest < math.inf)
        _check("cache", self.cache, "a finite number, 0 (off) or more", 0.0 <= self.cache < math.inf)
        if self.adaptive:
            self._require_smooth()
        if self.grid != QUANTILE:
            self.times()

    @property
    def adaptive(self) -> bool:
        """Whether the solver chooses its steps."""
        return self.make_solver().forwards_per_step is None

    @property
    def depends_on_item(self) -> bool:
        """Whether how much is computed of an item depends on what comes out."""
        alike = self.guidance != 1.0 and self.guidance_alike < 1.0
        return self.adaptive or alike or self.rest > 0.0 or self.cache > 0.0

    def _require_smooth(self) -> None:
        """Refuse what makes the field jump, with an adaptive solver."""
        guided = self.guidance != 1.0
        jumps = {
            "guidance_interval": guided and tuple(self.guidance_interval) != (0.0, 1.0),
            "guidance_alike": guided and self.guidance_alike < 1.0,
            "rest": self.rest > 0.0,
            "cache": self.cache > 0.0,
        }
        for name in (name for name, jumping in jumps.items() if jumping):
            raise FmAudioError(
                f"sampling: {name} is {getattr(self, name)} with the adaptive solver {self.solver!r}, which cannot follow a "
                f"field that jumps; leave {name} off, or take a solver such as 'rk4'."
            )

    def make_solver(self, path: Path | None = None) -> solvers.Solver:
        """The solver itself, made if it was given by name; within the tolerance, and for this path if it knows paths."""
        solver = _made("solver", SOLVERS, self.solver)
        if self.tolerance is not None:
            if not hasattr(solver, "within"):
                raise FmAudioError(
                    f"sampling: tolerance is {self.tolerance} with the solver {self.solver!r}, whose steps are the grid's; "
                    "leave it out, or take an adaptive solver: 'adaptive_heun', 'bosh3' or 'dopri5'."
                )
            solver = solver.within(self.tolerance)
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


def _check(name: str, value: float | None, allowed: str, good: bool) -> None:
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
