"""What is true of any voice: the same request is the same sound, alone or in company; times add up; wishes are granted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fm_audio
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice, find
from fm_audio.voices.voice import Spoken

LONG = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to tell."


@pytest.fixture(scope="module")
def voice(tiny_voice: Path) -> Voice:
    return fm_audio.load(tiny_voice)


def close(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


def test_alone_and_in_a_batch_are_the_same(voice: Voice) -> None:
    texts, seeds = ["Hello there.", LONG, "Yes."], [7, 8, 9]
    together = voice.say(texts, seed=seeds, voice=["anna", "bernard", "anna"])
    for text, seed, name, audio in zip(texts, seeds, ["anna", "bernard", "anna"], together, strict=True):
        close(audio.samples, voice.say(text, seed=seed, voice=name).samples)
    backwards = voice.say(texts[::-1], seed=seeds[::-1], voice=["anna", "bernard", "anna"])
    for a, b in zip(together, backwards[::-1], strict=True):
        close(a.samples, b.samples)


def test_sound_is_float32_mono_in_range_and_not_silent(voice: Voice) -> None:
    audio = voice.say("Hello.")
    assert audio.samples.dtype == np.float32 and audio.samples.ndim == 1 and audio.sample_rate == voice.spec.sample_rate
    assert 0 < np.abs(audio.samples).max() <= 1


def test_seed_speaker_and_steps_matter(voice: Voice) -> None:
    base = voice.say("Hello there.", seconds=1.0)
    for change in ({"seed": 1}, {"voice": "bernard"}, {"steps": 3}, {"guidance": 1.0}, {"temperature": 0.0}):
        other = voice.say("Hello there.", seconds=1.0, **change)
        assert other.samples.shape == base.samples.shape and not np.allclose(other.samples, base.samples), change


def test_words_lie_one_after_the_other_within_the_sound(voice: Voice) -> None:
    spoken = voice.say_detailed(LONG)
    assert isinstance(spoken, Spoken)
    ends = [0.0]
    for word in spoken.words:
        assert ends[-1] <= word.start_seconds < word.end_seconds
        ends.append(word.end_seconds)
    assert ends[-1] <= spoken.audio.seconds
    assert " ".join(w.text for w in spoken.words).lower().startswith("the birch canoe")
    assert len(spoken.words) == len(LONG.split())


def test_exact_seconds_and_speed(voice: Voice) -> None:
    for seconds in (1.0, 2.5):
        assert abs(voice.say("Hello there.", seconds=seconds).seconds - seconds) <= 0.5 / voice.spec.frame_hz
    assert voice.say(LONG, speed=2.0).seconds < 0.7 * voice.say(LONG).seconds


def test_forwards_count_guided_steps_twice(voice: Voice) -> None:
    assert voice.say_detailed("Hello.", steps=3, guidance=2.0).forwards == 6
    assert voice.say_detailed("Hello.", steps=3, guidance=1.0).forwards == 3


def test_one_seed_for_all_or_one_for_each(voice: Voice) -> None:
    with pytest.raises(FmAudioError, match="seed: 2 given for 3 texts"):
        voice.say(["A.", "B.", "C."], seed=[1, 2])
    with pytest.raises(FmAudioError, match="empty list"):
        voice.say([])


def test_voices_are_found_by_folder_and_by_name(tiny_voice: Path, voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    assert voice.name == "anna" and set(voice.speakers) == {"anna", "bernard"}
    assert fm_audio.load(tiny_voice / "bernard").name == "bernard"
    with pytest.raises(FmAudioError, match="did you mean bernard"):
        fm_audio.load(tiny_voice / "bernhard")
    monkeypatch.setattr(find, "SHIPPED", tiny_voice.parent)
    for name, expected in [(None, "anna"), ("tiny", "anna"), ("bernard", "bernard"), ("tiny/bernard", "bernard")]:
        assert fm_audio.load(name).name == expected
    with pytest.raises(FmAudioError, match="unknown voice 'ana'; did you mean anna"):
        fm_audio.load("ana")


def test_bfloat16_says_nearly_the_same_at_the_same_times(
    tiny_voice: Path, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fm_audio.flow.runner._capabilities", lambda: {"avx512_bf16"})
    half, texts = fm_audio.load(tiny_voice, precision="bf16"), ["Hello there.", LONG]
    for a, b in zip(half.say_detailed(texts), voice.say_detailed(texts), strict=True):
        assert a.words == b.words and a.audio.samples.shape == b.audio.samples.shape
        off = np.linalg.norm(a.audio.samples - b.audio.samples) / np.linalg.norm(b.audio.samples)
        assert 0 < off < 0.05


def test_filled_up_to_buckets_a_voice_says_the_same(tiny_voice: Path, voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda net, **_: net)
    filled, texts = fm_audio.load(tiny_voice, compile=True), ["Hello there.", LONG]
    for a, b in zip(filled.say(texts, seed=3), voice.say(texts, seed=3), strict=True):
        close(a.samples, b.samples)


def test_a_device_that_is_not_there(tiny_voice: Path) -> None:
    with pytest.raises(FmAudioError, match="device 'nowhere' cannot be used"):
        fm_audio.load(tiny_voice, device="nowhere")


def test_sampling_that_ran_away_is_an_error_and_not_a_sound(tiny_voice: Path) -> None:
    lost = fm_audio.load(tiny_voice)
    lost.model.head.ports["mel"].out.bias.data.fill_(float("nan"))
    with pytest.raises(FmAudioError, match="samples came out as no numbers, since sampling ran away; take more steps"):
        lost.say("Hello.")
