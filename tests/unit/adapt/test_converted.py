"""A converted Matcha-TTS learns a voice like any other base, whether it has a vector for its speakers or none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import fm_audio
from fm_audio.checkpoint import load_model
from fm_audio.cli import main
from fm_audio.data.text.matcha import MatchaPhones
from fm_audio.training.low_rank import TARGETS, target_layers
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import TENSORS
from tests.unit.converted import matcha_voice, spelt

QUICK = ["--judge", "none", "--precision", "32-true", "--batch-seconds", "8", "--sentences", "2", "--rank", "4"]


@pytest.fixture(scope="module", params=[1, 2], ids=["ljspeech", "vctk"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return matcha_voice(tmp_path_factory.mktemp("matcha"), request.param)


def test_every_target_finds_its_layers(base: Path) -> None:
    model = load_model(base)
    found = {target: set(target_layers(model, (target,))) for target in TARGETS}  # type: ignore[arg-type]
    assert {"head.backbone.down.0.blocks.0.query_key_value", "text.blocks.0.out"} <= found["attention"]
    assert "head.backbone.middle.0.residual.time" in found["adaln"] and "text.mean" in found["conditioning"]
    assert "head.backbone.up.0.blocks.0.lowered" in found["feedforward"]
    assert found["predictors"] == {f"text.durations.{part}" for part in ("convs.0.conv", "convs.1.conv", "out")}
    assert sum(len(names) for names in found.values()) == len(set().union(*found.values()))


def test_a_target_without_layers_is_refused(base: Path) -> None:
    model = load_model(base)
    model.head.backbone = None  # type: ignore[union-attr, assignment]
    with pytest.raises(FmAudioError, match="targets adaln: this base has no such layers"):
        target_layers(model, ("attention", "adaln"))  # type: ignore[arg-type]


def test_a_voice_is_learned_and_speaks(
    base: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MatchaPhones, "encode", spelt)
    steps = ["--steps", "12", "--look-every", "6", "--learning-rate", "0.01"]
    assert main(["adapt", "--voice", str(base), "--data", str(recordings), "-o", str(tmp_path / "carl"), *QUICK, *steps]) == 0
    card = (tmp_path / "carl/card.md").read_text()
    start = re.search(r"held-out loss of ([\d.]+)\d", card)
    after = re.findall(r"weights (?:averaged|as trained) \| ([\d.]+)", card)
    assert start is not None and max(float(loss) for loss in after) < float(start[1])
    assert "head.backbone.down.0.blocks.0.query_key_value.down" in load_file(tmp_path / "carl" / TENSORS)
    plain, adapted = fm_audio.load(base), fm_audio.load(adapter=tmp_path / "carl")
    heard = [voice.say("Small water.", steps=2).samples for voice in (plain, adapted)]
    assert all(np.isfinite(h).all() for h in heard)
    assert len(heard[0]) != len(heard[1]) or np.abs(heard[0] - heard[1]).max() > 1e-3
    assert main(["adapt", "merge", str(tmp_path / "carl"), "-o", str(tmp_path / "whole")]) == 0
    whole = fm_audio.load(tmp_path / "whole").say("Small water.", steps=2).samples
    assert len(whole) == len(heard[1]) and np.abs(whole - heard[1]).max() < 1e-3 * np.abs(whole).max()
