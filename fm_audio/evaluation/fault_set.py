"""How well are faults found? Recorded speech is broken in known ways, and the verifier judges it broken and whole.

    python -m fm_audio.evaluation.fault_set manifest.jsonl --half dev

Words are found in a recording by aligning its text with an aligned voice that knows the speaker. Joints are faded over 10 ms, so
that a fault is what it is called and not a click; the fault "seam" alone is cut hard. Each clip's neighbour in the set serves as
the reference that a cloned voice would have had.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fm_audio.audio import Audio, load_audio
from fm_audio.evaluation.acoustics import acoustics_of
from fm_audio.evaluation.clips import manifest_lines
from fm_audio.evaluation.extras import require
from fm_audio.evaluation.metrics import Interval, proportion_interval, timed
from fm_audio.evaluation.recognisers import load_recogniser
from fm_audio.evaluation.speaker import SpeakerJudge
from fm_audio.evaluation.verify import Verdict, Verifier
from fm_audio.types import FmAudioError
from fm_audio.voices import TimedWord, Voice, load
from fm_audio.voices.aligner import Aligner

FADE_SECONDS = 0.01
SHORTEST_WORD_SECONDS = 0.1  # shorter ones are mostly faults of the alignment; without them nothing is amiss


@dataclass(frozen=True)
class Recording:
    """A clip, its text and when its words are said; another clip of the speaker serves as the reference."""

    audio: Audio
    text: str
    words: tuple[TimedWord, ...]
    reference: Audio
    reference_text: str
    reference_words: tuple[TimedWord, ...]

    def cut(self, start: float, end: float, reference: bool = False) -> np.ndarray:
        """The samples from one second to another, here or in the reference."""
        audio = self.reference if reference else self.audio
        return audio.samples[round(start * audio.sample_rate) : round(end * audio.sample_rate)]

    @property
    def seconds(self) -> float:
        return self.audio.seconds


def _any(words: Sequence[TimedWord], draw: np.random.Generator) -> TimedWord:
    """One of the words that last long enough to be missed, or of all of them."""
    words = [w for w in words if w.end_seconds - w.start_seconds >= SHORTEST_WORD_SECONDS] or words
    return words[int(draw.integers(len(words)))]


def _word_of_reference(r: Recording, draw: np.random.Generator) -> np.ndarray:
    """A word of three letters or more that the text does not have."""
    said = {w.text.lower() for w in r.words}
    others = [w for w in r.reference_words if len(w.text) > 2 and w.text.lower() not in said]
    word = _any(others or r.reference_words, draw)
    return r.cut(word.start_seconds, word.end_seconds, reference=True)


Broken = Callable[[Recording, np.random.Generator], list[np.ndarray]]


def drop(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """One word left out."""
    word = _any(r.words, draw)
    return [r.cut(0, word.start_seconds), r.cut(word.end_seconds, r.seconds)]


def repeat(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """One to three words said again at once."""
    i = int(draw.integers(len(r.words)))
    last = r.words[min(len(r.words), i + int(draw.integers(1, 4))) - 1]
    return [r.cut(0, last.end_seconds), r.cut(r.words[i].start_seconds, r.seconds)]


def insert(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """A word of another recording between two words."""
    at = _any(r.words, draw).start_seconds
    return [r.cut(0, at), _word_of_reference(r, draw), r.cut(at, r.seconds)]


def garble(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """A word of three letters or more played backwards."""
    word = _any([w for w in r.words if len(w.text) > 2] or r.words, draw)
    middle = r.cut(word.start_seconds, word.end_seconds)[::-1]
    return [r.cut(0, word.start_seconds), middle, r.cut(word.end_seconds, r.seconds)]


def swap(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """Another word in a word's place."""
    word = _any([w for w in r.words if len(w.text) > 2] or r.words, draw)
    return [r.cut(0, word.start_seconds), _word_of_reference(r, draw), r.cut(word.end_seconds, r.seconds)]


