"""A corpus with joints: in a copy of each clip words are said again, left out, put in, in another's place, or in front of it.

The text of a cut is what is said in it then, and `other_text` what was said before. Who learns from both whether a text is what
is said (`recipes/phones/matched.yaml`) learns nothing from the joints, which are the same for either. Words are found by
alignment (`fm_audio.voices.aligner`); every second copy is also perturbed (`fm_audio.data.perturb_waves`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.copies import copy_of, write_copies
from data_prep.prepare import run
from fm_audio.audio import Audio
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.perturb_waves import WavePerturbation
from fm_audio.evaluation.faults import joined
from fm_audio.types import FmAudioError
from fm_audio.voices import TimedWord, load
from fm_audio.voices.aligner import Aligner

if TYPE_CHECKING:
    from lhotse.cut import Cut

EXAMPLE = "example: python -m data_prep.spliced data/new_voices/cuts.jsonl.gz data/new_voices_spliced"
SUFFIX = "j"
FADE_SECONDS = (0.003, 0.03)
PERTURBED = 0.5
SHORTEST_SECONDS = 0.4
RECENT = 60  # clips from which words are taken


@dataclass(frozen=True)
class Said:
    """A clip and when its words are said."""

    samples: np.ndarray
    sample_rate: int
    words: tuple[TimedWord, ...]

    def cut(self, start: float, end: float) -> np.ndarray:
        return self.samples[max(0, round(start * self.sample_rate)) : max(0, round(end * self.sample_rate))]

    def before(self, at: int) -> np.ndarray:
        return self.cut(0.0, self.words[at].start_seconds)

    def since(self, at: int) -> np.ndarray:
        """From the beginning of a word on."""
        return self.samples[max(0, round(self.words[at].start_seconds * self.sample_rate)) :]

    def behind(self, at: int) -> np.ndarray:
        """From the end of a word on."""
        return self.samples[max(0, round(self.words[at].end_seconds * self.sample_rate)) :]

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.words]


Joint = tuple[list[np.ndarray], list[str]]  # pieces, and the words that are said in them


def again(clip: Said, other: Said, draw: np.random.Generator) -> Joint:
    at = int(draw.integers(len(clip.words)))
    last = min(len(clip.words), at + int(draw.integers(1, 4)))
    return [clip.cut(0.0, clip.words[last - 1].end_seconds), clip.since(at)], clip.texts[:last] + clip.texts[at:]


def without(clip: Said, other: Said, draw: np.random.Generator) -> Joint:
    at = int(draw.integers(len(clip.words)))
    return [clip.before(at), clip.behind(at)], clip.texts[:at] + clip.texts[at + 1 :]


def _word(of: Said, draw: np.random.Generator) -> tuple[np.ndarray, str]:
    word = of.words[int(draw.integers(len(of.words)))]
    return of.cut(word.start_seconds, word.end_seconds), word.text


def put_in(clip: Said, other: Said, draw: np.random.Generator) -> Joint:
    at = int(draw.integers(len(clip.words)))
    piece, text = _word(other, draw)
    return [clip.before(at), piece, clip.since(at)], [*clip.texts[:at], text, *clip.texts[at:]]


def instead(clip: Said, other: Said, draw: np.random.Generator) -> Joint:
    at = int(draw.integers(len(clip.words)))
    piece, text = _word(other, draw)
    return [clip.before(at), piece, clip.behind(at)], [*clip.texts[:at], text, *clip.texts[at + 1 :]]


def in_front(clip: Said, other: Said, draw: np.random.Generator) -> Joint:
    first = len(other.words) - int(draw.integers(1, min(4, len(other.words)) + 1))
    return [other.since(first), clip.samples], other.texts[first:] + clip.texts


KINDS: tuple[Callable[[Said, Said, np.random.Generator], Joint], ...] = (again, again, without, put_in, instead, in_front)


def faded(pieces: Sequence[np.ndarray], sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    """One wave, faded over a time that is drawn for each joint."""
    some = [piece for piece in pieces if len(piece)]
    return joined(some, [round(draw.uniform(*FADE_SECONDS) * sample_rate) for _ in some[1:]])


def spliced(cuts: Sequence[Cut], audio: Path, aligner: Aligner, seed: int) -> Iterator[Any]:
    """One cut for each that words were found in and a joint was made of, in files of their own."""
    perturbation, known = WavePerturbation(), list[Said]()
    for cut in cuts:
        rate, [supervision] = cut.recording.sampling_rate, cut.supervisions
        samples, draw = wave_of_cut(cut, rate), np.random.default_rng([seed, *cut.id.encode()])
        try:
            clip = Said(samples, rate, tuple(aligner.words(Audio(samples, rate), supervision.text)))
        except FmAudioError:
            continue
        recent = [other for other in known[-RECENT:] if other.sample_rate == rate]
        other = recent[int(draw.integers(len(recent)))] if recent and draw.random() < 0.5 else clip
        known.append(clip)
        pieces, words = KINDS[int(draw.integers(len(KINDS)))](clip, other, draw)
        if not words or words == clip.texts or sum(map(len, pieces)) < SHORTEST_SECONDS * rate:
            continue
        wave = faded(pieces, rate, draw)
        if draw.random() < PERTURBED:
            wave, _ = perturbation(wave, rate, draw)
        yield copy_of(cut, f"{cut.id}{SUFFIX}", wave, audio, " ".join(words), {"other_text": " ".join(clip.texts)})


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.spliced", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cuts", type=Path, metavar="CUTS", help="a cut manifest that data_prep wrote")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for audio, cuts.jsonl.gz and report.json")
    parser.add_argument("--voice", default="heart", help="an aligned voice that finds the words, anybody's (heart)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    cuts = list(load_cuts(args.cuts))
    audio = args.out / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    made = list(spliced(cuts, audio.resolve(), Aligner(load(args.voice).model), args.seed))
    if not made:
        raise FmAudioError(f"{args.cuts}: no joint could be made; give clips of two words or more")
    report = {"source": str(args.cuts), "voice": args.voice, "seed": args.seed, "of": len(cuts)}
    told = write_copies(args.out, made, report)
    print(f"{args.out}: {len(made)} clips of {len(cuts)}, {told['hours']} h")


if __name__ == "__main__":
    run(main)
