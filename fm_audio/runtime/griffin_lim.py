"""`decoders.griffin_lim.GriffinLim` as two files: where it begins, and one turn of its going to and fro.

Not all turns in one: where two parts of a bin nearly cancel, its phase is one of rounding errors, so that after 32 turns torch in
float32 is far from torch in float64, and a comparison would say nothing. A turn begins with phases, so its own errors stay small.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.runtime.decoding import example_mel, floored, inverse_filters, magnitude_of
from fm_audio.runtime.fourier import Bins, Parts, RealISTFT
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part, Sizes
from fm_audio.types import Frames, Mask, Wave


def parts(decoder: GriffinLim) -> list[Part]:
    spec, bins = decoder.spec, decoder.spec.n_fft // 2 + 1
    mel, mask = Input("mel", ("b", "n", spec.bands)), Input("mask", ("b", "n"), "mask")
    state = (Input("ahead", ("b", "n", 2 * bins)), Input("before", ("b", "n", 2 * bins)), Input("magnitude", ("b", "n", bins)))
    first, turn = Beginning(decoder), Turn(decoder)

    def mels(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        return [example_mel(spec, sizes["b"], sizes["n"], generator), mask.drawn(sizes, generator)]

    def under_way(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        mel, mask = mels(sizes, generator)
        magnitude, ahead = first(mel, mask)
        _, before, ahead = turn(ahead, torch.zeros_like(ahead), magnitude, mask)
        return [ahead, before, magnitude, mask]

    def placed(graph: Graph, _: nn.Module) -> nn.Module:
        return GraphGriffinLim(graph, decoder)

    told = (*state, mask)
    return [
        Part("vocoder", "", turn, told, ("wave", "consistent", "next"), _called, placed, under_way, int8=False),
        Part("magnitude", "beginning", first, (mel, mask), ("magnitude", "spectrum"), _called, example=mels, int8=False),
    ]


def _called(net: nn.Module, *given: Tensor) -> tuple[Tensor, ...]:
    return net(*given)


class Beginning(nn.Module):
    """mel, mask -> the magnitudes (b n f), and the spectrum of them with the first phases."""

    inverse: Tensor

    def __init__(self, decoder: GriffinLim) -> None:
        super().__init__()
        self.spec, self.istft = decoder.spec, RealISTFT(decoder.istft)
        self.register_buffer("inverse", inverse_filters(decoder.spec, self.istft.order), persistent=False)

    def forward(self, mel: Frames, mask: Mask) -> tuple[Bins, Parts]:
        magnitude = magnitude_of(floored(mel, mask, self.spec), mask, self.spec, self.inverse)
        return magnitude, self.istft.polar(magnitude, self.phases(magnitude))

    def phases(self, magnitude: Bins) -> Bins:
        """Those of `GriffinLim`. The turn of bin k in frame i is a whole number of n_fft-ths, so whole numbers count it."""
        k = self.istft.order
        turns = torch.arange(magnitude.shape[1])[:, None] * (k * self.spec.hop_samples) % self.spec.n_fft
        offset = torch.remainder(math.pi * k.double().square() / len(k), 2 * math.pi).float()
        return (2 * math.pi / self.spec.n_fft * turns.float() + offset)[None].expand_as(magnitude)


class Turn(nn.Module):
    """A spectrum whose phases count, what was consistent before, magnitude, mask -> the wave of these phases and magnitudes, what
    is consistent with it, the next spectrum."""

    def __init__(self, decoder: GriffinLim) -> None:
        super().__init__()
        self.step, self.istft = decoder.step, RealISTFT(decoder.istft)

    def forward(self, ahead: Parts, before: Parts, magnitude: Bins, mask: Mask) -> tuple[Wave, Parts, Parts]:
        spectrum = self.istft.scaled(ahead, magnitude * self.istft.power(ahead).clamp(min=1e-16).rsqrt())
        wave = self.istft.synthesise(spectrum, mask, self.istft.weight(mask))
        consistent = self.istft.analyse(wave)
        return wave, consistent, consistent + self.step * (consistent - before)


class GraphGriffinLim(nn.Module):
    """The decoder with graphs for its beginning and for each turn."""

    def __init__(self, graph: Graph, decoder: GriffinLim) -> None:
        super().__init__()
        self.turn, self.beginning = graph, nn.Identity()
        self.spec, self.iterations = decoder.spec, decoder.iterations

    def decode(self, x: Frames, mask: Mask) -> Wave:
        magnitude, ahead = self.beginning.answers(x.float(), mask)  # type: ignore[operator]
        before = torch.zeros_like(ahead)
        for _ in range(self.iterations):
            _, before, ahead = self.turn.answers(ahead, before, magnitude, mask)
        return self.turn.answers(ahead, before, magnitude, mask)[0]
