"""`tasks.infill_tts.InfillTTS`, of aligned text, in parts: voice vector, text encoder with durations, length predictor, field."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fm_audio.encoders.length import LengthPredictor
from fm_audio.encoders.timed_text import TimedText
from fm_audio.runtime.field import field_parts
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part, Sizes
from fm_audio.runtime.symbols import Symbols, symbols_part
from fm_audio.tasks.infill_tts import InfillTTS
from fm_audio.types import FmAudioError


def parts(task: InfillTTS) -> list[Part]:
    text, voice, bands = task.text, task.voice, task.spec.bands
    if not isinstance(text, TimedText) or voice is None:
        raise FmAudioError(f"{type(text).__name__}: a model with this text cannot be exported to ONNX; one of fill 'aligned' can")
    width = voice.out.out_features
    seen = (Input("mel", ("b", "n", bands)), Input("seen", ("b", "n"), "mask"))
    made = [
        Part("voice", "voice", voice, seen, ("vector",), lambda net, mel, seen: net(mel, seen), int8=False),
        symbols_part("text", text.encoder, width, TimedSymbols),
    ]
    if task.lengths is not None:
        made += _lengths(task.lengths)
    doors = [Input("frames", ("b", "n", bands + text.width)), Input("vector", ("b", width))]
    return [*made, *field_parts(task.head, "mel", doors)]


class TimedSymbols(TimedText):
    """`TimedText` around a graph."""

    def __init__(self, graph: Graph, encoder: nn.Module) -> None:
        nn.Module.__init__(self)
        self.encoder = Symbols(graph, encoder)  # type: ignore[assignment,arg-type]
        self.width = self.encoder.frames_channels


def _lengths(lengths: LengthPredictor) -> list[Part]:
    symbols = Input("symbols", ("b", "m"), "ids", lengths.embedding.num_embeddings)
    three = tuple(Input(name, ("b",)) for name in ("hidden_weight", "seen_weight", "seen_frames"))
    return [
        Part(
            "weights", "lengths", lengths, (symbols, Input("mask", ("b", "m"), "mask")), ("weights",),
            lambda net, symbols, mask: net.weights(symbols, mask), Lengths, int8=False,
        ),
        Part(
            "length", "lengths.length", lengths, three, ("log_frames", "variance"), lambda net, *given: net(*given),
            example=_frames_of_texts, int8=False,
        ),
    ]  # fmt: skip


class Lengths(nn.Module):
    """`LengthPredictor` as two graphs: what each symbol weighs, and the length that weights stand for."""

    def __init__(self, graph: Graph, lengths: LengthPredictor) -> None:
        super().__init__()
        self.symbols, self.length = graph, nn.Identity()

    def weights(self, symbols: Tensor, mask: Tensor) -> Tensor:
        return self.symbols(symbols, mask)

    def forward(self, *given: Tensor) -> list[Tensor]:
        return self.length.answers(*given)  # type: ignore[operator]


def _frames_of_texts(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
    """Weights and frames of texts, nothing being seen of the last."""
    three = 300 * torch.rand(3, sizes["b"], generator=generator)
    three[1:, -1] = 0.0
    return list(three)
