"""How few forwards are enough: solvers, grids and guidance of one model, each measured against where it goes without haste.

    error = E ‖ mel − mel∞ ‖ / E ‖ mel∞ − mel∞ of another seed ‖        mel∞: RK4 in FINE steps, with the model's own guidance

0 is the model's own converged answer, 1 as far from it as another reading is. Of texts the distance is in edits, and the other
reading of a model that starts without noise is one from full noise. Forwards are counted where they are made, by item,
guided ones twice, and those with blocks left out by the share that was computed; seconds are of the flow with its text, without
the vocoder; megabytes are the peak of the process above what it had.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from fm_audio.flow.learned_grid import Recorder, learned_times
from fm_audio.flow.path import Path as FlowPath
from fm_audio.flow.resting import RestingField
from fm_audio.flow.sampling import GRIDS, SOLVERS, Sampling
from fm_audio.flow.settling import SettlingField
from fm_audio.types import FmAudioError

FINE = 64  # steps of RK4 that the converged answer takes
LEARNED, LEARNED_FROM = "learned", 48  # the grid of the model's own, and of how many fine steps it is learnt
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
TWO_NULL = "two_null"  # of models that clone: away from no text first, then from neither text nor reference
MODES = ("own", "constant", "interval", "rescaled", "off", TWO_NULL)
FIRST_STEPS = (2, 4)  # an adaptive solver begins with a step of one in so many
# What items may decide for themselves: fields of `Sampling`, and the values that are tried.
ADAPTIVE: Mapping[str, Sequence[float]] = {
    "tolerance": (0.1, 0.03, 0.01),
    "rest": (0.03, 0.1),
    "cache": (0.05, 0.1, 0.2),
    "guidance_alike": (0.95, 0.99),
}
PRESET_FORWARDS = {"fast": 4, "balanced": 8, "best": 32}

Generate = Callable[[int, int, Sampling], Any]  # (item, seed, sampling) -> mel (n bands), or tokens
Distance = Callable[[Any, Any], float]


@dataclass(frozen=True)
class Point:
    """One way to sample; `times` are those of a learned grid, `adaptive` are fields of `Sampling` by which items differ.

    forwards and seconds: mean and median of an item.
    """

    solver: str
    grid: str
    steps: int
    guidance: str
    forwards: float
    seconds: float
    megabytes: float
    error: float
    times: tuple[float, ...] = ()
    adaptive: Mapping[str, float] = field(default_factory=dict)

    def sampling(self, own: Sampling) -> Sampling:
        chosen: dict[str, Any] = {"steps": self.steps, "solver": self.solver, "grid": self.times or self.grid, **self.adaptive}
        return replace(guided(own, self.guidance), **chosen)

    @property
    def way(self) -> str:
        """The solver, and what items decide for themselves."""
        return " ".join([self.solver, *(f"{name} {value:g}" for name, value in self.adaptive.items())])


def guided(own: Sampling, mode: str) -> Sampling:
    """The model's sampling with its guidance as it is, everywhere, in the first half of the way alone, rescaled, or off; what two
    nulls are, is the model's business."""
    if mode == "own":
        return own
    if mode == "off":
        return replace(own, guidance=1.0, guidance_interval=(0.0, 1.0), guidance_rescale=0.0)
    interval = (0.0, 0.5) if mode == "interval" else (0.0, 1.0)
    return replace(own, guidance_interval=interval, guidance_rescale=0.7 if mode == "rescaled" else 0.0)


class Counted:
    """A solver that says how many forwards the field made, of all its items. Give it as the solver of a `Sampling`."""

    def __init__(self, solver: Any) -> None:
        self.solver, self.forwards_per_step = solver, solver.forwards_per_step
        self.forwards = 0.0

    def along(self, path: FlowPath) -> Counted:
        if hasattr(self.solver, "along"):
            self.solver = self.solver.along(path)
        return self

    def __call__(self, field: Any, x0: Tensor, grid: Tensor) -> Tensor:
        x1 = self.solver(field, x0, grid)
        asked: Any = field.field if isinstance(field, RestingField | SettlingField) else field
        self.forwards += float(asked.effective.sum())
        return x1


