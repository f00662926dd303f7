"""How well are faults found? Recorded speech is broken in known ways, and the verifier judges it broken and whole.

    python -m fm_audio.evaluation.fault_set manifest.jsonl --half dev --fit doubt.json
    python -m fm_audio.evaluation.fault_set manifest.jsonl --half test

Words are found in a recording by aligning its text with an aligned voice that knows the speaker. Each clip's neighbour in the set
serves as the reference that a cloned voice would have had.
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
from fm_audio.evaluation.acoustics import acoustics_of
from fm_audio.evaluation.clips import manifest_lines
from fm_audio.evaluation.doubt import ACOUSTIC, BENT, KINDS, Doubt, above_limit, as_json, fit, limit_for
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

FOUND_BY_SOUND = ("silence", "clip")
OF_WORDS = ("missing", "added", "repeated", "leaked", "garbled", "misfit")  # faults that `doubt` decides on
FOLDS = 10
BROKEN_SHARES = (0.01, 0.02, 0.05)


def load_recordings(manifest: Path, voice: Voice, clips: int, half: str, skip: int = 0) -> list[Recording]:
    """`clips` recordings spread over one half of a manifest: its lines with even numbers ("dev") or odd ones ("test").

    `skip` leaves out so many lines of the half first, for other recordings.
    """
    lines = [line for line in manifest_lines(manifest) if line.number % 2 == (half == "test")]
    if len(lines) < 2 or not all(line.text for line in lines):
        raise FmAudioError(f"{manifest}: needs two lines or more in each half, all with a text")
    picked = lines[skip :: max(1, len(lines) // clips)][:clips]
    found, aligner, speaker = [], Aligner(voice.model), voice.speakers[voice.name]
    for line in picked:
        audio = load_audio(line.path, voice.spec.sample_rate)
        found.append((audio, str(line.text), tuple(aligner.words(audio, str(line.text), speaker))))
    return [Recording(*clip, *found[i - 1]) for i, clip in enumerate(found)]


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
        mine = replace(verifier, reference_text=r.reference_text, speaker=speaker, reference=embedding)
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


def as_strangers(judged: Sequence[Judged]) -> list[Judged]:
    """The same clips, judged as if no acoustic model knew the speaker, as it is with `clone`."""
    made = []
    for j in judged:
        evidence = {name: value for name, value in j.verdict.evidence.items() if name not in ACOUSTIC}
        faults = [f for f in j.verdict.faults if f.kind not in OF_WORDS]
        if evidence and above_limit(evidence) > 0:
            faults.append(Fault("misfit", "by phones and recogniser"))
        made.append(replace(j, verdict=replace(j.verdict, faults=tuple(faults), evidence=evidence)))
    return made


def residual(detection: float, false_alarms: float, broken_share: float, redraws: int = REDRAWS) -> float:
    """Of readings that are handed over as good, the share that has a fault, where so many have one at each draw.

    A reading is drawn again while it is refused, at most `redraws` times; one that is refused to the end is handed over as bad.
    """
    bad, good = broken_share * (1 - detection), (1 - broken_share) * (1 - false_alarms)
    again = 1 - bad - good
    return bad * sum(again**k for k in range(redraws + 1))


def learned(judged: Sequence[Judged], false_alarms: float) -> dict[str, Doubt]:
    """A doubt of each kind of evidence that was had, fitted to this speech, each with the limit above which lies no more than
    this share of the whole clips when their recording was not among those that it was fitted to."""
    known = [j for j in judged if j.verdict.evidence and j.fault not in FOUND_BY_SOUND]
    found = {}
    for kind, names in KINDS.items():
        # `missing` and the like may be lacking where there is nothing that could be missing.
        having = [j for j in known if set(names) - set(BENT) <= set(j.verdict.evidence)]
        if len({j.fault is None for j in having}) < 2:
            continue
        whole, had = (sum(j.fault is None for j in some) for some in (known, having))
        found[kind] = _learned(having, names, min(1.0, false_alarms * whole / had))  # who was not asked about, passed
    return found


def _learned(judged: Sequence[Judged], names: Sequence[str], false_alarms: float) -> Doubt:
    values, faulty = [j.verdict.evidence for j in judged], [j.fault is not None for j in judged]
    texts = sorted({j.verdict.text for j in judged})
    fold = [texts.index(j.verdict.text) % FOLDS for j in judged]
    unseen: list[float] = []
    for k in range(FOLDS):
        rest = [i for i, f in enumerate(fold) if f != k]
        doubt = fit(names, [values[i] for i in rest], [faulty[i] for i in rest])
        unseen += [doubt.log_odds(values[i]) for i, f in enumerate(fold) if f == k and not faulty[i]]
    return fit(names, values, faulty, round(limit_for(unseen, false_alarms), 6))


def report(judged: Sequence[Judged], verifier: Verifier) -> dict[str, Any]:
    """Plain values for JSON."""
    seconds = sum(j.judge_seconds for j in judged)
    return {
        "judge": dict(verifier.recogniser.settings),
        "second_judge": dict(verifier.second.settings) if verifier.second else None,
        "words": asdict(verifier.words),
        "refused": {name: asdict(interval) for name, interval in rates(judged).items()},
        "refused_as_strangers": {name: asdict(interval) for name, interval in rates(as_strangers(judged)).items()},
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


def show(known: Mapping[str, Interval], strangers: Mapping[str, Interval]) -> None:
    """Both `rates` on stdout, and what is left of faults after redraws."""
    for name, interval in known.items():
        print(f"{name:>10}  refused {_shown(interval)}   as a stranger's {_shown(strangers[name])}")
    left = ", ".join(f"{100 * q:g} %: {100 * residual(known['all'].value, known['none'].value, q):.2f} %" for q in BROKEN_SHARES)
    print(f"faults that are left after {REDRAWS} redraws, of a voice that makes one in so many readings: {left}")


def _shown(rate: Interval) -> str:
    return f"{100 * rate.value:5.1f} %  [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.fault_set", description=str(__doc__).splitlines()[0])
    parser.add_argument("manifest", type=Path, help="recordings of the voice's speaker with their texts (.jsonl)")
    parser.add_argument("--voice", default="english/kathleen", help="an aligned voice that knows the speaker")
    parser.add_argument("--half", choices=("dev", "test"), default="dev", help="limits are chosen on dev, figures told on test")
    parser.add_argument("--clips", type=int, default=60, help="recordings (default 60)")
    parser.add_argument("--skip", type=int, default=0, help="lines of the half to leave out first (default 0)")
    parser.add_argument("--each", type=int, default=6, help="broken clips of each fault (default 6)")
    parser.add_argument("--judge", default="whisper-tiny.en", metavar="JUDGE", help="or two with a comma between them")
    parser.add_argument("--no-speaker", action="store_true", help="do without the speaker judge (the fault drift is then missed)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict here")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="write what was learned of evidence here (doubt.json)")
    parser.add_argument("--false-alarms", type=float, default=0.015, metavar="P", help="of --fit, at most (default 0.015)")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        voice = load(given.voice)
        first, second = load_judges(given.judge, "en", given.threads)
        verifier = Verifier(first, acoustics=acoustics_of(voice), second=second, reading=shipped_reading())
        speaker = None if given.no_speaker else SpeakerJudge()
        recordings = load_recordings(given.manifest, voice, given.clips, given.half, given.skip)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    judged = judge_all(recordings, verifier, speaker, given.each)
    everything = report(judged, verifier)
    if given.json:
        given.json.write_text(json.dumps(everything, indent=1, default=str), encoding="utf-8")
    if given.fit:
        given.fit.write_text(as_json(learned(judged, given.false_alarms)), encoding="utf-8")
    print(f"seconds of judging a second of sound: {everything['judge_seconds_per_audio_second']:.2f}")
    show(rates(judged), rates(as_strangers(judged)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
