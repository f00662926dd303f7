"""One thread, one seed, and a tiny voice with random weights: what every test stands on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # commands ask it, in this process and in others

TINY_SPEC = {"bands": 8}
TINY_ACOUSTIC: dict[str, Any] = {
    "class_path": "fm_audio.tasks.aligned_tts.AlignedTTS",
    "init_args": {
        "spec": TINY_SPEC,
        "frontend": {"class_path": "fm_audio.data.text.arpabet.Arpabet"},
        "backbone": {
            "class_path": "fm_audio.backbones.dit.DiT",
            "init_args": {"width": 16, "layers": 1, "heads": 2, "vector_width": 8, "position_kernel": 3, "position_groups": 2},
        },
        "speakers": ["anna", "bert"],
        "speaker_width": 8,
        "text_width": 16,
        "text_layers": 1,
        "text_heads": 2,
        "frames_width": 8,
    },
}
TINY_VOCODER: dict[str, Any] = {
    "class_path": "fm_audio.decoders.vocos.Vocos",
    "init_args": {"spec": TINY_SPEC, "width": 8, "layers": 1, "hidden": 8},
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_bank(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The voice bank of whoever runs the tests is none of their business."""
    monkeypatch.setenv("FM_AUDIO_BANK", str(tmp_path_factory.getbasetemp() / "bank"))


@pytest.fixture(scope="session")
def tiny_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a voice with random weights, its vocoder beside it; speakers anna and bert."""
    from fm_audio.checkpoint import instantiate, save_model

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("voices")
    save_model(root / "tiny_vocoder", TINY_VOCODER, instantiate(TINY_VOCODER).state_dict(), {"kind": "vocoder"})
    model = instantiate(TINY_ACOUSTIC)
    with torch.no_grad():
        for parameter in model.parameters():  # the last layers begin at zero; here every one of them must matter
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.text.durations.out.bias.fill_(2.0)  # about seven frames a symbol
    extra = {
        "kind": "aligned_tts",
        "vocoder": "tiny_vocoder",
        "voices": {"anna": {"speaker": "anna", "recorded": False}, "bernard": {"speaker": "bert", "recorded": False}},
        "default_voice": "anna",
        "sampling": {"steps": 2, "guidance": 2.0, "temperature": 0.8},
    }
    return save_model(root / "tiny", TINY_ACOUSTIC, model.state_dict(), extra)
