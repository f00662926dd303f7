"""A real recording fits its text; with a word cut out, said backwards or put in from elsewhere it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fm_audio
from fm_audio.audio import Audio, load_audio
from fm_audio.evaluation.acoustics import Acoustics, acoustics_of
from fm_audio.evaluation.alternatives import KINDS
from fm_audio.evaluation.doubt import ACOUSTIC, doubt_of
from fm_audio.evaluation.verify import Verifier
from fm_audio.types import FmAudioError

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[2] / "data/kathleen/000.opus"
RATE = 24_000


@pytest.fixture(scope="module")
def acoustics() -> Acoustics:
    return acoustics_of(fm_audio.load("kathleen"))


@pytest.fixture(scope="module")
def audio() -> Audio:
    return load_audio(RECORDING, RATE)


@pytest.fixture(scope="module")
def spans(acoustics: Acoustics, audio: Audio) -> dict[str, tuple[int, int]]:
    """First sample and one past the last of each word."""
    words = acoustics.aligner.words(audio, SAID)
    return {w.text: (round(w.start_seconds * RATE), round(w.end_seconds * RATE)) for w in words}


def odds(acoustics: Acoustics, audio: Audio) -> float:
    """Above those that are refused, where a recogniser wrote down what was asked for."""
    values = {**acoustics.hear(audio, SAID).values, "distance": 0.0}
    return doubt_of(values).log_odds(values) - doubt_of(values).limit


def test_a_recording_fits_its_text(acoustics: Acoustics, audio: Audio) -> None:
    heard = acoustics.hear(audio, SAID)
    assert set(heard.likeliest) == set(KINDS) and set(heard.values) == set(ACOUSTIC)
    assert odds(acoustics, audio) < 0


def dropped(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:start], wave[end:]])


def backwards(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:start], wave[start:end][::-1], wave[end:]])


def twice(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:end], wave[start:]])


@pytest.mark.parametrize(
    ("broken", "word", "kind"),
    [(dropped, "evening", "missing"), (backwards, "evening", "garbled"), (twice, "twentieth", "repeated")],
)
def test_a_broken_word_is_found_where_it_is(
    broken: Callable[..., np.ndarray],
    word: str,
    kind: str,
    acoustics: Acoustics,
    audio: Audio,
    spans: dict[str, tuple[int, int]],
) -> None:
    start, end = spans[word]
    bad = Audio(broken(audio.samples, start, end), RATE)
    heard = acoustics.hear(bad, SAID)
    found = heard.likeliest[kind]
    assert found.evidence > acoustics.hear(audio, SAID).likeliest[kind].evidence + 300
    assert found.word == word and abs(found.at_seconds - start / RATE) < 0.7
    assert odds(acoustics, bad) > 0 > odds(acoustics, audio)
    fault = heard.fault({kind: 1.0})
    assert fault.kind == "misfit" and fault.words == (word,) and word in fault.detail


def test_the_verdict_of_a_judge_who_hears_what_he_expects_counts_it(
    acoustics: Acoustics, audio: Audio, spans: dict[str, tuple[int, int]]
) -> None:
    class Polite:
        settings = {"name": "polite"}

        def transcribe(self, audio: Audio) -> str:
            return SAID

    bad = Audio(dropped(audio.samples, *spans["evening"]), RATE)
    with_it, without = (Verifier(Polite(), acoustics=a).judge(bad, SAID) for a in (acoustics, None))  # type: ignore[arg-type]
    assert without.ok and "misfit: no acoustic model knows the speaker" in without.unchecked
    assert [f.kind for f in with_it.faults] == ["misfit"] and not with_it.unchecked


def test_doubts_of_words_are_the_recognisers_where_the_sound_fits(acoustics: Acoustics, audio: Audio) -> None:
    class Hard:
        settings = {"name": "hard of hearing"}

        def transcribe(self, audio: Audio) -> str:
            return SAID.replace("shook", "forgot")

    doubted, trusted = (Verifier(Hard(), acoustics=a).judge(audio, SAID) for a in (None, acoustics))  # type: ignore[arg-type]
    assert odds(acoustics, audio) < 0
    assert [f.kind for f in doubted.faults] == ["garbled"] and trusted.ok and trusted.suspicions


def test_a_text_that_does_not_fit_into_the_sound_is_said_to_be_unchecked(acoustics: Acoustics, audio: Audio) -> None:
    with pytest.raises(FmAudioError):
        acoustics.hear(audio, SAID * 20)
