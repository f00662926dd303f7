"""A published ZipVoice folder, its weights random, becomes one that `fm-audio clone` speaks through; and goes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from fm_audio.checkpoint import read_config
from fm_audio.cli import main
from tests.parity.zipvoice_published import SMALL, folder_with

RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"
SAID, TEXT = "ni3 hao3, wo3 shang4. ni3 hao3, wo3 a1.", "wo3 hao3, ni3 shang4."


@pytest.fixture(scope="module", params=["zipvoice", "zipvoice-distill"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted folder of the family it is called by; what was published lies beside it."""
    root = tmp_path_factory.mktemp("models")
    folder_with(root / "published", distilled=request.param == "zipvoice-distill")
    assert main(["convert", request.param, str(root / "published"), str(root / request.param)]) == 0
    return root / request.param


def test_the_command_clones_unchanged(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    how = ["--reference", str(RECORDING), "--reference-text", SAID, "--model", str(model), "--steps", "2"]
    assert main(["clone", TEXT, *how, "-o", str(out)]) == 0
    wave, rate = soundfile.read(out)
    frames = soundfile.info(RECORDING).duration * 24_000 / 256
    assert rate == 24_000 and np.isfinite(wave).all() and wave.any()
    assert len(wave) / 256 == pytest.approx(frames * 10 / 19, abs=1.5)
    for guidance in ("1", "6"):
        other = tmp_path / f"{guidance}.wav"
        assert main(["clone", TEXT, *how, "--guidance", guidance, "-o", str(other)]) == 0
        assert not np.array_equal(soundfile.read(other)[0], wave), "the strength of guidance is heard"


def test_it_goes_back_as_it_was_published(model: Path, tmp_path: Path) -> None:
    published, back = model.parent / "published", tmp_path / "back"
    assert main(["convert", model.name, str(model), str(back)]) == 0
    assert (back / "tokens.txt").read_bytes() == (published / "tokens.txt").read_bytes()
    assert json.loads((back / "model.json").read_text()) == json.loads((published / "model.json").read_text())
    before, after = (torch.load(f / "model.pt", weights_only=True)["model"] for f in (published, back))
    assert before.keys() == after.keys() and all(torch.equal(after[k], v) for k, v in before.items())
    again = tmp_path / "again"
    (back / "model.pt").unlink()
    save_file({f"module.{k}": v.contiguous() for k, v in after.items()}, back / "model.safetensors")
    assert main(["convert", model.name, str(back), str(again)]) == 0
    assert read_config(again) == read_config(model)
    assert (again / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_the_published_vocoder_joins_through_the_mel_contract(model: Path) -> None:
    from fm_audio.checkpoint import instantiate, save_model
    from fm_audio.voices.cloner import load_cloner

    spec = {"log_floor": 1e-7}
    node = {"class_path": "fm_audio.decoders.vocos.Vocos", "init_args": {"spec": spec, "width": 8, "layers": 1, "hidden": 8}}
    save_model(model.parent / "vocos", node, instantiate(node).state_dict(), {"kind": "vocoder"})
    spoken = model.parent / "spoken"
    published = str(model.parent / "published")
    assert main(["convert", model.name, published, str(spoken), "--vocoder", str(model.parent / "vocos")]) == 0
    cloner = load_cloner(spoken)
    x, mask = torch.randn(1, 5, 100), torch.ones(1, 5, dtype=torch.bool)
    plain = cloner.vocoder.decoder.decode(10 * x, mask)  # type: ignore[attr-defined]
    torch.testing.assert_close(cloner.vocoder.decode(x, mask), plain)


def test_what_is_missing_is_said(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_with(tmp_path / "here", distilled=model.name == "zipvoice-distill", sizes=SMALL)
    for name in ("model.pt", "tokens.txt", "model.json"):
        kept = (tmp_path / "here" / name).rename(tmp_path / name)
        assert main(["convert", model.name, str(tmp_path / "here"), str(tmp_path / "new")]) == 2
        printed = capsys.readouterr().err
        assert name in printed and printed.count("\n") == 1 and not (tmp_path / "new").exists()
        kept.rename(tmp_path / "here" / name)
    torch.save([torch.ones(1)], tmp_path / "here" / "model.pt")
    assert main(["convert", model.name, str(tmp_path / "here"), str(tmp_path / "new")]) == 2
