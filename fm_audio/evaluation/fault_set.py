"""How well are faults found? Recorded speech is broken in known ways, and the verifier judges it broken and whole.

    python -m fm_audio.evaluation.fault_set manifest.jsonl --half dev --fit doubt.json
    python -m fm_audio.evaluation.fault_set manifest.jsonl --half test

Words are found in a recording by aligning its text with an aligned voice that knows the speaker (with --stranger, by the speaker
who fits best). Each clip's neighbour in the set serves as the reference that a cloned voice would have had; what a cloner is
shown of the speaker is the last clip of 3 s or more before it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fm_audio.audio import load_audio
from fm_audio.evaluation.acoustics import acoustics_of, acoustics_shown
from fm_audio.evaluation.clips import manifest_lines
from fm_audio.evaluation.doubt import ACOUSTIC, BENT, KINDS, SHOWN, Doubt, above_limit, as_json, common_limit, fit
from fm_audio.evaluation.faults import FAULTS, Recording, broken
from fm_audio.evaluation.guard import REDRAWS
from fm_audio.evaluation.metrics import Interval, proportion_interval, timed
from fm_audio.evaluation.reading import shipped_reading
from fm_audio.evaluation.recognisers import load_judges
from fm_audio.evaluation.sound import Fault
from fm_audio.evaluation.speaker import SpeakerJudge
from fm_audio.evaluation.verify import Verdict, Verifier
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice, load
from fm_audio.voices.aligner import Aligner

LACKED: Mapping[str, tuple[str, ...]] = {"known": (), "shown": ACOUSTIC, "stranger": (*ACOUSTIC, *SHOWN)}
SHOWN_SECONDS = 3.0
FOUND_BY_SOUND = ("silence", "clip")
OF_WORDS = ("missing", "added", "repeated", "leaked", "garbled", "misfit")  # faults that `doubt` decides on
FOLDS = 10
BROKEN_SHARES = (0.01, 0.02, 0.05)


def load_recordings(
    manifest: Path, voice: Voice, clips: int, half: str, skip: int = 0, stranger: bool = False
) -> list[Recording]:
    """`clips` recordings spread over one half of a manifest: its lines with even numbers ("dev") or odd ones ("test").

    `skip` leaves out so many lines of the half first, for other recordings. A `stranger` is none of the voice's speakers.
    """
    lines = [line for line in manifest_lines(manifest) if line.number % 2 == (half == "test")]
    if len(lines) < 2 or not all(line.text for line in lines):
        raise FmAudioError(f"{manifest}: needs two lines or more in each half, all with a text")
    picked = lines[skip :: max(1, len(lines) // clips)][:clips]
    found, aligner, speaker = [], Aligner(voice.model), None if stranger else voice.speakers[voice.name]
    for line in picked:
        audio = load_audio(line.path, voice.spec.sample_rate)
        found.append((audio, str(line.text), tuple(aligner.words(audio, str(line.text), speaker))))
    said_by = [line.speaker for line in picked]
    others = [_before(i, said_by) or [i - 1] for i in range(len(found))]
    long = [next((found[k][0] for k in before if found[k][0].seconds >= SHOWN_SECONDS), None) for before in others]
    return [Recording(*clip, *found[others[i][0]], long[i]) for i, clip in enumerate(found)]


def _before(i: int, said_by: Sequence[str | None]) -> list[int]:
    """Clips of who says number i, the one before it first, around the beginning."""
    before = ((i - d) % len(said_by) for d in range(1, len(said_by)))
    return [k for k in before if said_by[k] == said_by[i]]


@dataclass(frozen=True)
class Judged:
    """One clip that was judged: the fault it was given (None: none), and what the judge said in how many seconds."""

    fault: str | None
    verdict: Verdict
    audio_seconds: float
    judge_seconds: float


def judge_all(recordings: Sequence[Recording], verifier: Verifier, speaker: SpeakerJudge | None, each: int) -> list[Judged]:
    """Every recording whole, and for each fault `each` of them broken."""
    judged = []
    for i, r in enumerate(recordings):
        embedding = speaker.embed(r.reference) if speaker else None
        shown = acoustics_shown(r.shown) if r.shown is not None and verifier.reading is not None else None
        mine = replace(verifier, reference_text=r.reference_text, speaker=speaker, reference=embedding, shown=shown)
        faults = [f for k, f in enumerate(FAULTS) for n in range(each) if (k + n * len(FAULTS)) % len(recordings) == i]
        for fault in (None, *faults):
            audio = broken(fault, r, seed=i) if fault else r.audio
            verdict, seconds = timed(lambda m=mine, a=audio, t=r.text: m.judge(a, t))  # type: ignore[misc]
            judged.append(Judged(fault, verdict, audio.seconds, seconds))
    return judged


def rates(judged: Sequence[Judged]) -> dict[str, Interval]:
    """Share of clips that were refused: of the whole ones ("none"), of each fault, and of all faults ("all")."""
    refused: dict[str, list[bool]] = {"none": [], "all": []}
    for j in judged:
        refused.setdefault(j.fault or "none", []).append(not j.verdict.ok)
        if j.fault:
            refused["all"].append(not j.verdict.ok)
    return {name: proportion_interval(sum(found), len(found)) for name, found in refused.items() if found}


def as_if(judged: Sequence[Judged], place: str) -> list[Judged]:
    """The same clips, judged as if the speaker were "known" to the acoustic model, only "shown" to one, as with `clone`, or a
    "stranger" to all."""
    made = []
    for j in judged:
        evidence = {name: value for name, value in j.verdict.evidence.items() if name not in LACKED[place]}
        again = redecided(j, bool(evidence) and above_limit(evidence) > 0)
        made.append(replace(again, verdict=replace(again.verdict, evidence=evidence)))
    return made


def redecided(j: Judged, refused: bool) -> Judged:
    """The same clip by what was wrong with its sound, and refused or not by the evidence of its words."""
    faults = [f for f in j.verdict.faults if f.kind not in OF_WORDS]
    if refused:
        faults.append(Fault("misfit", "by all evidence"))
    return replace(j, verdict=replace(j.verdict, faults=tuple(faults)))


def residual(detection: float, false_alarms: float, broken_share: float, redraws: int = REDRAWS) -> float:
    """Of readings that are handed over as good, the share that has a fault, where so many have one at each draw.

    A reading is drawn again while it is refused, at most `redraws` times; one that is refused to the end is handed over as bad.
    """
    bad, good = broken_share * (1 - detection), (1 - broken_share) * (1 - false_alarms)
    again = 1 - bad - good
    return bad * sum(again**k for k in range(redraws + 1))


def learned(groups: Sequence[Sequence[Judged]], false_alarms: float) -> dict[str, Doubt]:
    """A doubt of each kind of evidence that was had, fitted to this speech, each with the limit above which lies no more than
    this share of the whole clips when their recording was not among those that it was fitted to. Groups (speakers, corpora) weigh
    the same, in the weights and in that share; of a kind count those that have evidence of it."""
    found = {}
    for kind, names in KINDS.items():
        sides = [(group, having_evidence(group, names)) for group in groups]
        both = [(group, some) for group, some in sides if len({j.fault is None for j in some}) == 2]
        if not both:
            continue
        having, asked = [some for _, some in both], [j for group, _ in both for j in group if _of_words(j)]
        whole, had = sum(j.fault is None for j in asked), sum(j.fault is None for some in having for j in some)
        share = min(1.0, false_alarms * whole / had)  # who was not asked about, passed
        odds = unseen(having, names)
        limit = common_limit(of_whole(odds, having), share)
        every = [(j, g) for g, some in enumerate(having) for j in some]
        found[kind] = _fit(every, names, round(limit, 6))
    return found


def having_evidence(judged: Sequence[Judged], names: Sequence[str]) -> list[Judged]:
    """Clips of which there is all of this evidence, but for what `doubt` can do without."""
    # `missing` and the like may be lacking where there is nothing that could be missing.
    return [j for j in judged if _of_words(j) and set(names) - set(BENT) <= set(j.verdict.evidence)]


def _of_words(j: Judged) -> bool:
    return bool(j.verdict.evidence) and j.fault not in FOUND_BY_SOUND


def unseen(groups: Sequence[Sequence[Judged]], names: Sequence[str]) -> list[list[float]]:
    """Log odds of each clip by weights from the nine tenths of all texts that its own is not among."""
    every = [(j, g) for g, group in enumerate(groups) for j in group]
    texts = sorted({j.verdict.text for j, _ in every})
    fold = {text: i % FOLDS for i, text in enumerate(texts)}
    doubts = [_fit([(j, g) for j, g in every if fold[j.verdict.text] != k], names) for k in range(FOLDS)]
    return [[doubts[fold[j.verdict.text]].log_odds(j.verdict.evidence) for j in group] for group in groups]


def of_whole(log_odds: Sequence[Sequence[float]], groups: Sequence[Sequence[Judged]]) -> list[list[float]]:
    """Those of clips that were not broken."""
    return [[x for x, j in zip(row, some, strict=True) if j.fault is None] for row, some in zip(log_odds, groups, strict=True)]


def _fit(judged: Sequence[tuple[Judged, int]], names: Sequence[str], limit: float = 0.0) -> Doubt:
    """Of clips and the numbers of their groups."""
    values, faulty = [j.verdict.evidence for j, _ in judged], [j.fault is not None for j, _ in judged]
    return fit(names, values, faulty, limit, [g for _, g in judged])


def report(judged: Sequence[Judged], verifier: Verifier) -> dict[str, Any]:
    """Plain values for JSON."""
    seconds = sum(j.judge_seconds for j in judged)
    return {
        "judge": dict(verifier.recogniser.settings),
        "second_judge": dict(verifier.second.settings) if verifier.second else None,
        "words": asdict(verifier.words),
        "refused": {name: asdict(interval) for name, interval in rates(judged).items()},
        "refused_as_shown": {name: asdict(interval) for name, interval in rates(as_if(judged, "shown")).items()},
        "refused_as_strangers": {name: asdict(interval) for name, interval in rates(as_if(judged, "stranger")).items()},
        "judge_seconds_per_audio_second": seconds / sum(j.audio_seconds for j in judged),
        "clips": [_clip_report(j) for j in judged],
    }


def _clip_report(j: Judged) -> dict[str, Any]:
    weighed = [
        {"kind": s.difference.kind, "words": s.difference.asked or s.difference.heard, "distance": s.difference.distance}
        | {"evidence_nats": s.evidence_nats, "is_fault": s.is_fault}
        for s in j.verdict.suspicions
    ]
    seconds = {"audio_seconds": j.audio_seconds, "judge_seconds": j.judge_seconds}
    said = {**j.verdict.report(), "weighed": weighed, "evidence": dict(j.verdict.evidence)}
    return {"fault": j.fault, "text": j.verdict.text, **seconds, **said}


def show(found: Mapping[str, Mapping[str, Interval]]) -> None:
    """`rates` by place on stdout, and what is left of faults after redraws."""
    for name in next(iter(found.values())):
        print(f"{name:>10}  " + "   ".join(f"{place}: {_shown(some[name])}" for place, some in found.items()))
    for place, some in found.items():
        left = (f"{100 * q:g} %: {100 * residual(some['all'].value, some['none'].value, q):.2f} %" for q in BROKEN_SHARES)
        print(f"{place}: faults left after {REDRAWS} redraws, of a voice that makes one in so many readings: {', '.join(left)}")


def _shown(rate: Interval) -> str:
    return f"{100 * rate.value:5.1f} %  [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.fault_set", description=str(__doc__).splitlines()[0])
    parser.add_argument("manifest", type=Path, help="recordings of the voice's speaker with their texts (.jsonl)")
    parser.add_argument("--voice", default="english/kathleen", help="an aligned voice that knows the speaker")
    parser.add_argument("--stranger", action="store_true", help="the recordings are of nobody whom the voice knows")
    parser.add_argument("--half", choices=("dev", "test"), default="dev", help="limits are chosen on dev, figures told on test")
    parser.add_argument("--clips", type=int, default=60, help="recordings (default 60)")
    parser.add_argument("--skip", type=int, default=0, help="lines of the half to leave out first (default 0)")
    parser.add_argument("--each", type=int, default=6, help="broken clips of each fault (default 6)")
    parser.add_argument("--judge", default="whisper-tiny.en", metavar="JUDGE", help="or two with a comma between them")
    parser.add_argument("--no-speaker", action="store_true", help="do without the speaker judge (the fault drift is then missed)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict here")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="write what was learned of evidence here (doubt.json)")
    parser.add_argument("--false-alarms", type=float, default=0.0175, metavar="P", help="of --fit, at most (default 0.0175)")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        voice = load(given.voice)
        first, second = load_judges(given.judge, "en", given.threads)
        known = None if given.stranger else acoustics_of(voice)
        verifier = Verifier(first, acoustics=known, second=second, reading=shipped_reading())
        speaker = None if given.no_speaker else SpeakerJudge()
        recordings = load_recordings(given.manifest, voice, given.clips, given.half, given.skip, given.stranger)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    judged = judge_all(recordings, verifier, speaker, given.each)
    everything = report(judged, verifier)
    if given.json:
        given.json.write_text(json.dumps(everything, indent=1, default=str), encoding="utf-8")
    if given.fit:
        given.fit.write_text(as_json(learned([judged], given.false_alarms)), encoding="utf-8")
    print(f"seconds of judging a second of sound: {everything['judge_seconds_per_audio_second']:.2f}")
    places = [place for place in LACKED if place != "known" or not given.stranger]
    show({place: rates(as_if(judged, place)) for place in places})
    return 0


if __name__ == "__main__":
    sys.exit(main())
