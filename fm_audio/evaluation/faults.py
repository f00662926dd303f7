"""Recorded speech that is broken in known ways, to measure who shall notice.

Joints are faded over 10 ms, so that a fault is what it is called and not a click; the fault "seam" alone is cut hard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fm_audio.audio import Audio
from fm_audio.extras import require
from fm_audio.voices import TimedWord

FADE_SECONDS = 0.01
SHORTEST_WORD_SECONDS = 0.1  # shorter ones are mostly faults of the alignment; without them nothing is amiss


@dataclass(frozen=True)
class Recording:
    """A clip, its text and when its words are said; another clip of the speaker serves as the reference. `shown` is one that is
    long enough to be shown to a model that clones, if there is any."""

    audio: Audio
    text: str
    words: tuple[TimedWord, ...]
    reference: Audio
    reference_text: str
    reference_words: tuple[TimedWord, ...]
    shown: Audio | None = None

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
    return Audio(joined(pieces, [n] * (len(pieces) - 1)), recording.audio.sample_rate)


def joined(pieces: Sequence[np.ndarray], overlaps: Sequence[int]) -> np.ndarray:
    """One wave of pieces (s,), each faded into the next over so many samples, or over as many as there are."""
    wave = pieces[0]
    for piece, overlap in zip(pieces[1:], overlaps, strict=True):
        k = min(overlap, len(wave), len(piece))
        rise = np.linspace(0, 1, k, dtype=np.float32)
        wave = np.concatenate([wave[: len(wave) - k], wave[len(wave) - k :] * (1 - rise) + piece[:k] * rise, piece[k:]])
    return wave.astype(np.float32)
