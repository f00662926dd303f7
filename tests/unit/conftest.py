"""What tests of cloning and of editing share: a model folder as a published checkpoint becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fm_audio.checkpoint import instantiate
from fm_audio.cli import main
from fm_audio.convert.f5 import PREFIX, to_f5

VOCABULARY = [" ", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.!?'\""]


def published(folder: Path) -> dict[str, Tensor]:
    """model.safetensors and vocab.txt in F5-TTS's layout, a tenth of its width."""
    node: dict[str, Any] = {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": {},
            "frontend": {"class_path": "fm_audio.data.text.f5.F5Characters", "init_args": {"vocabulary": VOCABULARY}},
            "backbone": {
                "class_path": "fm_audio.backbones.dit.DiT",
                "init_args": {"width": 64, "layers": 2, "heads": 1, "feedforward": 2.0, "head_norm": False},
            },
            "text_width": 32,
            "text_layers": 2,
        },
    }
    torch.manual_seed(0)
    task = instantiate(node)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {PREFIX + k: v for k, v in to_f5(task.state_dict()).items()}
    state |= {"initted": torch.tensor(True), "step": torch.tensor(7), "ema_model.mel_spec.mel_stft.window": torch.ones(3)}
    save_file(state, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return state


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted model folder; what was published lies beside it."""
    folder = tmp_path_factory.mktemp("f5")
    published(folder)
    assert (
        main(
            ["convert", "f5-v1", str(folder / "model.safetensors"), str(folder / "f5"), "--vocabulary", str(folder / "vocab.txt")]
        )
        == 0
    )
    return folder / "f5"
