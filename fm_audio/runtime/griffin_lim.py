"""`decoders.griffin_lim.GriffinLim` as three files: where it begins, one turn of its going to and fro, one of the rounds at last.

Not all turns in one: where two parts of a bin nearly cancel, its phase is one of rounding errors, so that after 32 turns torch in
float32 is far from torch in float64, and a comparison would say nothing. A turn begins with phases, so its own errors stay small;
and a round raises what is too low up to thirty times, errors with it. The excitation stays what it was, as in `runtime.harmonic`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.runtime.decoding import example_mel, floored, inverse_filters, magnitude_of
from fm_audio.runtime.fourier import Bins, Parts, RealISTFT
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.mel_rounds import RealMelRounds
from fm_audio.runtime.part import Input, Part, Sizes
from fm_audio.types import Frames, Mask, Wave


def parts(decoder: GriffinLim) -> list[Part]:
    spec, bins = decoder.spec, decoder.spec.n_fft // 2 + 1
    mel, mask = Input("mel", ("b", "n", spec.bands)), Input("mask", ("b", "n"), "mask")
    state = (Input("ahead", ("b", "n", 2 * bins)), Input("before", ("b", "n", 2 * bins)), Input("magnitude", ("b", "n", bins)))
    first, turn = Beginning(decoder), Turn(decoder)
    excitation = Input("excitation", ("b", "s"))
    wave, nearer = Input("wave", ("b", "s")), RealMelRounds(decoder.nearer, turn.istft, 1)

    def mels(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        mel, kept = example_mel(spec, sizes["b"], sizes["n"], generator), mask.drawn(sizes, generator)
        return [mel, kept, decoder.excitation(floored(mel, kept, spec), kept)]

    def under_way(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        mel, mask, excitation = mels(sizes, generator)
        magnitude, ahead = first(mel, mask, excitation)
        _, before, ahead = turn(ahead, torch.zeros_like(ahead), magnitude, mask)
        return [ahead, before, magnitude, mask]

    def found(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        mel, mask, excitation = mels(sizes, generator)
        magnitude, ahead = first(mel, mask, excitation)
        return [turn(ahead, torch.zeros_like(ahead), magnitude, mask)[0], floored(mel, mask, spec), mask]

    def placed(graph: Graph, _: nn.Module) -> nn.Module:
        return GraphGriffinLim(graph, decoder)

    told, begun = (*state, mask), (mel, mask, excitation)
    return [
        Part("vocoder", "", turn, told, ("wave", "consistent", "next"), _called, placed, under_way, int8=False),
        Part("round", "nearer", nearer, (wave, mel, mask), ("nearer",), _called, example=found, int8=False),
        Part("magnitude", "beginning", first, begun, ("magnitude", "spectrum"), _called, example=mels, int8=False),
    ]


def _called(net: nn.Module, *given: Tensor) -> Tensor | tuple[Tensor, ...]:
    return net(*given)


class Beginning(nn.Module):
    """mel, mask, excitation -> the magnitudes (b n f), and a spectrum whose phases count."""

    inverse: Tensor

    def __init__(self, decoder: GriffinLim) -> None:
        super().__init__()
        self.spec, self.istft = decoder.spec, RealISTFT(decoder.istft)
        self.register_buffer("inverse", inverse_filters(decoder.spec, self.istft.order), persistent=False)

    def forward(self, mel: Frames, mask: Mask, excitation: Wave) -> tuple[Bins, Parts]:
        magnitude = magnitude_of(floored(mel, mask, self.spec), mask, self.spec, self.inverse)
        return magnitude, self.istft.analyse(excitation)


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
    """The decoder with graphs for its beginning, for each turn and for each round."""

    def __init__(self, graph: Graph, decoder: GriffinLim) -> None:
        super().__init__()
        self.turn, self.beginning, self.nearer = graph, nn.Identity(), nn.Identity()
        self.spec, self.iterations, self.rounds = decoder.spec, decoder.iterations, decoder.nearer.rounds
        self.excitation = decoder.excitation

    def decode(self, x: Frames, mask: Mask) -> Wave:
        x = floored(x, mask, self.spec)
        magnitude, ahead = self.beginning.answers(x, mask, self.excitation(x, mask))  # type: ignore[operator]
        before = torch.zeros_like(ahead)
        for _ in range(self.iterations):
            _, before, ahead = self.turn.answers(ahead, before, magnitude, mask)
        wave = self.turn.answers(ahead, before, magnitude, mask)[0]
        for _ in range(self.rounds):
            wave = self.nearer(wave, x, mask)
        return wave
