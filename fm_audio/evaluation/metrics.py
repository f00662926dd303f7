"""Word and character error with their uncertainty, words left out or said twice, and the real-time factor.

    error rate = Σ edits / Σ units of the reference,   edits = substitutions + deletions + insertions

summed over sentences before dividing. Intervals are percentile bootstraps over sentences (Efron and Tibshirani 1993, ch. 13): a
sentence is drawn with all its words, since errors within one are not independent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np

from fm_audio.evaluation.normalise import normalise
from fm_audio.extras import require
from fm_audio.types import FmAudioError

T = TypeVar("T")


@dataclass(frozen=True)
class Edits:
    """How one sequence of units (words, or characters) was turned into another."""

    units: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        return self.total / self.units


@dataclass(frozen=True)
class SentenceScore:
    """One sentence: what was asked for and what was heard, both normalised, and the edits between them."""

    reference: str
    heard: str
    words: Edits
    characters: Edits
    left_out: list[str]
    said_twice: list[str]


@dataclass(frozen=True)
class Interval:
    """A value with the interval that holds it with probability `confidence`."""

    value: float
    low: float
    high: float
    confidence: float = 0.95


def score_sentence(reference: str, heard: str, language: str = "en") -> SentenceScore:
    """Compare the text asked for with the transcript of what was said.

    Raises FmAudioError when the reference has no words, because its error rate does not exist.
    """
    jiwer = require("jiwer", "word error rates")
    asked, got = normalise(reference, language), normalise(heard, language)
    if not asked:
        raise FmAudioError(f"sentence {reference!r} has no words to score; give one with letters or numbers")
    words, characters = jiwer.process_words(asked, got), jiwer.process_characters(asked, got)
    chunks = words.alignments[0]
    return SentenceScore(
        reference=asked,
        heard=got,
        words=_edits(words, len(asked.split())),
        characters=_edits(characters, len(asked)),
        left_out=_left_out(asked.split(), got.split(), chunks),
        said_twice=_said_twice(got.split(), chunks),
    )


def _edits(output: Any, units: int) -> Edits:
    return Edits(units, output.substitutions, output.deletions, output.insertions)


def _left_out(asked: list[str], got: list[str], chunks: list[Any]) -> list[str]:
    """Deleted words, less those a recogniser only wrote together with a neighbour ("door knob" heard as "doorknob")."""
    joined = {a + b for a, b in zip(asked, asked[1:], strict=False)} & set(got) - set(asked)
    missing: list[str] = []
    for chunk in chunks:
        if chunk.type != "delete":
            continue
        for i in range(chunk.ref_start_idx, chunk.ref_end_idx):
            if not any("".join(asked[j : j + 2]) in joined for j in (i - 1, i) if j >= 0):
                missing.append(asked[i])
    return missing


def _said_twice(got: list[str], chunks: list[Any]) -> list[str]:
    """Inserted words that repeat a neighbour, singly ("the the cat") or as a phrase ("the cat the cat sat")."""
    twice: list[str] = []
    for chunk in chunks:
        if chunk.type != "insert":
            continue
        start, end = chunk.hyp_start_idx, chunk.hyp_end_idx
        for i in range(start, end):
            distances = {1, end - start}
            neighbours = [j for p in distances for j in (i - p, i + p) if 0 <= j < len(got)]
            if any(got[j] == got[i] for j in neighbours):
                twice.append(got[i])
    return twice


def rate_interval(edits: Sequence[Edits], draws: int = 10_000, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Error rate over sentences with its bootstrap interval. The same seed gives the same interval."""
    return ratio_interval([e.total for e in edits], [e.units for e in edits], draws, seed, confidence)


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], draws: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Σ parts / Σ wholes with its bootstrap interval; part and whole of an item are drawn together."""
    above, below = (np.asarray(values, dtype=np.float64) for values in (parts, wholes))
    picks = _picks(len(above), draws, seed)
    return _interval(above.sum() / below.sum(), above[picks].sum(1) / below[picks].sum(1), confidence)


def difference_interval(
    edits: Sequence[Edits], baseline: Sequence[Edits], draws: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Error rate minus the baseline's on the same sentences, drawn in pairs, so that hard sentences cancel."""
    errors = np.array([e.total - b.total for e, b in zip(edits, baseline, strict=True)], dtype=np.float64)
    units = np.array([e.units for e in edits], dtype=np.float64)
    picks = _picks(len(edits), draws, seed)
    return _interval(errors.sum() / units.sum(), errors[picks].sum(1) / units[picks].sum(1), confidence)


def mean_interval(values: Sequence[float], draws: int = 10_000, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Mean over sentences with its bootstrap interval."""
    numbers = np.asarray(values, dtype=np.float64)
    return _interval(numbers.mean(), numbers[_picks(len(numbers), draws, seed)].mean(1), confidence)


def grouped_interval(groups: Sequence[Sequence[float]], draws: int = 10_000, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Mean of the groups' means, with a bootstrap that draws groups and then values within them (Davison and Hinkley 1997, 3.8).

    For values that share a cause, as sentences of one speaker do: what is said is said of other speakers too.
    """
    rng, k = np.random.default_rng(seed), len(groups)
    drawn = np.stack([_means(np.asarray(g, dtype=np.float64), (draws, k), rng) for g in groups])  # group, draw, place
    picks = rng.integers(0, k, (draws, k))
    means = np.take_along_axis(drawn, picks[None], 0)[0].mean(1)
    return _interval(float(np.mean([np.mean(g) for g in groups])), means, confidence)


def _means(values: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Means of values drawn again, as many as there are."""
    return values[rng.integers(0, len(values), (*shape, len(values)))].mean(-1)


def proportion_interval(hits: int, count: int, confidence: float = 0.95) -> Interval:
    """hits / count with Wilson's score interval (Wilson 1927), which stays honest at no hit or only hits.

    Raises FmAudioError when nothing was counted.
    """
    if count < 1:
        raise FmAudioError("a proportion of nothing: count at least one")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, total = hits / count, count + z**2
    middle = (hits + z**2 / 2) / total
    half = z / total * (count * share * (1 - share) + z**2 / 4) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), confidence)


def _picks(n: int, draws: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, (draws, n))


def _interval(value: float, drawn: np.ndarray, confidence: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(low), float(high), confidence)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What the call gives and the seconds it took on the wall clock."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def real_time_factor(compute_seconds: Sequence[float], audio_seconds: Sequence[float]) -> float:
    """Σ seconds of computing / Σ seconds of audio; below 1 is faster than real time. Warm up before timing."""
    return sum(compute_seconds) / sum(audio_seconds)
