"""The encoder of aligned text as a file: symbols and a speaker → hidden, mean, log durations.

Laying them along the frames is arithmetic without weights and stays where it was.
"""

from __future__ import annotations

from torch import Tensor, nn

from fm_audio.encoders.aligned_text import AlignedText, EncodedSymbols
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part
from fm_audio.types import FmAudioError


class Symbols(nn.Module):
    """`AlignedText` with a graph for its network. There is no `embedding` that an adapter could add rows to."""

    embedding = None
    frames = AlignedText.frames

    def __init__(self, graph: Graph, text: AlignedText) -> None:
        super().__init__()
        self.graph, self.frames_channels = graph, text.frames_channels

    def forward(self, symbols: Tensor, mask: Tensor, speaker: Tensor) -> EncodedSymbols:
        return EncodedSymbols(*self.graph.answers(symbols, mask, speaker))


def symbols_part(at: str, text: nn.Module, speaker_width: int, stands_in: type[nn.Module] = Symbols) -> Part:
    """symbols (b m), mask (b m), speaker (b g) -> hidden (b m e), mel_mean (b m bands), log_durations (b m)."""
    if not isinstance(text, AlignedText):
        raise FmAudioError(f"{type(text).__name__}: this text encoder cannot be exported to ONNX; AlignedText can")
    inputs = (
        Input("symbols", ("b", "m"), "ids", text.embedding.num_embeddings),
        Input("mask", ("b", "m"), "mask"),
        Input("speaker", ("b", speaker_width)),
    )
    return Part("text", at, text, inputs, ("hidden", "mel_mean", "log_durations"), _encoded, stands_in)


def _encoded(text: AlignedText, symbols: Tensor, mask: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    encoded = text(symbols, mask, speaker)
    return encoded.hidden, encoded.mean, encoded.log_durations
