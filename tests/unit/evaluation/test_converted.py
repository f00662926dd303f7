"""Files in published layouts, their numbers drawn at random, become models that clone, say and are judged like any other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from fm_audio.checkpoint import read_config
from fm_audio.cli import main
from fm_audio.convert import bigvgan, hifigan
from fm_audio.data.text.matcha import MatchaPhones
from fm_audio.decoders.bigvgan import low_pass
from fm_audio.voices.cloner import load_cloner
from tests.unit.conftest import published
from tests.unit.converted import convert, drawn, e2_published, matcha_voice, spelt

RECORDED = Path(__file__).parents[2] / "data/kathleen"
SAID = "For the twentieth time that evening the two men shook hands."
BIGVGAN: dict[str, Any] = {
    **bigvgan.NEEDED, "sampling_rate": 24_000, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "num_mels": 100, "fmin": 0,
    "fmax": None, "upsample_initial_channel": 16, "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8],
    "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bigvgan` (converted) and, as published, a vocab.txt, `e2.safetensors`, and `model.safetensors` of F5-TTS."""
    root = tmp_path_factory.mktemp("converted")
    published(root)
    e2_published(root)
    arguments = bigvgan.arguments_of(BIGVGAN, "BigVGAN")
    node = {"class_path": "fm_audio.decoders.bigvgan.BigVGAN", "init_args": arguments | {"weight_norm": True}}
    filters = {key: low_pass()[None, None].clone() for key in bigvgan.filters(arguments)}
    (root / "nvidia").mkdir()
    (root / "nvidia" / bigvgan.CONFIG).write_text(json.dumps(BIGVGAN))
    state = bigvgan.to_bigvgan(drawn(node) | filters, arguments, "weight_g")
    torch.save({hifigan.GENERATOR: state}, root / "nvidia" / bigvgan.WEIGHTS)
    assert convert("bigvgan", root / "nvidia", root / "bigvgan") == 0
    return root


FILES = {"f5-v0": "model.safetensors", "f5-v1": "model.safetensors", "e2": "e2.safetensors"}


@pytest.mark.parametrize("family", FILES)
def test_a_model_for_bigvgan_clones_through_it_and_is_judged(
    family: str, folder: Path, tiny_recogniser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / f"{family}_clones"
    vocabulary = ("--vocabulary", str(folder / "vocab.txt"))
    assert (
        convert(family, folder / FILES[family], out, *vocabulary, "--mel", "bigvgan", "--vocoder", str(folder / "bigvgan")) == 0
    )
    assert read_config(out)["vocoder"] == "bigvgan" and load_cloner(out).spec.filter_norm == "slaney"
    text = "What the author said."
    asked = ["clone", text, "--reference", str(RECORDED / "000.opus"), "--reference-text", SAID, "--model", str(out)]
    (tmp_path / "wavs").mkdir()
    assert main([*asked, "-o", str(tmp_path / "wavs/000.wav"), "--steps", "2"]) == 0
    wave, rate = soundfile.read(tmp_path / "wavs/000.wav")
    assert rate == 24_000 and np.isfinite(wave).all() and np.abs(wave).max() > 1e-3
    (tmp_path / "said.txt").write_text(text)
    capsys.readouterr()
    judge = ["--judge", f"transformers:{tiny_recogniser}", "--threads", "1", "--json"]
    assert main(["eval", "--audio", str(tmp_path / "wavs"), "--sentences", str(tmp_path / "said.txt"), *judge]) == 0
    [setting] = json.loads(capsys.readouterr().out)["settings"]
    assert setting["audio_seconds"] == pytest.approx(len(wave) / rate, abs=1e-3)


@pytest.mark.parametrize("family", ["f5-v1", "e2"])
def test_mels_that_bigvgan_does_not_know_are_refused(family: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--vocabulary", str(folder / "vocab.txt"), "--vocoder", str(folder / "bigvgan"), "--other-floor")
    assert convert(family, folder / FILES[family], folder / "other", *given) == 2
    printed = capsys.readouterr().err
    assert re.search("centred.*filter_scale|filter_scale.*centred", printed) and not (folder / "other").exists()


def test_a_published_folder_is_not_taken_for_one_of_ours(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BigVGAN's has a config.json too."""
    assert convert("vocos", folder / "nvidia", tmp_path / "ours") == 2 and "config.yaml" in capsys.readouterr().err
    assert convert("hifigan", folder / "bigvgan", tmp_path / "ours") == 2
    assert "was converted from bigvgan, not from hifigan" in capsys.readouterr().err
    assert convert("bigvgan", folder / "bigvgan", tmp_path / "back") == 0
    files = [sorted(p.name for p in (where).iterdir()) for where in (tmp_path / "back", folder / "nvidia")]
    assert files[0] == files[1]


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return matcha_voice(tmp_path_factory.mktemp("matcha"), speakers=2)


def test_a_converted_voice_says_and_is_judged(
    voice: Path, tiny_recogniser: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MatchaPhones, "encode", spelt)
    assert main(["say", "Good morning.", "--voice", str(voice / "1"), "-o", str(tmp_path / "out.wav")]) == 0
    wave, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 22_050 and np.isfinite(wave).all() and np.abs(wave).max() > 1e-3
    capsys.readouterr()
    judge = ["--judge", f"transformers:{tiny_recogniser}", "--threads", "1", "--json"]
    assert main(["eval", "--voice", str(voice), "--limit", "2", "--steps", "1", "--steps", "2", *judge]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"]["voice"] == "0" and [s["forwards"] for s in report["settings"]] == [1, 2]
