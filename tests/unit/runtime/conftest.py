"""Parts of small models as files, and a voice as an export, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch

from fm_audio.checkpoint import save_model
from fm_audio.runtime import export
from fm_audio.runtime.part import parts_of
from tests.unit.runtime.models import HARMONIC, NODES, made


@pytest.fixture(scope="session", autouse=True)
def _symbols_for_sizes() -> Iterator[None]:
    """torch's exporter calls with symbols where sizes stand, which the checks of signatures do not take for whole numbers."""
    write = export._write

    def unchecked(*given: Any) -> None:
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            write(*given)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_write", unchecked)
        yield


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(name, part) -> the folder with that part of a model, or with all; each file is made when it is first asked for."""
    root = tmp_path_factory.mktemp("parts")

    def folder(name: str, only: str | None = None) -> Path:
        (root / name).mkdir(exist_ok=True)
        for part in parts_of(made(name)):
            path = root / name / f"{part.name}.onnx"
            if only in (None, part.name) and not path.exists():
                export._write(part, path)
        return root / name

    return folder


@pytest.fixture(scope="session")
def voice_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A voice with random weights and pitch, whose vocoder has none."""
    model = made("aligned_tts")
    with torch.no_grad():
        model.text.durations.out.bias.fill_(2.0)  # about seven frames a symbol
    extra = {
        "kind": "aligned_tts", "vocoder": HARMONIC, "voices": {"anna": {"speaker": "anna"}, "bernard": {"speaker": "bert"}},
        "default_voice": "anna", "sampling": {"steps": 2, "guidance": 2.0, "temperature": 0.8},
    }  # fmt: skip
    return save_model(tmp_path_factory.mktemp("voices") / "small", NODES["aligned_tts"], model.state_dict(), extra)
