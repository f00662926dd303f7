"""A voice that onnxruntime speaks with: the same words at the same times in almost the same samples."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import fm_audio
from fm_audio.checkpoint import CONFIG, load_model, read_config, save_model
from fm_audio.cli import main
from fm_audio.runtime import export
from fm_audio.runtime.part import Part
from fm_audio.training.distill import Distill
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice

pytestmark = pytest.mark.slow  # making the files takes some twenty seconds
PARTS = {"speaker", "text", "pitch", "field", "vocoder"}
TEXTS = ["Hello there.", "It is easy to tell the depth of a well."]
# Of the largest sample. Mels agree to 1e-5, but the phase of a pulse is the sum of all pitches before it.
NEAR = 1e-2


@pytest.fixture(scope="session")
def exported(voice_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "small_onnx"
    (voice_folder / "card.md").write_text("# small\n")
    assert main(["export", str(voice_folder / "bernard"), str(out), "--onnx"]) == 0
    return out


@pytest.fixture(scope="session")
def voice(exported: Path) -> Voice:
    return fm_audio.load(exported, runtime="onnx")


def test_the_folder_is_whole_and_names_the_voice_that_was_asked_for(exported: Path) -> None:
    assert {p.name for p in exported.iterdir()} == {CONFIG, "card.md", *(f"{name}.onnx" for name in PARTS)}
    assert [p.name for p in exported.parent.iterdir()] == [exported.name]
    assert read_config(exported)["default_voice"] == "bernard"


def test_it_says_the_same_in_almost_the_same_samples(voice_folder: Path, voice: Voice) -> None:
    how = {"seed": [5, 6], "voice": ["anna", "bernard"], "pitch": [0.0, 1.5]}
    ours, theirs = (v.say_detailed(TEXTS, **how) for v in (fm_audio.load(voice_folder), voice))
    for a, b in zip(theirs, ours, strict=True):
        assert a.words == b.words and a.forwards == b.forwards == 4
        assert np.abs(a.audio.samples - b.audio.samples).max() <= NEAR * np.abs(b.audio.samples).max()


def test_alone_and_in_a_batch_are_the_same(voice: Voice) -> None:
    together = voice.say(TEXTS, seed=[5, 6])
    for text, seed, audio in zip(TEXTS, [5, 6], together, strict=True):
        alone = voice.say(text, seed=seed).samples
        assert np.abs(alone - audio.samples).max() <= 1e-5 * np.abs(alone).max()


def test_the_command_speaks_from_it(exported: Path, voice: Voice, tmp_path: Path) -> None:
    wanted = voice.say("Hello.", seed=2)
    for more in (["--runtime", "onnx"], []):
        assert main(["say", "Hello.", "-o", str(tmp_path / "x.wav"), "--voice", str(exported), "--seed", "2", *more]) == 0
        samples, rate = soundfile.read(tmp_path / "x.wav", dtype="float32")
        assert rate == wanted.sample_rate and np.abs(samples - wanted.samples).max() < 1e-4


def test_to_run_an_export_onnxruntime_alone_is_enough(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    assert fm_audio.load(exported).say("Hello.").seconds > 0
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FmAudioError, match="needs the Python package .onnxruntime.*run: pip install"):
        fm_audio.load(exported)


def test_a_damaged_export_is_said(exported: Path, tmp_path: Path) -> None:
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "field.onnx").write_bytes((exported / "field.onnx").read_bytes()[:1000])
    with pytest.raises(FmAudioError, match=r"field.onnx: onnxruntime cannot load it"):
        load_model(tmp_path)
    (tmp_path / "field.onnx").unlink()
    with pytest.raises(FmAudioError, match=r"field.onnx: this part of the export is missing"):
        load_model(tmp_path)


def test_files_of_other_parts_are_said(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "mixed")
    shutil.copy(exported / "pitch.onnx", tmp_path / "mixed" / "field.onnx")
    with pytest.raises(FmAudioError, match=r"field.onnx: is given \d+ inputs and takes .*; export the model again"):
        fm_audio.load(tmp_path / "mixed").say(TEXTS[0])


def test_an_export_cannot_be_adapted(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "wavs"
    data.mkdir()
    for i in range(12):
        soundfile.write(data / f"{i}.wav", np.sin(np.arange(48_000) * (i + 1) / 60) * np.sin(np.arange(48_000) / 4000), 24_000)
        (data / f"{i}.txt").write_text("hello there")
    asked = ["adapt", "--voice", str(exported), "--data", str(data), "-o", str(tmp_path / "out"), "--judge", "none"]
    assert main([*asked, "--consent", "asked", "--licence", "CC0-1.0", "--steps", "2"]) == 2
    assert "wears no adapter" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_int8_is_smaller_and_near(
    voice_folder: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "_write", lambda part, path: shutil.copy(exported / path.name, path))
    out = tmp_path / "out"
    assert main(["export", str(voice_folder), str(out), "--onnx", "--int8"]) == 0
    assert "int8" in capsys.readouterr().out.splitlines()[0]
    assert json.loads((out / CONFIG).read_text())["weights"]["init_args"] == {"int8": True}
    for name in ("text", "field"):
        assert b"MatMulInteger" in (out / f"{name}.onnx").read_bytes()
        assert b"MatMulInteger" not in (exported / f"{name}.onnx").read_bytes()
    assert (out / "vocoder.onnx").read_bytes() == (exported / "vocoder.onnx").read_bytes()
    ours, theirs = (fm_audio.load(path).say("Hello.", seconds=1.0, seed=3).samples for path in (exported, out))
    assert 0 < np.abs(ours - theirs).mean() < np.abs(ours).mean()


def test_a_student_is_told_how_far_it_goes_and_refuses_what_it_was_not_taught(
    voice_folder: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = export._write

    def only_the_field(part: Part, path: Path) -> None:
        """All else is the teacher's, and takes its time."""
        if part.name == "field":
            write(part, path)
        else:
            shutil.copy(exported / path.name, path)

    monkeypatch.setattr(export, "_write", only_the_field)
    teacher: Any = load_model(voice_folder)
    distilled = Distill(str(voice_folder), "ways")
    distilled.begin(teacher)
    torch.nn.init.normal_(teacher.head.backbone.gap[2].weight, std=0.5)
    node = distilled.exported(read_config(voice_folder)["model"])
    student = save_model(tmp_path / "student", node, teacher.state_dict(), distilled.beside(tmp_path / "student"))
    assert main(["export", str(student), str(tmp_path / "exported"), "--onnx"]) == 0
    ours, theirs = fm_audio.load(student), fm_audio.load(tmp_path / "exported", runtime="onnx")
    said = [[v.say(TEXTS[0], seed=3, steps=steps).samples for v in (ours, theirs)] for steps in (1, 2)]
    for mine, other in said:
        assert np.abs(mine - other).max() <= NEAR * np.abs(mine).max()
    assert np.abs(said[0][0] - said[1][0]).max() > 10 * NEAR * np.abs(said[0][0]).max(), "how far it goes matters"
    for voice in (ours, theirs):
        with pytest.raises(FmAudioError, match="in at most 8 steps of the uniform grid"):
            voice.say(TEXTS[0], steps=9)
