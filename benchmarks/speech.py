"""Real-time factor and peak memory of a voice beside Matcha-TTS, F5-TTS v1 Base and ZipVoice, at batch 1 and 16.

    python -m benchmarks.speech --zipvoice ../ZipVoice --also bf16 --also compile --json speech.json

    real-time factor = seconds of work / seconds of sound        against = its ratio to the voice's own

All say equally much, each as it samples by default and with its vocoder. Others have random weights, which speed does not see.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.machine import this_machine
from benchmarks.report import Row, report
from benchmarks.rounds import Contender, Measured, add_options, measured
from fm_audio.types import FmAudioError

PEERS = {"Matcha-TTS": "matcha", "F5-TTS v1 Base": "f5", "ZipVoice": "zipvoice"}
WAYS: dict[str, dict[str, Any]] = {"bf16": {"precision": "bf16"}, "compile": {"compile": True}}
NOTES = [
    "The voice reads its texts, from letters to samples; of the others reading is left out, and so is Matcha-TTS's denoiser.",
    "F5-TTS and ZipVoice infill after a reference of three seconds, which is part of their work and not of their sound.",
    "Memory is the most that the process held, Python and torch included; with --device cuda what torch allocated there.",
]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.speech", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--voice", default="heart", metavar="NAME|DIR", help="ours (default: heart)")
    made.add_argument("--also", action="append", default=[], choices=sorted(WAYS), help="the voice so too; may be repeated")
    made.add_argument("--peer", action="append", choices=sorted(PEERS.values()), help="may be repeated (default: all)")
    fewer = "F5-TTS and ZipVoice take N of their steps, which stand for all 32 and 16 (default: all of them)"
    made.add_argument("--peer-steps", type=int, metavar="N", help=fewer)
    made.add_argument("--zipvoice", metavar="DIR", help="a checkout of k2-fsa/ZipVoice, which is on no index")
    made.add_argument("--batch", type=int, nargs="+", default=[1, 16], metavar="N", help="(default: 1 16)")
    made.add_argument("--seconds", type=float, default=3.0, help="of sound for each text, on average (default: 3)")
    add_options(made, (1, 2), 5, "peers of next to no size")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = parser().parse_args(arguments)
    if given.peer_steps is not None and not 1 <= given.peer_steps <= 16:
        print(f"error: --peer-steps: given {given.peer_steps}; give 1 to 16", file=sys.stderr)
        return 2
    machine, tell = this_machine(given.device), partial(print, file=sys.stderr, flush=True)
    rows: list[Row] = []
    missing: dict[str, str] = {}
    try:
        for threads in given.threads:
            for batch in given.batch:
                found, left_out = measured(_contenders(given, batch, threads), given.rounds, tell)
                rows += _rows(batch, threads, found)
                missing |= left_out
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    report("speech", arguments, rows, machine, missing, NOTES, given.json)
    return 0


def _contenders(given: argparse.Namespace, batch: int, threads: int) -> list[Contender]:
    setting = {"batch": batch, "threads": threads, "seconds": given.seconds, "device": given.device, "tiny": given.tiny}
    as_it_is = setting | {"voice": given.voice, "precision": "fp32", "compile": False}
    ours = {given.voice: as_it_is} | {f"{given.voice}, {way}": as_it_is | WAYS[way] for way in given.also}
    voices = [Contender(name, "benchmarks.contenders.heart:speech", how) for name, how in ours.items()]
    peers = {name: module for name, module in PEERS.items() if given.peer is None or module in given.peer}
    of_peers = {"zipvoice": given.zipvoice, "peer_steps": given.peer_steps}
    return voices + [
        Contender(name, f"benchmarks.contenders.{module}:speech", setting | of_peers)
        for name, module in peers.items()
    ]


def _rows(batch: int, threads: int, found: Sequence[Measured]) -> list[Row]:
    return [
        {
            "batch": batch,
            "threads": threads,
            "who": one.name,
            "real-time factor": one.median,
            "least": min(one.each()),
            "most": max(one.each()),
            "against": one.median / found[0].median,
            "peak MB": one.peak_megabytes,
            "parameters": one.facts["parameters"],
            "forwards": one.facts["forwards"],
            "steps timed": one.facts["steps timed"],
        }
        for one in found
    ]


if __name__ == "__main__":
    sys.exit(main())
