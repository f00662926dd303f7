"""Recordings made of means: what was done to one is the likeliest of all alternatives, and of a whole one none is likely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fm_audio.encoders.alignment import alignment_log_likelihood, expand
from fm_audio.encoders.timed_alignment import timed_alignment
from fm_audio.evaluation.alternatives import KINDS, alternatives, likeliest
from fm_audio.voices.aligner import Aligned

BANDS, FRAMES = 12, 6
WORDS = [("one", 0, 3), ("two", 3, 5), ("three", 5, 8)]


@pytest.fixture
def sounds() -> Tensor:
    return torch.randn(12, BANDS, generator=torch.Generator().manual_seed(0))  # the text's eight symbols and four others


def heard(sounds: Tensor, order: list[int]) -> Aligned:
    """Symbols of `sounds` said one after the other, a little noisy, laid out as the text 0 … 7."""
    mel = sounds[order].repeat_interleave(FRAMES, 0)
    mel = mel + 0.1 * torch.randn(mel.shape, generator=torch.Generator().manual_seed(1))
    mean, log_expected = sounds[:8], torch.full((8,), float(np.log(FRAMES)))
    likelihood = alignment_log_likelihood(mean[None], mel[None])[0]
    durations = timed_alignment(likelihood, log_expected)
    unlike = (mel - expand(mean[None], durations[None], len(mel))[0]).square().mean(1)
    return Aligned(durations, log_expected, mel, likelihood, unlike)


@pytest.mark.parametrize(
    ("order", "kind", "word"),
    [
        ([0, 1, 2, 5, 6, 7], "missing", "two"),
        ([0, 1, 2, 3, 4, 3, 4, 5, 6, 7], "repeated", "two"),
        ([0, 1, 2, 3, 4, 9, 10, 5, 6, 7], "added", "two"),
        ([8, 9, 10, 3, 4, 5, 6, 7], "garbled", "one"),
    ],
)
def test_what_was_done_is_the_likeliest(sounds: Tensor, order: list[int], kind: str, word: str) -> None:
    best = alternatives(heard(sounds, order), sounds, WORDS, 0.01)[0]
    assert (best.kind, best.word) == (kind, word) and best.evidence > 0


def test_a_whole_recording_has_no_likely_alternative(sounds: Tensor) -> None:
    found = likeliest(alternatives(heard(sounds, list(range(8))), sounds, WORDS, 0.01))
    assert set(found) == set(KINDS)
    broken = likeliest(alternatives(heard(sounds, [0, 1, 2, 5, 6, 7]), sounds, WORDS, 0.01))
    assert max(a.evidence for a in found.values()) < 0.2 * broken["missing"].evidence


def test_the_only_word_cannot_be_missing(sounds: Tensor) -> None:
    found = likeliest(alternatives(heard(sounds, list(range(8))), sounds, [("one", 0, 8)], 0.01))
    assert "missing" not in found and "repeated" in found
