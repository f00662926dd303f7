"""Contenders by turns: each waits in a process of its own, so that memory is its own too, and one works at a time.

    round 1: a b c    round 2: c b a    round 3: a b c …        figures are medians over the rounds
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from fm_audio.types import FmAudioError


def _in_a_folder(text: str) -> Path:
    """A file that can be written when all is measured."""
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"{Path(text).parent} is no folder; make it first")
    return Path(text)


def add_options(made: argparse.ArgumentParser, threads: Sequence[int], rounds: int, tiny: str) -> None:
    """What all benchmarks take: `threads` and `rounds` are the defaults, `tiny` says what is small with --tiny."""
    usual = " ".join(map(str, threads))
    made.add_argument("--threads", type=int, nargs="+", default=list(threads), metavar="N", help=f"(default: {usual})")
    made.add_argument("--rounds", type=int, default=rounds, metavar="N", help=f"after one that warms up (default: {rounds})")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--tiny", action="store_true", help=f"{tiny}, to try this out; figures mean nothing")
    made.add_argument("--json", type=_in_a_folder, metavar="FILE", help="write everything here too")


@dataclass(frozen=True)
class Measured:
    """The rounds of a contender: `seconds` of each, how much each `made`, and the process's peak memory."""

    name: str
    seconds: Sequence[float]
    made: Sequence[float]
    peak_megabytes: float
    facts: Mapping[str, Any]

    def each(self) -> list[float]:
        """Seconds of work for one of what was made, of each round."""
        return [s / m for s, m in zip(self.seconds, self.made, strict=True)]

    @property
    def median(self) -> float:
        return statistics.median(self.each())


class Contender:
    """`maker` is "module:function", which makes a `worker.Ready` of the setting."""

    def __init__(self, name: str, maker: str, setting: Mapping[str, Any]) -> None:
        self.name, self.maker, self.setting = name, maker, setting
        self._process: subprocess.Popen[str] | None = None

    def begin(self) -> dict[str, Any]:
        """Start the process: its facts under "facts" once it is warm, or under "missing" why it cannot take part."""
        threads = str(self.setting["threads"])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.worker", self.maker, json.dumps(dict(self.setting))],
            cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self._heard()

    def round(self) -> tuple[float, float]:
        """Seconds, and how much was made in them."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = self._heard()
        return told["seconds"], told["made"]

    def end(self) -> float:
        """Its peak memory in megabytes."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        return self._heard()["peak_megabytes"]

    def stop(self) -> None:
        """The process is gone afterwards, however far it was."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def _heard(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise FmAudioError(f"{self.name}: its process ended with code {self._process.wait()}; what it said stands above")
        return json.loads(line)


def measured(
    contenders: Sequence[Contender], rounds: int, tell: Callable[[str], None] = lambda line: None
) -> tuple[list[Measured], dict[str, str]]:
    """Who took part, in the order given, and why each of the others did not. `tell` hears how far it is."""
    if rounds < 1:
        raise FmAudioError(f"--rounds: given {rounds}; give 1 or more, often 5")
    facts: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    taken: dict[str, list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        for contender in contenders:
            tell(f"{contender.name} makes ready")
            stack.callback(contender.stop)
            told = contender.begin()
            if "missing" in told:
                missing[contender.name] = told["missing"]
            else:
                facts[contender.name] = told["facts"]
        here = [c for c in contenders if c.name in facts]
        for i in range(rounds):
            tell(f"round {i + 1} of {rounds}")
            for contender in here[:: 1 if i % 2 == 0 else -1]:
                taken.setdefault(contender.name, []).append(contender.round())
        peaks = {c.name: c.end() for c in here}
    found = []
    for c in here:
        seconds, made = zip(*taken[c.name], strict=True)
        found.append(Measured(c.name, seconds, made, peaks[c.name], facts[c.name]))
        tell(f"{c.name}: {found[-1].median:.4g} s for one of what it makes")  # told at once, in case the rest is not waited for
    return found, missing
