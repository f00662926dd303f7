"""`fm-audio sound`: exact lengths, what is given stays to the sample, files appear whole, and mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from fm_audio.audio import Audio
from fm_audio.checkpoint import instantiate, save_model
from fm_audio.cli import main
from fm_audio.training.export import _speaking
from fm_audio.types import FmAudioError
from fm_audio.voices.find import SHIPPED
from fm_audio.voices.sounds import FADE_SECONDS, load_sounds

RATE = 8000
NODE: dict[str, Any] = {
    "class_path": "fm_audio.tasks.text_to_audio.TextToAudio",
    "init_args": {
        "spec": {
            "sample_rate": RATE, "n_fft": 256, "hop_samples": 128, "window_samples": 256, "bands": 16, "mean": -1.7, "std": 2.6,
        },
        "frontend": {
            "class_path": "fm_audio.data.text.spelled.Spelled",
            "init_args": {
                "target": {
                    "class_path": "fm_audio.data.text.vocabulary.Letters",
                    "init_args": {"alphabet": "abcdefghijklmnopqrstuvwxyz' ", "longest": 40},
                }
            },
        },
        "backbone": {
            "class_path": "fm_audio.backbones.dit.DiT",
            "init_args": {"width": 16, "layers": 1, "heads": 2, "vector_width": 4, "tokens_width": 8, "position_kernel": 0},
        },
        "caption_width": 8, "caption_layers": 1, "caption_heads": 2, "vector_width": 4,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = instantiate(NODE)
    return save_model(tmp_path_factory.mktemp("sounds") / "model", NODE, model.state_dict(), _speaking(NODE))


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """0.8 s of a tone, in stereo at twice the model's rate."""
    t = np.arange(round(0.8 * 2 * RATE)) / (2 * RATE)
    soundfile.write(tmp_path / "tone.wav", np.stack([0.3 * np.sin(2 * np.pi * 440 * t)] * 2, 1), 2 * RATE, subtype="FLOAT")
    return tmp_path / "tone.wav"


def test_a_sound_is_as_long_as_asked_and_the_same_again(folder: Path) -> None:
    maker = load_sounds(folder)
    for seconds in (0.1, 0.777, 1.5):
        first, second = maker.make(["rain", "rain"], seconds, seed=3)
        assert len(first.samples) == round(seconds * RATE) and np.abs(first.samples).max() <= 1
        assert np.array_equal(first.samples, maker.make(["rain"], seconds, seed=3)[0].samples)
        assert not np.array_equal(first.samples, second.samples)
        assert np.array_equal(second.samples, maker.make(["rain"], seconds, seed=4)[0].samples)


@pytest.mark.parametrize(("start", "end"), [(0.2, 0.5), (0.0, 0.3), (0.6, 0.8), (0.8, 1.4), (0.5, 1.0)])
def test_what_is_not_filled_stays_to_the_sample(folder: Path, start: float, end: float) -> None:
    maker = load_sounds(folder)
    sound = Audio((0.3 * np.sin(np.arange(round(0.8 * RATE)) / 3)).astype(np.float32), RATE)
    made = maker.fill("wind", sound, start, end, seed=1)
    assert len(made.samples) == round(max(0.8, end) * RATE)
    first, last = round(start * RATE), round(end * RATE)
    assert np.array_equal(made.samples[:first], sound.samples[:first])
    assert np.array_equal(made.samples[last : len(sound.samples)], sound.samples[last:])
    new = slice(first + round(FADE_SECONDS * RATE), min(last, len(sound.samples)))
    assert new.start >= new.stop or not np.allclose(made.samples[new], sound.samples[new], atol=1e-3)


def test_a_start_of_any_length_is_fitted(folder: Path) -> None:
    maker, sound = load_sounds(folder), Audio(np.ones(500, np.float32), RATE)
    for seconds in (0.3, 1.0):
        assert len(maker.make(["wind"], seconds, start=sound, strength=0.5)[0].samples) == round(seconds * RATE)


