"""Fault sets, each decided on by what was learned from others: what a judge finds in clips that it has not seen.

    python -m fm_audio.evaluation.fault_set manifest.jsonl --half test --skip 0 --json 0.json
    python -m fm_audio.evaluation.fault_set manifest.jsonl --half test --skip 1 --json 1.json
    python -m fm_audio.evaluation.across 0.json 1.json
    python -m fm_audio.evaluation.across --pooled anna.json carl.json dora.json --fit doubt.json

Pooled, sets of several kinds of speech weigh the same and share one limit, and each clip is decided on by nine tenths of all
texts; what all of them teach is written by --fit. The evidence is in the reports, so that nothing is listened to again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fm_audio.checkpoint import read_json
from fm_audio.evaluation.doubt import KINDS, Doubt, as_json, common_limit
from fm_audio.evaluation.fault_set import LACKED, Judged, having_evidence, learned, of_whole, rates, redecided, show, unseen
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
    """These clips again, refused where the evidence lies above the limit learned from the others. place: known, shown or
    stranger."""
    doubt = learned([by], false_alarms)[f"weighed_{place}"]
    return [redecided(j, bool(j.verdict.evidence) and doubt.log_odds(j.verdict.evidence) > doubt.limit) for j in judged]


def pooled(reports: Sequence[Sequence[Judged]], place: str, false_alarms: float) -> list[list[Judged]]:
    """Clips of several kinds of speech, each decided by weights from nine tenths of all, of which its text is none, and one
    limit for all kinds, by the mean of their false alarms."""
    names = KINDS[f"weighed_{place}"]
    having = [having_evidence(judged, names) for judged in reports]
    odds = unseen(having, names)
    limit = common_limit(of_whole(odds, having), false_alarms)
    refused = {id(j) for row, some in zip(odds, having, strict=True) for x, j in zip(row, some, strict=True) if x > limit}
    return [[redecided(j, id(j) in refused) for j in judged] for judged in reports]


def taught(reports: Sequence[Sequence[Judged]], false_alarms: float, of_known: float) -> dict[str, Doubt]:
    """What several kinds of speech teach of each kind of evidence, with limits by shares of false alarms, `of_known` for a voice
    that the model knows."""
    by, known = (learned(reports, share) for share in (false_alarms, of_known))
    return {kind: (known if kind.endswith("_known") else by)[kind] for kind in by}


def _show_pooled(paths: Sequence[Path], reports: Sequence[Sequence[Judged]], false_alarms: float) -> None:
    there = places(*reports)
    found = {place: pooled(reports, place, false_alarms) for place in there}
    for i, path in enumerate(paths):
        print(path)
        show({place: rates(found[place][i]) for place in there})


def places(*reports: Sequence[Judged]) -> list[str]:
    """Those of which all reports hold evidence. Raises FmAudioError where there is none."""
    common = [place for place in LACKED if all(_has(judged, f"weighed_{place}") for judged in reports)]
    if not common:
        raise FmAudioError("the reports hold no evidence of a judge that can weigh texts; run fault_set with whisper-tiny.en")
    return common


def _has(judged: Sequence[Judged], kind: str) -> bool:
    """Of broken clips and of whole ones."""
    return len({j.fault is None for j in having_evidence(judged, KINDS[kind])}) == 2


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.across", description=str(__doc__).splitlines()[0])
    parser.add_argument("reports", type=Path, nargs="+", metavar="FILE.json", help="of fault_set, on different clips")
    parser.add_argument("--pooled", action="store_true", help="speech of several kinds, which weigh the same: one limit for all")
    parser.add_argument("--false-alarms", type=float, default=0.0175, metavar="P", help="to set limits by (default 0.0175)")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="with --pooled: write what all sets teach here (doubt.json)")
    known = "of --fit, for voices that a model knows (default: --false-alarms)"
    parser.add_argument("--known-false-alarms", type=float, metavar="P", help=known)
    given = parser.parse_args(argv)
    try:
        reports = [judged_in(path) for path in given.reports]
        if given.pooled:
            _show_pooled(given.reports, reports, given.false_alarms)
            if given.fit:
                of_known = given.false_alarms if given.known_false_alarms is None else given.known_false_alarms
                given.fit.write_text(as_json(taught(reports, given.false_alarms, of_known)), encoding="utf-8")
            return 0
        if given.fit or given.known_false_alarms is not None:
            raise FmAudioError("--fit and --known-false-alarms: are for --pooled; fault_set --fit writes what one set teaches")
        if len(reports) != 2:
            raise FmAudioError(f"{len(reports)} reports: give two, or --pooled")
        first, second = reports
        found = {
            place: rates([*decided(first, second, place, given.false_alarms), *decided(second, first, place, given.false_alarms)])
            for place in places(first, second)
        }
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
