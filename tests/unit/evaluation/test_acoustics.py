"""A real recording fits its text; with a word cut out, said backwards or put in from elsewhere it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fm_audio
from fm_audio.audio import Audio, load_audio
from fm_audio.evaluation.acoustics import Acoustics, acoustics_of, acoustics_shown
from fm_audio.evaluation.alternatives import KINDS
from fm_audio.evaluation.clips import manifest_lines
from fm_audio.evaluation.doubt import ACOUSTIC, SHOWN, above_limit
from fm_audio.evaluation.reading import Reading
from fm_audio.evaluation.recognisers import Heard
from fm_audio.evaluation.verify import Verifier
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner
from fm_audio.voices.cloner import load_cloner
from fm_audio.voices.expected import OfSeen

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
def spans(audio: Audio) -> dict[str, tuple[int, int]]:
    """First sample and one past the last of each word."""
    words = Aligner(fm_audio.load("kathleen").model).words(audio, SAID)
    return {w.text: (round(w.start_seconds * RATE), round(w.end_seconds * RATE)) for w in words}


def odds(acoustics: Acoustics, shipped: Reading, audio: Audio) -> float:
    """Above those that are refused, where a recogniser wrote down what was asked for."""
    return above_limit({**acoustics.hear(audio, SAID).values, **shipped.hear(audio, SAID).values, "distance": 0.0})


@pytest.mark.slow
def test_a_recording_fits_its_text(acoustics: Acoustics, shipped: Reading, audio: Audio) -> None:
    heard = acoustics.hear(audio, SAID)
    assert set(heard.likeliest) == set(KINDS) and set(heard.values) == set(ACOUSTIC)
    assert odds(acoustics, shipped, audio) < 0


def dropped(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:start], wave[end:]])


def backwards(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:start], wave[start:end][::-1], wave[end:]])


def twice(wave: np.ndarray, start: int, end: int) -> np.ndarray:
    return np.concatenate([wave[:end], wave[start:]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "word", "kind"),
    [(dropped, "evening", "missing"), (backwards, "evening", "garbled"), (twice, "twentieth", "repeated")],
)
def test_a_broken_word_is_found_where_it_is(
    broken: Callable[..., np.ndarray],
    word: str,
    kind: str,
    acoustics: Acoustics,
    shipped: Reading,
    audio: Audio,
    spans: dict[str, tuple[int, int]],
) -> None:
    start, end = spans[word]
    bad = Audio(broken(audio.samples, start, end), RATE)
    heard = acoustics.hear(bad, SAID)
    found = heard.likeliest[kind]
    assert found.evidence > acoustics.hear(audio, SAID).likeliest[kind].evidence + 300
    assert found.word == word and abs(found.at_seconds - start / RATE) < 0.7
    assert odds(acoustics, shipped, bad) > 0 > odds(acoustics, shipped, audio)
    fault = heard.fault({kind: 1.0})
    assert fault.kind == "misfit" and fault.words == (word,) and word in fault.detail


@pytest.mark.slow
def test_the_verdict_of_a_judge_who_hears_what_he_expects_counts_it(
    acoustics: Acoustics, shipped: Reading, audio: Audio, spans: dict[str, tuple[int, int]]
) -> None:
    class Polite:
        settings = {"name": "polite"}

        def transcribe(self, audio: Audio) -> str:
            return SAID

    bad = Audio(dropped(audio.samples, *spans["evening"]), RATE)
    without = Verifier(Polite()).judge(bad, SAID)  # type: ignore[arg-type]
    assert without.ok and "misfit: no acoustic model knows the speaker" in without.unchecked
    assert "phones: there is nobody who reads them" in without.unchecked
    with_both = Verifier(Polite(), acoustics=acoustics, reading=shipped).judge(bad, SAID)  # type: ignore[arg-type]
    assert [f.kind for f in with_both.faults] == ["misfit"] and not with_both.unchecked
    as_stranger = Verifier(Polite(), reading=shipped).judge(bad, SAID)  # type: ignore[arg-type]
    assert [f.kind for f in as_stranger.faults] == ["misfit"] and len(as_stranger.unchecked) == 1


@pytest.mark.slow
def test_doubts_of_words_are_the_recognisers_where_the_sound_fits(acoustics: Acoustics, shipped: Reading, audio: Audio) -> None:
    class Hard:
        settings = {"name": "hard of hearing"}

        def transcribe(self, audio: Audio) -> str:
            return SAID.replace("shook", "forgot")

    doubted = Verifier(Hard()).judge(audio, SAID)  # type: ignore[arg-type]
    trusted = Verifier(Hard(), acoustics=acoustics, reading=shipped).judge(audio, SAID)  # type: ignore[arg-type]
    assert odds(acoustics, shipped, audio) < 0
    assert [f.kind for f in doubted.faults] == ["garbled"] and trusted.ok and trusted.suspicions


class Weighs:
    """Hears one text, and finds it so many nats likelier than any other."""

    def __init__(self, text: str, nats: float) -> None:
        self.text, self.nats, self.asked, self.settings = text, nats, 0, {"name": "weighs"}

    def transcribe(self, audio: Audio) -> str:
        return self.text

    def listen(self, audio: Audio) -> Heard:
        self.asked += 1
        plain = self.text.rstrip(".").lower()
        return Heard(self.text, lambda texts: [-2.0 - self.nats * (t.rstrip(".").lower() != plain) for t in texts])


@pytest.mark.slow
def test_a_second_judge_is_asked_in_doubt_and_changes_it(acoustics: Acoustics, shipped: Reading, audio: Audio) -> None:
    other, certain = SAID.replace("evening", "Monday"), Weighs(SAID, 30.0)
    known: dict[str, Any] = {"acoustics": acoustics, "reading": shipped}
    assert Verifier(certain, second=Weighs(SAID, 30.0), **known).judge(audio, SAID).ok
    odds = []
    for text in (other, SAID):
        second = Weighs(text, 12.0)
        verdict = Verifier(Weighs(other, 12.0), second=second, **known).judge(audio, SAID)
        assert second.asked == 1 and "again_gap" in verdict.evidence and verdict.doubt is not None
        odds.append(verdict.doubt)
    assert odds[0] > odds[1] + 0.1, "who hears the same other words confirms the doubt"
    alone = Verifier(certain, second=Weighs(other, 12.0)).judge(audio, SAID)
    assert "second judge: it is asked where phones leave doubts" in alone.unchecked


@pytest.mark.slow
def test_a_cloner_that_was_shown_a_recording_tells_too(
    shipped: Reading, audio: Audio, spans: dict[str, tuple[int, int]]
) -> None:
    """Of a woman whom the voice does not know: her other recording is all there is."""
    line = manifest_lines(RECORDING.parent / "manifest.jsonl")[1]
    shown = acoustics_shown(load_audio(line.path, RATE))
    for judge in (shown, Acoustics(shown.expected)):
        assert set(judge.hear(audio, SAID).values) == set(ACOUSTIC)
    bad = Audio(dropped(audio.samples, *spans["evening"]), RATE)
    verifier = Verifier(Weighs(SAID, 30.0), shown=shown, reading=shipped)
    good, found = verifier.judge(audio, SAID), verifier.judge(bad, SAID)
    assert good.ok and not found.ok and "missing" not in good.evidence and set(SHOWN) <= set(good.evidence)
    assert [f.kind for f in found.faults] == ["misfit"] and "evening" in found.summary or "time" in found.summary
    alone = Verifier(Weighs(SAID, 30.0), reading=shipped).judge(audio, SAID)
    assert "misfit: no acoustic model knows the speaker" in alone.unchecked and not good.unchecked


def test_a_model_without_durations_expects_nothing(model: Path) -> None:
    with pytest.raises(FmAudioError, match="lays no text by durations"):
        OfSeen(load_cloner(model).model, torch.zeros(5, 100))


def test_a_text_that_does_not_fit_into_the_sound_is_said_to_be_unchecked(acoustics: Acoustics, audio: Audio) -> None:
    with pytest.raises(FmAudioError):
        acoustics.hear(audio, SAID * 20)
