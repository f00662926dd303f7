"""Somebody's recordings, a base in its folder, and adapters with random numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.checkpoint import load_model
from fm_audio.training.low_rank import inputs_of, outputs_of, target_layers
from fm_audio.voices.adapter import Adapter, fingerprint, write_adapter

LETTERS = {
    "class_path": "fm_audio.data.text.characters.Characters",
    "init_args": {"alphabet": "abcdefghijklmnopqrstuvwxyzäöüß'", "english": False},
}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of tones with a text beside each, and one more file that is no sound."""
    from data_prep.synthetic import make
    from fm_audio.data.text.arpabet import Arpabet

    root = tmp_path_factory.mktemp("recordings")
    make(root / "tones", clips=12, speakers=1, frontend=Arpabet(), hold_out=0)
    folder = root / "carl"
    folder.mkdir()
    for line in (root / "tones" / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        wave = Path(shutil.copy(root / "tones" / row["audio"], folder))
        wave.with_suffix(".txt").write_text(row["text"])
    (folder / "broken.wav").write_bytes(b"no sound")
    (folder / "broken.txt").write_text("hello")
    return folder


@pytest.fixture(scope="session")
def make_adapter(tiny_voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """make_adapter("carl", rank=3, letters=True) -> its folder; random numbers on every layer of the tiny voice that can
    bend: linear ones, and the convolutions of what predicts."""
    model: Any = load_model(tiny_voice)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    layers |= target_layers(model, ["predictors"])
    assert any(isinstance(layer, nn.Conv1d) for layer in layers.values())
    mark = fingerprint(tiny_voice)

    def make(name: str, rank: int = 2, letters: bool = False) -> Path:
        generator = torch.Generator().manual_seed(len(name) + rank)

        def draw(*shape: int) -> torch.Tensor:
            return 0.2 * torch.randn(shape, generator=generator)

        adapter = Adapter(
            voice=name,
            base=str(tiny_voice),
            fingerprint=mark,
            down={n: draw(rank, inputs_of(layer)) for n, layer in layers.items()},
            up={n: draw(outputs_of(layer), rank) for n, layer in layers.items()},
            scale=0.5,
            rows={"speaker": draw(1, 8)} | ({"symbols": draw(31, 16)} if letters else {}),
            frontend=LETTERS if letters else None,
            facts={"speaker": name, "recorded": True, "consent": "asked", "licence": "CC0-1.0", "language": "en"},
        )
        folder = tmp_path_factory.mktemp("adapters") / name
        folder.mkdir()
        write_adapter(folder, adapter)
        return folder

    return make
