"""Options of commands that generate: which solver, and what each item decides for itself (docs/few_steps.md).

torch is not imported here, so that --help is quick; names and ranges are checked by `fm_audio.flow.sampling.Sampling`.
"""

from __future__ import annotations

import argparse
from typing import Any

FIELDS = ("solver", "tolerance", "rest", "cache", "guidance_alike")


def add_adaptive(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("computing what is needed (fm-audio frontier measures it)")
    group.add_argument("--solver", metavar="NAME", help="euler, midpoint, heun, rk4 …; adaptive: adaptive_heun, bosh3, dopri5")
    group.add_argument("--tolerance", type=float, metavar="X", help="relative error that an adaptive solver allows in a step")
    rest = "what would move less than this share until the end goes straight there, such as 0.05"
    group.add_argument("--rest", type=float, metavar="X", help=rest)
    cache = "leave middle blocks out until their input has changed by this share, such as 0.2"
    group.add_argument("--cache", type=float, metavar="X", help=cache)
    alike = "guide no more once this is the cosine of the velocities with and without condition, such as 0.99"
    group.add_argument("--guidance-alike", type=float, metavar="X", help=alike)


def chosen(sampling: Any, given: argparse.Namespace) -> Any:
    """A `Sampling` with what was given. Raises FmAudioError where that cannot be meant."""
    return sampling.changed(**{name: getattr(given, name) for name in FIELDS})
