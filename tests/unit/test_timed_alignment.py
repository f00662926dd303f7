"""Durations that are likely by themselves and by their frames: against every other way, and against what a voice really said."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

import fm_audio
from fm_audio.encoders.alignment import alignment_log_likelihood, monotonic_alignment
from fm_audio.encoders.timed_alignment import timed_alignment, timed_score
from fm_audio.types import FmAudioError


def score(likelihood: torch.Tensor, expected: torch.Tensor, durations: list[int], weight: float) -> float:
    symbols = np.repeat(np.arange(len(durations)), durations)
    scaled = expected + np.log(likelihood.shape[1]) - torch.logsumexp(expected, 0)
    odd = (torch.tensor(durations).log() - scaled).abs().sum()
    return float(likelihood[symbols, np.arange(len(symbols))].sum() - weight * odd)


@pytest.mark.parametrize("weight", [0.0, 0.7, 5.0])
def test_no_other_durations_are_likelier(weight: float) -> None:
    for seed in range(10):
        torch.manual_seed(seed)
        likelihood, expected = torch.randn(4, 11), torch.randn(4)
        found = timed_alignment(likelihood, expected, weight)
        every = [np.diff([0, *cuts, 11]).tolist() for cuts in combinations(range(1, 11), 3)]
        best = max(score(likelihood, expected, d, weight) for d in every)
        assert score(likelihood, expected, found.tolist(), weight) == pytest.approx(best, abs=1e-4)


def test_weights_may_differ_and_the_score_is_that_of_the_best_way() -> None:
    torch.manual_seed(3)
    likelihood, expected, weights = torch.randn(4, 11), torch.randn(4), np.array([3.0, 0.0, 1.0, 0.2])
    found = timed_alignment(likelihood, expected, weights)
    every = [torch.tensor(np.diff([0, *cuts, 11])) for cuts in combinations(range(1, 11), 3)]
    scores = [timed_score(likelihood, expected, d, weights) for d in every]
    assert timed_score(likelihood, expected, found, weights) == pytest.approx(max(scores), abs=1e-6)
    alike = [timed_score(likelihood, expected, d, 0.7) for d in every]
    assert alike == pytest.approx([score(likelihood, expected, d.tolist(), 0.7) for d in every], abs=1e-4)


def test_with_no_weight_it_is_monotonic_alignment_search() -> None:
    torch.manual_seed(1)
    likelihood = torch.randn(12, 80)
    masks = torch.ones(1, 12, dtype=torch.bool), torch.ones(1, 80, dtype=torch.bool)
    assert torch.equal(timed_alignment(likelihood, torch.zeros(12), 0.0), monotonic_alignment(likelihood[None], *masks)[0])


def test_where_frames_say_nothing_durations_are_those_expected() -> None:
    expected = torch.tensor([4.0, 10.0, 2.0, 8.0])
    assert timed_alignment(torch.zeros(4, 48), expected.log()).tolist() == [8, 20, 4, 16]


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(FmAudioError, match="2 frames for 3 symbols"):
        timed_alignment(torch.zeros(3, 2), torch.zeros(3))


def test_it_finds_what_a_voice_said_better_than_a_search_without_durations() -> None:
    """The shipped voice speaks as one speaker, and is aligned by what it knows of another."""
    voice = fm_audio.load()
    model, text = voice.model, "The quick packet kept clicking at the back of the truck."
    spoken = voice.say_detailed(text, seed=1)
    mel = model.spec.log_mel(torch.from_numpy(spoken.audio.samples)[None])[0]
    ids = torch.tensor([model.frontend.encode(text).ids])
    other = model.speaker.weight[model.speaker_index(["af_sarah"])]
    with torch.no_grad():
        encoded = model.text(ids, torch.ones_like(ids, dtype=torch.bool), other)
    likelihood = alignment_log_likelihood(encoded.mean, mel[None])
    masks = torch.ones_like(ids, dtype=torch.bool), torch.ones(1, len(mel), dtype=torch.bool)
    words = model.frontend.encode(text).words

    def off(durations: torch.Tensor) -> float:
        ends = [0, *durations.cumsum(0).tolist()]
        at = [(ends[first], ends[last]) for _, first, last in words]
        said = [(w.start_seconds, w.end_seconds) for w in spoken.words]
        return float(np.abs(np.array(at) / model.spec.frame_hz - np.array(said)).mean())

    timed = off(timed_alignment(likelihood[0], encoded.log_durations[0]))
    assert timed < 0.02 and timed < off(monotonic_alignment(likelihood, *masks)[0])
