"""`fm-audio export MODEL OUT --onnx`: a model folder becomes one of .onnx files, each checked against torch before it is kept.

    deviation = max |onnx − torch| / max |torch|        over the answers of a part, on examples of several lengths and items
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.extras import ONNX_COMMAND, require
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Part, parts_of, require_whole
from fm_audio.types import FmAudioError

OPSET = 20
ALLOWED = 1e-4
MADE_WITH = {"b": 2, "m": 11, "n": 26, "r": 3, "s": 1}
CHECKED_WITH = ({"b": 1, "m": 7, "n": 45, "r": 1}, {"b": 3, "m": 40, "n": 301, "r": 2})
PACKAGES, PURPOSE = ("onnx", "onnxscript", "onnxruntime"), "an ONNX export"


@dataclass(frozen=True)
class Written:
    """A file that was written: bytes, its deviation in float32, and as it is in int8 where that was asked for and is meant."""

    name: str
    size: int
    deviation: float
    int8: float | None = None


def export_models(
    models: Sequence[nn.Module], folder: Path, int8: bool = False, heard: Callable[[Written], None] = lambda written: None
) -> list[Written]:
    """The parts of some models, such as a task and its vocoder, as files in a folder that exists. `heard` is told of each.

    Raises FmAudioError for models that cannot be exported, and for a part whose file differs from torch by more than ALLOWED.
    """
    for package in PACKAGES:
        require(package, PURPOSE, ONNX_COMMAND)
    parts = [part for model in models for part in _whole(model)]
    written = []
    for part in parts:
        path = folder / f"{part.name}.onnx"
        _write(part, path)
        deviation = deviation_of(part, path)
        if not deviation <= ALLOWED:
            raise FmAudioError(
                f"{part.name}: in ONNX it differs from torch by {deviation:.1e} of its largest answer, more than {ALLOWED:g}; "
                "nothing was written"
            )
        rough = _quantise(part, path) if int8 and part.int8 else None
        written.append(Written(part.name, path.stat().st_size, deviation, rough))
        heard(written[-1])
    return written


def _whole(model: nn.Module) -> list[Part]:
    parts = parts_of(model)
    require_whole(model, parts)
    return parts


def deviation_of(part: Part, path: Path) -> float:
    graph = Graph(path)
    worst = 0.0
    for seed, sizes in enumerate(CHECKED_WITH):
        given = part.drawn(sizes, seed)
        for theirs, ours in zip(graph.answers(*given), part.answers(*given), strict=True):
            if theirs.shape != ours.shape:
                return float("inf")
            difference = (theirs.double() - ours.double()).abs().max()
            worst = max(worst, float((difference / ours.double().abs().max().clamp(min=1e-12)).nan_to_num(float("inf"))))
    return worst


class _Answering(nn.Module):
    """A part as the exporter wants it: tensors in, tensors out."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.module, self.answer = part.module, part.answer

    def forward(self, *inputs: Tensor) -> Any:
        return self.answer(self.module, *inputs)


def _write(part: Part, path: Path) -> None:
    axes = tuple({i: a for i, a in enumerate(given.axes) if isinstance(a, str)} for given in part.inputs)
    with quiet(), torch.no_grad():
        torch.onnx.export(
            _Answering(part).eval(),
            part.drawn(MADE_WITH),
            path,
            input_names=[given.name for given in part.inputs],
            output_names=list(part.outputs),
            dynamic_shapes=(axes,),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantise(part: Part, path: Path) -> float:
    """Matrices of weights in int8, the numbers they multiply in uint8 by the range of each call. What it costs comes back."""
    quantization = require("onnxruntime.quantization", PURPOSE, ONNX_COMMAND)
    rough = path.with_suffix(".int8")
    with quiet():
        # Weights of 7 bits: products of 8 overflow the 16 bits that processors without VNNI sum pairs of them in.
        quantization.quantize_dynamic(path, rough, ["MatMul", "Gemm"], per_channel=True, reduce_range=True)
    rough.replace(path)
    return deviation_of(part, path)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporter and onnxruntime have to say about their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
