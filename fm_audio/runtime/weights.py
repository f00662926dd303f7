"""The weights of an exported folder: they lie in its .onnx files, and graphs stand where modules would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fm_audio.checkpoint import CONFIG, WEIGHTS_NODE
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import parts_of
from fm_audio.types import FmAudioError

RUNTIMES = ("torch", "onnx")


@dataclass(frozen=True)
class OnnxWeights:
    """What config.json names as `weights`. int8: the matrices of the networks have eight bits."""

    int8: bool = False

    def given_to(self, model: nn.Module, folder: Path) -> nn.Module:
        """The model with every part of it answered by onnxruntime. Raises FmAudioError for files that are missing or damaged."""
        for part in parts_of(model):
            stand_in = part.stands_in(Graph(folder / f"{part.name}.onnx"), part.module)
            if part.at:
                model.set_submodule(part.at, stand_in)
            else:
                model = stand_in
        return model.eval()


def require_runtime(asked: str | None, folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder whose weights are for another runtime than the one that was asked for; None takes either."""
    has = RUNTIMES[WEIGHTS_NODE in config]
    if asked is None or asked == has:
        return
    if asked not in RUNTIMES:
        raise FmAudioError(f"runtime {asked!r}: there are {' and '.join(RUNTIMES)}")
    if asked == "onnx":
        how = f"make an export and give its folder: fm-audio export {folder.name} {folder.name}_onnx --onnx"
        raise FmAudioError(f"{folder / CONFIG}: has torch's weights, not onnx's; {how}")
    raise FmAudioError(f"{folder / CONFIG}: is an ONNX export; give the model that it was made of, or ask for the runtime onnx")
