"""A real recording fits its text; with a word cut out, said backwards or put in from elsewhere it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import fm_audio
from fm_audio.audio import Audio, load_audio
from fm_audio.evaluation.acoustics import KINDS, Acoustics, acoustics_of
from fm_audio.evaluation.verify import Verifier
from fm_audio.types import FmAudioError

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[2] / "data/kathleen/000.opus"
RATE = 24_000


@pytest.fixture(scope="module")
def acoustics() -> Acoustics:
    found = acoustics_of(fm_audio.load("kathleen"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def audio() -> Audio:
    return load_audio(RECORDING, RATE)


@pytest.fixture(scope="module")
def spans(acoustics: Acoustics, audio: Audio) -> dict[str, tuple[int, int]]:
    """First sample and one past the last of each word."""
    words = acoustics.aligner.words(audio, SAID)
    return {w.text: (round(w.start_seconds * RATE), round(w.end_seconds * RATE)) for w in words}


def test_a_recording_fits_its_text(acoustics: Acoustics, audio: Audio) -> None:
    assert acoustics.hear(audio, SAID).faults == []
    assert {e.kind for e in acoustics.hear(audio, SAID).oddest} == set(KINDS)


def dropped(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:start], wave[end:]])


def backwards(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:start], wave[start:end][::-1], wave[end:]])


def twice(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:end], wave[start:]])


@pytest.mark.parametrize(("broken", "word"), [(dropped, "evening"), (backwards, "evening"), (twice, "twentieth")])
def test_a_broken_word_is_found_where_it_is(
    broken: Callable[..., np.ndarray], word: str, acoustics: Acoustics, audio: Audio, spans: dict[str, tuple[int, int]]
) -> None:
    start, end = spans[word]
    [fault] = acoustics.hear(Audio(broken(audio.samples, start, end), RATE), SAID).faults
    assert fault.kind == "misfit" and fault.at_seconds is not None
    assert abs(fault.at_seconds - start / RATE) < 0.7 and fault.words[0] in fault.detail


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
    assert acoustics.hear(audio, SAID).fits
    assert [f.kind for f in doubted.faults] == ["garbled"] and trusted.ok and trusted.suspicions


def test_a_text_that_does_not_fit_into_the_sound_is_said_to_be_unchecked(acoustics: Acoustics, audio: Audio) -> None:
    with pytest.raises(FmAudioError):
        acoustics.hear(audio, SAID * 20)


def test_an_adapter_has_none(tiny_voice: Path) -> None:
    voice = fm_audio.load(tiny_voice)
    voice.model.adapters["anna"] = 1
    assert acoustics_of(voice, "anna") is None and acoustics_of(voice, "bernard") is not None