class Frontier:
    """A model's ways to sample. `generate` makes a mel of an item (0 to `items` − 1) with a seed, or what `distance` compares;
    `of_modes` are others, for ways of guidance that a `Sampling` cannot say."""

    def __init__(
        self,
        generate: Generate,
        items: int,
        own: Sampling,
        tell: Callable[[float], None] | None = None,
        distance: Distance | None = None,
        of_modes: Mapping[str, Generate] | None = None,
    ) -> None:
        if items < 1:
            raise FmAudioError("frontier: no items were given; give one sentence or caption a line")
        self.generate, self.items, self.own, self.tell, self.distance = generate, items, own, tell, distance or mels_apart
        self.of_modes = of_modes or {}
        self._costs: dict[str, tuple[Tensor, Tensor]] = {}
        fine = replace(own, solver="rk4", grid="uniform", steps=FINE)
        self.converged = [generate(i, i, fine) for i in range(items)]
        noisy = replace(fine, temperature=own.temperature or 1.0)
        others = [generate(i, i + 1000, noisy) for i in range(items)]
        self.spread = sum(map(self.distance, others, self.converged)) / items
        if self.spread == 0:
            raise FmAudioError("frontier: another seed gives the same answers, so that nothing tells how large an error is")

    def learned(self, steps: int, mode: str) -> tuple[float, ...]:
        """The times of a grid of the model's own, with this guidance."""
        if mode not in self._costs:
            recorder = Recorder()
            generate = self.of_modes.get(mode, self.generate)
            for i in range(self.items):
                generate(i, i, replace(guided(self.own, mode), solver=recorder, grid="uniform", steps=LEARNED_FROM))
            assert recorder.times is not None
            self._costs[mode] = recorder.cost, recorder.times
        return tuple(learned_times(*self._costs[mode], steps))

    def point(self, solver: str, grid: str, steps: int, mode: str, adaptive: Mapping[str, float] | None = None) -> Point:
        times = self.learned(steps, mode) if grid == LEARNED else ()
        point = Point(solver, grid, steps, mode, 0.0, 0.0, 0.0, 0.0, times, dict(adaptive or {}))
        asked = point.sampling(self.own)
        counted = Counted(asked.make_solver())
        sampling = replace(asked, solver=counted, tolerance=None)
        seconds, made, generate = [], [], self.of_modes.get(mode, self.generate)
        with peak_megabytes() as peak:
            for i in range(self.items):
                begun = time.perf_counter()
                made.append(generate(i, i, sampling))
                seconds.append(time.perf_counter() - begun)
        return replace(
            point,
            forwards=counted.forwards / self.items,
            seconds=median(seconds),
            megabytes=peak(),
            error=self.error(made),
        )

    def error(self, made: Sequence[Any]) -> float:
        """Of what was made of all items, by whomever: item i with seed i."""
        return sum(map(self.distance, made, self.converged)) / self.items / self.spread

    def sweep(
        self,
        solvers: Sequence[str],
        grids: Sequence[str],
        steps: Sequence[int],
        modes: Sequence[str],
        most_forwards: int,
        adaptive: Mapping[str, Sequence[float]] | None = None,
    ) -> list[Point]:
        """Every way of at most so many forwards; `adaptive` says what items may decide for themselves, with the model's own
        guidance on the uniform grid."""
        asked = [
            (s, g, n, m, a)
            for m in modes
            for s in solvers
            for g in (grids if SOLVERS[s]().forwards_per_step is not None else ["uniform"])
            for n in (steps if SOLVERS[s]().forwards_per_step is not None else FIRST_STEPS)
            if self._affordable(s, g, n, m, most_forwards)
            for a in self._adaptive(s, g, n, m, adaptive or {})
        ]
        found = []
        for k, way in enumerate(asked):
            found.append(self.point(*way))
            if self.tell is not None:
                self.tell((k + 1) / len(asked))
        return found

    def _adaptive(
        self, solver: str, grid: str, steps: int, mode: str, asked: Mapping[str, Sequence[float]]
    ) -> Iterator[dict[str, float]]:
        """Nothing, and whatever is asked that has a meaning for this way; of adaptive solvers a tolerance alone where one is."""
        sampling = replace(guided(self.own, mode), solver=solver)
        if not (sampling.adaptive and asked.get("tolerance")):
            yield {}
        meant = {
            "tolerance": sampling.adaptive,
            "rest": not sampling.adaptive,
            "cache": not sampling.adaptive,
            "guidance_alike": not sampling.adaptive and sampling.guidance != 1.0,
        }
        if sampling.adaptive or (mode == "own" and grid == "uniform" and steps > 2):
            yield from ({name: value} for name, values in asked.items() if meant[name] for value in values)

    def _affordable(self, solver: str, grid: str, steps: int, mode: str, most: int) -> bool:
        each = SOLVERS[solver]().forwards_per_step
        if grid == "epss" and steps not in GRIDS["epss"].THIRTY_SECONDS:  # type: ignore[attr-defined]
            return False
        if grid == LEARNED and steps > LEARNED_FROM:
            return False
        if grid != "uniform" and steps == 1:  # all grids of one step are the same
            return False
        low, high = guided(self.own, mode).guidance_interval
        if each is None:
            return (low, high) == (0.0, 1.0) or guided(self.own, mode).guidance == 1.0
        return each * steps * (1 if guided(self.own, mode).guidance == 1.0 else 1 + (high - low)) <= most


def pareto(points: Sequence[Point]) -> list[Point]:
    """Those that nothing of as few or fewer forwards beats, by forwards."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.forwards, p.error)):
        if not front or point.error < front[-1].error:
            front.append(point)
    return front


def presets(points: Sequence[Point]) -> dict[str, Point]:
    """fast, balanced and best: of at most 4, 8 and 32 forwards that with the least error; where the model cannot do with so few,
    its cheapest. Two nulls are no preset's business; where there is nothing else, there are none."""
    chosen: dict[str, Point] = {}
    points = [p for p in points if p.guidance != TWO_NULL]
    if not points:
        return chosen
    for name, most in PRESET_FORWARDS.items():
        affordable = [p for p in points if p.forwards <= most] or [min(points, key=lambda p: (p.forwards, p.error))]
        chosen[name] = min(affordable, key=lambda p: (p.error, p.forwards))
    return chosen


def mels_apart(a: Tensor, b: Tensor) -> float:
    """Root of the mean squared difference."""
    if a.shape != b.shape:
        raise FmAudioError(f"frontier: mels of {tuple(a.shape)} and {tuple(b.shape)}; lengths must not depend on how one samples")
    return float((a.float() - b.float()).square().mean().sqrt())


@contextmanager
def peak_megabytes() -> Iterator[Callable[[], float]]:
    """Peak memory within, above what there was: of the accelerator where there is one, else resident memory, looked at every
    5 ms."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        first = torch.cuda.memory_allocated()
        yield lambda: (torch.cuda.max_memory_allocated() - first) / 1e6
        return
    page, before = os.sysconf("SC_PAGE_SIZE"), _resident()
    most, done = [before], threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], _resident())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: (max(most[0], _resident()) - before) * page / 1e6
    finally:
        done.set()
        thread.join()


def _resident() -> int:
    """Pages; 0 where the system does not tell."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) if told.is_file() else 0
