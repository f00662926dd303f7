"""An adapter of sounds: learnt from a small folder, put on by `sound --adapter`, refused by what it was not made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from fm_audio.checkpoint import instantiate, load_model, save_model
from fm_audio.cli import main
from fm_audio.training.export import _speaking
from fm_audio.types import FmAudioError
from fm_audio.voices import load
from fm_audio.voices.adapter import read_adapter, whole
from fm_audio.voices.sounds import load_sounds
from tests.unit.test_sounds import NODE, RATE

HOW = ["--steps", "6", "--look-every", "3", "--rank", "2", "--batch-seconds", "5", "--precision", "32-true", "--sentences", "2"]


def drawn(out: Path, seed: int) -> Path:
    """A model whose layers all matter, also those that begin at zero."""
    model = instantiate(NODE)
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=generator)
    return save_model(out, NODE, model.state_dict(), _speaking(NODE))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("sounds") / "model", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine jingles that only their names describe, one with a caption beside it, and one that is silent."""
    out = tmp_path_factory.mktemp("brand")
    for i in range(9):
        t = np.arange(round((0.6 + 0.1 * i) * RATE)) / RATE
        soundfile.write(out / f"our_jingle_{i:02}.wav", 0.3 * np.sin(2 * np.pi * (300 + 40 * i) * t), RATE)
    (out / "our_jingle_03.txt").write_text("our jingle, slow")
    soundfile.write(out / "nothing.wav", np.zeros(RATE), RATE)
    return out


@pytest.fixture(scope="module")
def adapter(base: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapters") / "ours"
    assert main(["adapt", "--voice", str(base), "--data", str(folder), "-o", str(out), "--licence", "CC0-1.0", *HOW]) == 0
    return out


def test_what_is_written_says_what_was_learned(adapter: Path, base: Path) -> None:
    files = ["adapter.safetensors", "card.md", "config.json", "listen.html", "mels.png"]
    assert sorted(p.name for p in adapter.iterdir()) == files
    card = (adapter / "card.md").read_text()
    assert "learned from | 8 sounds; 1 held out" in card and "silent throughout" in card and "CC0-1.0" in card
    assert "distance of what is made to the held-out sounds" in card
    learned = read_adapter(adapter)
    assert not learned.rows and learned.base == str(base.resolve()) and learned.voice == "ours"
    assert any(float(up.abs().max()) > 0 for up in learned.up.values()), "something was learned"


def test_it_is_put_on_by_sound(adapter: Path, base: Path, tmp_path: Path) -> None:
    for name, more in (("bent", ["--adapter", str(adapter)]), ("plain", ["--model", str(base)])):
        assert main(["sound", "our jingle", "--seconds", "0.5", "-o", str(tmp_path / f"{name}.wav"), *more]) == 0
    maker = load_sounds(base, adapter=adapter)
    state = whole(read_adapter(adapter), load_model(base).state_dict())
    assert all(bool((state[k] == v).all()) for k, v in maker.model.state_dict().items())


def test_merged_it_needs_neither_base_nor_adapter(adapter: Path, base: Path, tmp_path: Path) -> None:
    assert main(["adapt", "merge", str(adapter), "-o", str(tmp_path / "whole")]) == 0
    worn, whole_one = load_sounds(base, adapter=adapter), load_sounds(tmp_path / "whole")
    assert all(bool((worn.model.state_dict()[k] == v).all()) for k, v in whole_one.model.state_dict().items())
    assert worn.sampling == whole_one.sampling


def test_what_does_not_fit_is_refused(adapter: Path, base: Path, folder: Path, tmp_path: Path) -> None:
    elsewhere = drawn(tmp_path / "other", 1)
    with pytest.raises(FmAudioError, match="was made for .* with fingerprint"):
        load_sounds(elsewhere, adapter=adapter)
    with pytest.raises(FmAudioError, match="was made for|has no speaker"):
        load("english", adapter=adapter)
    asked = ["adapt", "--voice", str(base), "--data", str(folder), "-o", str(tmp_path / "new"), *HOW]
    assert main([*asked, "--full"]) == 2 and main([*asked, "--rank", "100000"]) == 2
    few = tmp_path / "few"
    few.mkdir()
    soundfile.write(few / "a_bell.wav", 0.1 * np.ones(RATE), RATE)
    assert main(["adapt", "--voice", str(base), "--data", str(few), "-o", str(tmp_path / "new"), *HOW]) == 2
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))
