"""Two fault sets, each decided on by what was learned from the other: what a judge finds in clips that it has not seen.

    python -m fm_audio.evaluation.fault_set manifest.jsonl --half test --skip 0 --json 0.json
    python -m fm_audio.evaluation.fault_set manifest.jsonl --half test --skip 1 --json 1.json
    python -m fm_audio.evaluation.across 0.json 1.json

The evidence of both is in their reports, so that nothing is listened to again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fm_audio.checkpoint import read_json
from fm_audio.evaluation.fault_set import OF_WORDS, Judged, learned, rates, show
from fm_audio.evaluation.sound import Fault
from fm_audio.evaluation.verify import Verdict
from fm_audio.types import FmAudioError


def judged_in(report: Path) -> list[Judged]:
    """The clips of a report of `fault_set --json`. Raises FmAudioError for any other file."""
    what = "report of fault_set"
    hint = "give a file that python -m fm_audio.evaluation.fault_set wrote with --json"
    said = read_json(report, what, hint)
    try:
        return [
            Judged(
                clip["fault"],
                Verdict(
                    clip["text"], clip["heard"], tuple(Fault(**{**f, "words": tuple(f["words"])}) for f in clip["faults"]),
                    evidence=clip["evidence"],
                ),
                clip["audio_seconds"],
                clip["judge_seconds"],
            )
            for clip in said["clips"]
        ]  # fmt: skip
    except (KeyError, TypeError) as e:
        raise FmAudioError(f"{report}: is no {what} ({e}); {hint}") from e


def decided(judged: Sequence[Judged], by: Sequence[Judged], place: str, false_alarms: float) -> list[Judged]:
    """These clips again, refused where the evidence lies above the limit learned from the others. place: known or stranger."""
    doubts = learned(by, false_alarms)
    if f"weighed_{place}" not in doubts:
        raise FmAudioError("the reports hold no evidence of a judge that can weigh texts; run fault_set with whisper-tiny.en")
    doubt = doubts[f"weighed_{place}"]
    made = []
    for j in judged:
        faults = [f for f in j.verdict.faults if f.kind not in OF_WORDS]
        if j.verdict.evidence and doubt.log_odds(j.verdict.evidence) > doubt.limit:
            faults.append(Fault("misfit", "by all evidence"))
        made.append(replace(j, verdict=replace(j.verdict, faults=tuple(faults))))
    return made


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.across", description=str(__doc__).splitlines()[0])
    parser.add_argument("reports", type=Path, nargs=2, metavar="FILE.json", help="of fault_set, on different clips")
    parser.add_argument("--false-alarms", type=float, default=0.015, metavar="P", help="to set limits by (default 0.015)")
    given = parser.parse_args(argv)
    try:
        first, second = map(judged_in, given.reports)
        known, strangers = (
            rates([*decided(first, second, place, given.false_alarms), *decided(second, first, place, given.false_alarms)])
            for place in ("known", "stranger")
        )
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    show(known, strangers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
