"""What else may a recording say than its text? Each text with one fault is laid along it as well, and its score is compared.

    evidence for a fault = (score of the text with it − score of the text) / σ²      σ²: mean squared misfit of the recording

Scores are those of `fm_audio.encoders.timed_alignment`, under means of unit variance. What nobody asked for, or another word in
the place of one, is a symbol whose mean in each frame is that of whatever symbol of the speaker is nearest, less a fine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fm_audio.encoders.alignment import alignment_log_likelihood
from fm_audio.encoders.timed_alignment import WEIGHT, timed_alignment, timed_score
from fm_audio.voices.aligner import Aligned

KINDS = ("missing", "repeated", "added", "garbled")
MOST_TWICE = 3  # words in a row that are tried twice
FINES = {"added": 0.0, "garbled": 3.0}  # nats a frame
ANYTHING_FRAMES = 12.0  # about how long anything lasts; longer and shorter cost nothing
MARGIN_FRAMES = 48  # how far the search looks; narrower than for an alignment that has to be right
LEAST_MISFIT = 1e-3

Words = Sequence[tuple[str, int, int]]


@dataclass(frozen=True)
class Alternative:
    """A fault of one of `KINDS`, the word that it befalls (that stands before what was added), when, and the evidence for it."""

    kind: str
    word: str
    at_seconds: float
    evidence: float


def alternatives(found: Aligned, sounds: Tensor, words: Words, frame_seconds: float) -> list[Alternative]:
    """Every fault that was weighed, the likeliest first. `sounds` (k bands) are means of all that the speaker may say."""
    likelihood, log_durations = found.log_likelihood, found.log_expected
    m, n = likelihood.shape
    free = alignment_log_likelihood(sounds[None], found.heard[None])[0].amax(0)
    rows = torch.cat([likelihood, *((free - fine)[None] for fine in FINES.values())])
    expected = torch.cat([log_durations, log_durations.new_full((len(FINES),), float(np.log(ANYTHING_FRAMES)))])
    weights = np.r_[np.full(m, WEIGHT), np.zeros(len(FINES))]
    as_asked = timed_score(likelihood, log_durations, found.durations)
    misfit = max(LEAST_MISFIT, float(found.unlike.mean()))
    ends = np.concatenate([[0], found.durations.cumsum(0).cpu().numpy()])
    weighed = []
    for kind, word, symbol, order in _faults(words, m):
        if not 0 < len(order) <= n:
            continue
        chosen = rows[torch.from_numpy(order)], expected[torch.from_numpy(order)]
        durations = timed_alignment(*chosen, weights[order], MARGIN_FRAMES)
        evidence = (timed_score(*chosen, durations, weights[order]) - as_asked) / misfit
        weighed.append(Alternative(kind, word, float(ends[symbol]) * frame_seconds, evidence))
    return sorted(weighed, key=lambda a: -a.evidence)


def likeliest(weighed: Sequence[Alternative]) -> dict[str, Alternative]:
    """Of each kind that was weighed the likeliest."""
    return {kind: next(a for a in weighed if a.kind == kind) for kind in KINDS if any(a.kind == kind for a in weighed)}


def _faults(words: Words, m: int) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Kind, word, its symbol, and the symbols in the order of a text with that fault; m and m + 1 stand for anything."""
    added, garbled = (m + list(FINES).index(kind) for kind in ("added", "garbled"))
    every = np.arange(m)
    yield "added", words[0][0], 0, np.r_[added, every]
    for k, (word, first, last) in enumerate(words):
        if len(words) > 1:
            yield "missing", word, first, np.r_[every[:first], every[last:]]
        for _, _, end in words[k : k + MOST_TWICE]:
            yield "repeated", word, first, np.r_[every[:end], every[first:]]
        yield "added", word, last - 1, np.r_[every[:last], added, every[last:]]
        yield "garbled", word, first, np.r_[every[:first], garbled, every[last:]]
