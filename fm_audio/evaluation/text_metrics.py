"""What written answers are worth, and how different they are from each other. Units are what white space parts: words, or phones.

    token error = Σ edits to the nearest right answer / Σ its units          item error = share that is no right answer
    distinct-n = different n-grams / n-grams          entropy = −Σ p log₂ p of units          self-BLEU = mean BLEU to the others

Diversity stands beside every quality, since a model that says one thing only is easily fluent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fm_audio.data.text.edits import edit_distance
from fm_audio.evaluation.metrics import Interval, mean_interval, ratio_interval
from fm_audio.types import FmAudioError

DRAWS = 2000  # of the bootstrap; items may be thousands
COMPARED = 200  # texts at most that self-BLEU compares with each other

Units = Sequence[str]


@dataclass(frozen=True)
class Quality:
    """Fractions with their 95 % intervals over items."""

    token_error: Interval
    item_error: Interval


@dataclass(frozen=True)
class Diversity:
    """Of all texts together; entropy in bits of a unit, self_bleu from 0 (all different) to 1 (all the same)."""

    distinct_1: float
    distinct_2: float
    entropy: float
    self_bleu: float


def quality(answers: Sequence[str], right: Sequence[Sequence[str]]) -> Quality:
    """Answers against the right answers of each, of which the nearest counts. Raises FmAudioError where there are none."""
    if not answers or len(answers) != len(right) or not all(right):
        raise FmAudioError(f"{len(answers)} answers for {len(right)} items: give one for each, and a right answer or more")
    edits, units = zip(*(_nearest(a, options) for a, options in zip(answers, right, strict=True)), strict=True)
    return Quality(ratio_interval(edits, units, DRAWS), mean_interval([float(e > 0) for e in edits], DRAWS))


def _nearest(answer: str, right: Sequence[str]) -> tuple[int, int]:
    """Edits to the right answer that takes the fewest, and its units; of several the longest."""
    return min((_apart(answer, r) for r in right), key=lambda d: (d[0], -d[1]))


def _apart(answer: str, right: str) -> tuple[int, int]:
    """Edits, and units of the right answer."""
    wanted = right.split()
    return edit_distance(answer.split(), wanted), max(1, len(wanted))


def diversity(texts: Sequence[str]) -> Diversity:
    """Texts that are all empty are all the same."""
    split = [t.split() for t in texts]
    if not any(split):
        return Diversity(0.0, 0.0, 0.0, 1.0)
    return Diversity(distinct(split, 1), distinct(split, 2), entropy(split), self_bleu(split))


def distinct(texts: Sequence[Units], n: int) -> float:
    """Different n-grams of all texts / n-grams; 0 where there are none (Li et al. 2016)."""
    grams = [g for t in texts for g in _grams(t, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def entropy(texts: Sequence[Units]) -> float:
    """Bits of a unit drawn from all texts together."""
    counts = Counter(unit for t in texts for unit in t)
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values())


def self_bleu(texts: Sequence[Units], most: int = COMPARED) -> float:
    """Mean BLEU of each of the first `most` texts with the others as references (Zhu et al. 2018); 0 for a single one."""
    texts = [t for t in texts if t][:most]
    if len(texts) < 2:
        return 0.0
    return sum(bleu(t, texts[:i] + texts[i + 1 :]) for i, t in enumerate(texts)) / len(texts)


def bleu(text: Units, references: Sequence[Units], longest: int = 4) -> float:
    """Sentence BLEU (Papineni et al. 2002) up to `longest`-grams, or as long as the text is; one is added to the counts above
    unigrams (Lin and Och 2004), of which the text has none else."""
    if not text:
        return 0.0
    logs = []
    for n in range(1, min(longest, len(text)) + 1):
        mine, allowed = Counter(_grams(text, n)), Counter[tuple[str, ...]]()
        for r in references:
            allowed |= Counter(_grams(r, n))
        found, smooth = sum((mine & allowed).values()), float(n > 1)
        if found + smooth == 0:
            return 0.0
        logs.append(math.log((found + smooth) / (sum(mine.values()) + smooth)))
    nearest = min((len(r) for r in references), key=lambda k: (abs(k - len(text)), k))
    return math.exp(sum(logs) / len(logs) + min(0.0, 1 - nearest / len(text)))


def _grams(text: Units, n: int) -> list[tuple[str, ...]]:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
