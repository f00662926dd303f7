"""Curves of training runs as a picture: python -m fm_audio.training.curves RUN [RUN …] -o curves.png

A scalar that a recipe's TensorBoard logger wrote, against steps and against minutes of training. Minutes of a run that was gone
on with are those of its parts, without the time between; the first steps of a part, before its first entry, are not counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fm_audio.types import FmAudioError

SCALARS = ("train/loss", "validation/loss")
SMOOTHED = 0.03  # of the entries, under one window


@dataclass(frozen=True)
class Curve:
    """One scalar of one run, in the order of its steps."""

    steps: list[int]
    minutes: list[float]
    values: list[float]


def curve_of(run: Path, scalar: str) -> Curve:
    """Raises FmAudioError where the run has no such scalar."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps: list[int] = []
    minutes: list[float] = []
    values: list[float] = []
    seen: set[str] = set()
    before = 0.0
    for file in sorted(run.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        seen |= set(events.Tags()["scalars"])
        if scalar not in events.Tags()["scalars"]:
            continue
        began = min(events.Scalars(tag)[0].wall_time for tag in events.Tags()["scalars"])
        entries = events.Scalars(scalar)
        while steps and steps[-1] >= entries[0].step:  # gone on with from an earlier checkpoint
            steps.pop(), minutes.pop(), values.pop()
        before = minutes[-1] if minutes else 0.0
        steps += [e.step for e in entries]
        minutes += [before + (e.wall_time - began) / 60 for e in entries]
        values += [e.value for e in entries]
    if not steps:
        has = f"it has {', '.join(sorted(seen))}" if seen else "it holds no TensorBoard file; give the folder that fit logged to"
        raise FmAudioError(f"{run}: has no scalar {scalar!r}; {has}")
    return Curve(steps, minutes, values)


def curves_of(runs: Sequence[Path], scalars: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """scalar -> name of a run -> its curve, of the runs that have it.

    Raises FmAudioError for a scalar that no run has, and for a run that has none of them.
    """
    found: dict[str, dict[str, Curve]] = {scalar: {} for scalar in scalars}
    lacking: dict[tuple[str, Path], FmAudioError] = {}
    for scalar in scalars:
        for run in runs:
            try:
                found[scalar][run.name] = curve_of(run, scalar)
            except FmAudioError as e:
                lacking[scalar, run] = e
    for scalar, run in lacking:
        if not found[scalar] or not any(run.name in of for of in found.values()):
            raise lacking[scalar, run]
    return found


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, at most `window` in all."""
    return [sum(values[max(0, i - window + 1) : i + 1]) / min(window, i + 1) for i in range(len(values))]


def draw(path: Path, found: dict[str, dict[str, Curve]], logarithmic: bool = False) -> None:
    """found: scalar -> run -> its curve. A row for each scalar, by steps and by minutes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6 * len(found)), layout="constrained")
    rows = figure.subplots(len(found), 2, squeeze=False, sharey="row")
    for places, (scalar, runs) in zip(rows, found.items(), strict=True):
        for place, axis in zip(places, ("steps", "minutes"), strict=True):
            for name, curve in runs.items():
                window = max(1, round(SMOOTHED * len(curve.values)))
                place.plot(getattr(curve, axis), smoothed(curve.values, window), label=name, linewidth=1.2)
            place.set(xlabel=axis, ylabel=scalar if axis == "steps" else "")
            if logarithmic:
                place.set_yscale("log")
        places[0].legend(fontsize=8)
    figure.savefig(path, format="png", dpi=90)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.training.curves", description=str(__doc__).splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders that fit logged to")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="PNG", help="the picture to write")
    scalars = f"default {' '.join(SCALARS)}; a run is drawn where it has one"
    parser.add_argument("--scalar", nargs="+", default=list(SCALARS), metavar="NAME", help=scalars)
    parser.add_argument("--log", action="store_true", help="logarithmic values")
    given = parser.parse_args(argv)
    try:
        if not given.out.parent.is_dir():
            raise FmAudioError(f"{given.out}: there is no folder {given.out.parent}; make it first")
        found = curves_of(given.runs, given.scalar)
        draw(given.out, found, given.log)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    for scalar, runs in found.items():
        for name, c in runs.items():
            print(f"{name}, {scalar}: {c.values[-1]:.4g} after {c.steps[-1] + 1} steps and {c.minutes[-1]:.1f} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
