"""F5-TTS v1 Base in our house and in its own package: seconds of a forward and of a training step.

    python -m benchmarks.house --threads 2 --json house.json

Both have the same network, optimizer and clips, and random weights; tests/parity shows that with equal weights they say the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.machine import this_machine
from benchmarks.report import Row, report
from benchmarks.rounds import Contender, add_options, measured
from fm_audio.types import FmAudioError

WORKS = ("forward", "step")
NOTES = [
    "A forward is the text encoder and one velocity; a step is loss, backward, clipping and AdamW (fused, in both).",
    "Memory is the most that the process held, Python and torch included; with --device cuda what torch allocated there.",
]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.house", description=(__doc__ or "").splitlines()[0])
    sizes = "clips and frames of the longest, 93.75 a second; may be repeated (default: 1x300 2x500)"
    made.add_argument("--size", action="append", type=_size, metavar="BxN", help=sizes)
    made.add_argument("--work", action="append", choices=WORKS, help="may be repeated (default: both)")
    precision = "bf16: autocast, as both train (default: fp32)"
    made.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help=precision)
    add_options(made, (2,), 5, "next to no parameters")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = parser().parse_args(arguments)
    machine, tell = this_machine(given.device), partial(print, file=sys.stderr, flush=True)
    rows: list[Row] = []
    missing: dict[str, str] = {}
    try:
        for threads in given.threads:
            for work in given.work or WORKS:
                for batch, frames in given.size or [(1, 300), (2, 500)]:
                    setting = {
                        "work": work, "batch": batch, "frames": frames, "precision": given.precision, "threads": threads,
                        "tiny": given.tiny, "device": given.device,
                    }  # fmt: skip
                    names = {"fm_audio": "ours", "f5-tts": "theirs"}
                    both = [Contender(who, f"benchmarks.contenders.house:{maker}", setting) for who, maker in names.items()]
                    found, left_out = measured(both, given.rounds, tell)
                    missing |= left_out
                    rows += [
                        {
                            "work": work,
                            "clips x frames": f"{batch}x{frames}",
                            "threads": threads,
                            "who": one.name,
                            "seconds": one.median * batch,
                            "least": min(one.seconds),
                            "most": max(one.seconds),
                            "against": one.median / found[0].median,
                            "peak MB": one.peak_megabytes,
                            "parameters": one.facts["parameters"],
                        }
                        for one in found
                    ]
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    report("house", arguments, rows, machine, missing, [f"Precision: {given.precision}.", *NOTES], given.json)
    return 0


def _size(text: str) -> tuple[int, int]:
    clips, _, frames = text.partition("x")
    if not (clips.isdecimal() and frames.isdecimal() and int(clips) > 0 and int(frames) > 0):
        raise argparse.ArgumentTypeError(f"given {text}; give clips x frames, such as 2x500")
    return int(clips), int(frames)


if __name__ == "__main__":
    sys.exit(main())