def test_the_command_writes_files(folder: Path, tone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--model", str(folder), "--steps", "2"]
    assert main(["sound", "rain", "-o", str(tmp_path / "a.wav"), "--seconds", "0.5", "--count", "2", "--json", *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["seed"] for row in told] == [0, 1] and [Path(row["file"]).name for row in told] == ["a_0.wav", "a_1.wav"]
    assert all(soundfile.info(row["file"]).frames == RATE // 2 for row in told)
    for more, seconds in (
        (["--start", str(tone)], 0.8),
        (["--start", str(tone), "--seconds", "0.4", "--strength", "0.2", "--negative", "wind"], 0.4),
        (["--extend", str(tone), "--seconds", "1.1"], 1.1),
        (["--fill", str(tone), "--between", "0.2", "0.5", "--guidance", "1"], 0.8),
        ([], 4.0),
    ):
        assert main(["sound", "rain", "-o", str(tmp_path / "b.wav"), *asked, *more]) == 0
        assert soundfile.info(tmp_path / "b.wav").duration == pytest.approx(seconds, abs=1e-3)


def test_mistakes_are_named(
    folder: Path, tone: Path, tmp_path: Path, tiny_voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    out = str(tmp_path / "out.wav")
    for more, message in (
        (["", "--model", str(folder)], "prompt: it is empty"),
        (["rain", "--model", str(folder), "--seconds", "0"], "seconds: given 0; allowed is 0.1 to 600"),
        (["rain", "--model", str(folder), "--seconds", "10000"], "seconds: given 10000"),
        (["rain", "--model", str(folder), "--strength", "0.5"], "give --start FILE too"),
        (["rain", "--model", str(folder), "--start", str(tone), "--strength", "2"], "strength: given 2"),
        (["rain", "--model", str(folder), "--start", str(tmp_path / "text.wav")], "text.wav: cannot be read as audio"),
        (["rain", "--model", str(folder), "--extend", str(tone)], "until when"),
        (["rain", "--model", str(folder), "--extend", str(tone), "--seconds", "0.5"], "give two times in order"),
        (["rain", "--model", str(folder), "--fill", str(tone)], "--fill and --between: give both"),
        (["rain", "--seconds", "2", "--fill", str(tone), "--between", "0.2", "0.5"], "that is filled keeps its length"),
        (["rain", "--model", str(folder), "--fill", str(tone), "--between", "5", "6"], "which lasts 0.80 s"),
        (["rain", "--model", str(folder), "--count", "0"], "--count: given 0"),
        (["rain", "--model", str(tiny_voice)], "makes no sounds"),
        (["rain", "--model", str(tmp_path / "none")], "none"),
    ):
        assert main(["sound", *more, "-o", out]) == 2, message
        assert message in capsys.readouterr().err
    assert not Path(out).exists()
    with pytest.raises(FmAudioError, match="0.9 to 0.2"):
        load_sounds(folder).fill("rain", Audio(np.zeros(RATE, np.float32), RATE), 0.9, 0.2)


def test_the_model_that_ships_is_found_by_default_and_by_name(tmp_path: Path) -> None:
    assert main(["sound", "rain", "--seconds", "0.5", "--steps", "2", "-o", str(tmp_path / "rain.wav")]) == 0
    assert soundfile.info(tmp_path / "rain.wav").frames == 12_000
    maker = load_sounds("made_sounds")
    assert maker.model.clips is not None and (SHIPPED / "made_sounds/card.md").is_file()
    known, spelled = (maker.model.frontend.encode(text).ids for text in ("rain", "A zebra's rain"))  # type: ignore[operator]
    assert spelled[-1:] == known and len(spelled) == 1 + len("zebra's ") + 1, "words that it does not know are spelled"
    with pytest.raises(FmAudioError, match="makes no sounds; give a model of kind 'text_to_audio'"):
        load_sounds("english")