def leak(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """The last one to four words of the reference come first."""
    first = r.reference_words[-min(len(r.reference_words), int(draw.integers(1, 5)))]
    return [r.cut(first.start_seconds, r.reference.seconds, reference=True), r.audio.samples]


def seam(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """From the middle of a word to the middle of the next, cut out without a fade."""
    i = int(draw.integers(max(1, len(r.words) - 1)))
    a, b = r.words[i], r.words[min(i + 1, len(r.words) - 1)]
    middles = [(w.start_seconds + w.end_seconds) / 2 for w in (a, b)]
    return [np.concatenate([r.cut(0, middles[0]), r.cut(middles[1], r.seconds)])]


def end_early(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """The sound ends within its last word."""
    last = r.words[-1]
    return [r.cut(0, last.start_seconds + 0.4 * (last.end_seconds - last.start_seconds))]


def silence(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """1.5 to 4 s of silence between two words."""
    at = _any(r.words[1:] or r.words, draw).start_seconds
    return [r.cut(0, at), np.zeros(round(draw.uniform(1.5, 4) * r.audio.sample_rate), np.float32), r.cut(at, r.seconds)]


def clip(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """Amplified 12 to 20 dB beyond full scale."""
    gain = 10 ** (draw.uniform(12, 20) / 20) / np.abs(r.audio.samples).max()
    return [np.clip(r.audio.samples * np.float32(gain), -1, 1)]


def drift(r: Recording, draw: np.random.Generator) -> list[np.ndarray]:
    """The second half in another voice: a fifth lower, formants and all."""
    librosa = require("librosa", "the fault drift")
    middle = min((w.start_seconds for w in r.words), key=lambda t: abs(t - r.seconds / 2))
    rest = r.cut(middle, r.seconds)
    return [r.cut(0, middle), librosa.effects.pitch_shift(rest, sr=r.audio.sample_rate, n_steps=-7)]


FAULTS: dict[str, Broken] = {
    f.__name__: f for f in (drop, repeat, insert, garble, swap, leak, seam, end_early, silence, clip, drift)
}


def broken(fault: str, recording: Recording, seed: int) -> Audio:
    """The recording with a fault, drawn by the seed."""
    pieces = FAULTS[fault](recording, np.random.default_rng(seed))
    n = round(FADE_SECONDS * recording.audio.sample_rate)
    wave = pieces[0]
    for piece in pieces[1:]:
        k = min(n, len(wave), len(piece))
        rise = np.linspace(0, 1, k, dtype=np.float32)
        wave = np.concatenate([wave[: len(wave) - k], wave[len(wave) - k :] * (1 - rise) + piece[:k] * rise, piece[k:]])
    return Audio(wave.astype(np.float32), recording.audio.sample_rate)


def load_recordings(manifest: Path, voice: Voice, clips: int, half: str, skip: int = 0) -> list[Recording]:
    """`clips` recordings spread over one half of a manifest: its lines with even numbers ("dev") or odd ones ("test").

    `skip` leaves out so many lines of the half first, for other recordings.
    """
    lines = [line for line in manifest_lines(manifest) if line.number % 2 == (half == "test")]
    if len(lines) < 2 or not all(line.text for line in lines):
        raise FmAudioError(f"{manifest}: needs two lines or more in each half, all with a text")
    picked = lines[skip :: max(1, len(lines) // clips)][:clips]
    found, aligner = [], Aligner(voice.model)
    for line in picked:
        audio = load_audio(line.path, voice.spec.sample_rate)
        found.append((audio, str(line.text), tuple(aligner.words(audio, str(line.text)))))
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


def report(judged: Sequence[Judged], verifier: Verifier) -> dict[str, Any]:
    """Plain values for JSON."""
    seconds = sum(j.judge_seconds for j in judged)
    return {
        "judge": dict(verifier.recogniser.settings),
        "words": asdict(verifier.words),
        "refused": {name: asdict(interval) for name, interval in rates(judged).items()},
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
    return {"fault": j.fault, "text": j.verdict.text, **seconds, **j.verdict.report(), "weighed": weighed}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.fault_set", description=str(__doc__).splitlines()[0])
    parser.add_argument("manifest", type=Path, help="recordings of the voice's speaker with their texts (.jsonl)")
    parser.add_argument("--voice", default="english/kathleen", help="an aligned voice that knows the speaker")
    parser.add_argument("--half", choices=("dev", "test"), default="dev", help="limits are chosen on dev, figures told on test")
    parser.add_argument("--clips", type=int, default=60, help="recordings (default 60)")
    parser.add_argument("--skip", type=int, default=0, help="lines of the half to leave out first (default 0)")
    parser.add_argument("--each", type=int, default=6, help="broken clips of each fault (default 6)")
    parser.add_argument("--judge", default="whisper-tiny.en", metavar="JUDGE")
    parser.add_argument("--no-speaker", action="store_true", help="do without the speaker judge (the fault drift is then missed)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        voice = load(given.voice)
        verifier = Verifier(load_recogniser(given.judge, "en", given.threads), acoustics=acoustics_of(voice))
        speaker = None if given.no_speaker else SpeakerJudge()
        recordings = load_recordings(given.manifest, voice, given.clips, given.half, given.skip)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    judged = judge_all(recordings, verifier, speaker, given.each)
    everything = report(judged, verifier)
    if given.json:
        given.json.write_text(json.dumps(everything, indent=1, default=str), encoding="utf-8")
    for name, interval in rates(judged).items():
        print(f"{name:>10}  refused {100 * interval.value:5.1f} %  [{100 * interval.low:.1f}, {100 * interval.high:.1f}]")
    print(f"seconds of judging a second of sound: {everything['judge_seconds_per_audio_second']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
