"""`fm-audio export MODEL OUT --onnx` refuses in one line what it cannot do, and so does who is handed the wrong folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import fm_audio
from fm_audio.checkpoint import CONFIG, WEIGHTS_NODE, read_config
from fm_audio.cli import main
from fm_audio.runtime import export
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import fingerprint


@pytest.fixture
def exported(voice_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose config is that of an export; its files are not there."""
    weights = {"class_path": "fm_audio.runtime.weights.OnnxWeights", "init_args": {"int8": False}}
    folder = tmp_path_factory.mktemp("export")
    (folder / CONFIG).write_text(json.dumps({**read_config(voice_folder), WEIGHTS_NODE: weights}))
    return folder


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    capsys.readouterr()
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("fm-audio: error: ") and said.count("\n") == 1
    return said


def test_the_runtime_that_is_asked_for_is_insisted_on(
    exported: Path, voice_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say = ["say", "Hello.", "-o", str(tmp_path / "x.wav"), "--voice"]
    assert "fm-audio export small small_onnx --onnx" in refused([*say, str(voice_folder), "--runtime", "onnx"], capsys)
    assert "is an ONNX export" in refused([*say, str(exported), "--runtime", "torch"], capsys)
    assert "speaker.onnx: this part of the export is missing" in refused([*say, str(exported)], capsys)
    with pytest.raises(FmAudioError, match="there are torch and onnx"):
        fm_audio.load(exported, runtime="tflite")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_one_line_and_nothing_is_written(
    exported: Path, voice_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, adapter, out = tmp_path / "run", tmp_path / "adapter", str(tmp_path / "out")
    for folder in (run, adapter):
        folder.mkdir()
    (run / "config.yaml").write_text("model: {}\n")
    (adapter / CONFIG).write_text('{"kind": "adapter"}')
    for source, more, says in [
        (voice_folder, [str(exported), "--onnx"], "exists already"),
        (exported, [out, "--onnx"], "is an ONNX export already"),
        (run, [out, "--onnx"], f"fm-audio export {run} MODEL"),
        (adapter, [out, "--onnx"], f"fm-audio adapt merge {adapter} -o WHOLE"),
        ("hart", [out, "--onnx"], "did you mean heart"),
        (voice_folder, [out, "--int8"], "give --onnx too"),
        (voice_folder, [out, "--onnx", "--full"], "is for training runs"),
    ]:
        assert says in refused(["export", str(source), *more], capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "run"]


def test_an_export_that_differs_is_not_kept(
    voice_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "_write", lambda part, path: path.write_bytes(b""))
    monkeypatch.setattr(export, "deviation_of", lambda part, path: 2e-4)
    assert "differs from torch by 2.0e-04" in refused(["export", str(voice_folder), str(tmp_path / "out"), "--onnx"], capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_what_is_not_installed_is_said(
    package: str, voice_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(["export", str(voice_folder), str(tmp_path / "out"), "--onnx"], capsys)
    assert f"an ONNX export needs the Python package '{package}'" in said and 'pip install "fm-audio[onnx]"' in said


def test_an_export_wears_no_adapter(exported: Path) -> None:
    with pytest.raises(FmAudioError, match="wears no adapter"):
        fingerprint(exported)


def test_what_joins_a_config_is_an_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give a JSON object" in refused(["export", str(tmp_path), str(tmp_path / "out"), "--extra", "[1]"], capsys)


def test_a_config_that_is_no_json_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{ broken")
    assert "is not JSON" in refused(["export", str(tmp_path), str(tmp_path / "out"), "--onnx"], capsys)
