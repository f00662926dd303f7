"""The process of one contender: it makes itself ready, then does one round for each line that it is sent, and times it.

    python -m benchmarks.worker benchmarks.contenders.matcha:speech '{"batch": 1, "threads": 2, …}'

What it says is lines of JSON on stdout: {"facts": …} or {"missing": why}; {"seconds", "made"} for each round; and, when nothing
more is sent, {"peak_megabytes"}. Whatever the contender's own code prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest
import torch

from fm_audio.types import FmAudioError


@dataclass(frozen=True)
class Made:
    """What a round made, in seconds of sound, clips or floating-point operations; `more_seconds` is what steps that were left out
    would have taken, judged by those that were not."""

    amount: float
    more_seconds: float = 0.0


@dataclass(frozen=True)
class Ready:
    """A contender that can begin: one round of its work, and `facts` that stand beside its figures."""

    round: Callable[[], Made]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Part:
    """`with Part(device) as part:` times what is within: `part.seconds`."""

    device: str
    seconds: float = 0.0

    def __enter__(self) -> Part:
        wait(self.device)
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        wait(self.device)
        self.seconds = time.perf_counter() - self.start


def main(argv: Sequence[str]) -> int:
    maker, told = argv
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**what: Any) -> None:
        print(json.dumps(what), file=channel, flush=True)

    setting = json.loads(told)
    torch.set_num_threads(setting["threads"])
    module, _, name = maker.partition(":")
    try:
        ready: Ready = getattr(import_module(module), name)(setting)
    except (FmAudioError, pytest.skip.Exception, pytest.fail.Exception) as e:  # the last two: tests.parity.peers finds no package
        say(missing=str(e))
        return 0
    ready.round()
    say(facts=dict(ready.facts))
    for _ in sys.stdin:
        with Part(setting["device"]) as whole:
            made = ready.round()
        say(seconds=whole.seconds + made.more_seconds, made=made.amount)
    say(peak_megabytes=_peak_megabytes(setting["device"]))
    return 0


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _peak_megabytes(device: str) -> float:
    """Of the accelerator what torch allocated at most, else the most memory that the process held, Python and torch included."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
