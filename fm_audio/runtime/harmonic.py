"""`decoders.harmonic.HarmonicPlusNoise` as a file: (mel, mask, excitation) → wave.

The excitation, pulses along the pitch that is read off the mel, is a search over frames (Viterbi) and sums of phases in float64,
without a weight; it stays what it was.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from fm_audio.decoders.harmonic import LARGEST_GAIN, RELAXATION, HarmonicPlusNoise
from fm_audio.runtime.decoding import floored, inverse_filters, magnitude_of, vocoder_part
from fm_audio.runtime.fourier import Bins, Parts, RealISTFT
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part
from fm_audio.types import Frames, Mask, Wave


def parts(decoder: HarmonicPlusNoise) -> list[Part]:
    excitation = (Input("excitation", ("b", "s")),)

    def excited(mel: Tensor, mask: Tensor) -> list[Tensor]:
        return [decoder.excitation(floored(mel, mask, decoder.spec), mask)]

    return [vocoder_part(decoder.spec, RealHarmonic(decoder), partial(GraphHarmonic, decoder), excitation, excited)]


class RealHarmonic(nn.Module):
    """`HarmonicPlusNoise.decode` without complex numbers, from the excitation on."""

    inverse: Tensor
    filters: Tensor
    shares: Tensor

    def __init__(self, decoder: HarmonicPlusNoise) -> None:
        super().__init__()
        self.spec, self.rounds, self.istft = decoder.spec, decoder.rounds, RealISTFT(decoder.istft)
        order = self.istft.order
        self.register_buffer("inverse", inverse_filters(decoder.spec, order), persistent=False)
        self.register_buffer("filters", decoder.filters[:, order].mT.contiguous(), persistent=False)
        self.register_buffer("shares", decoder.shares[:, order].contiguous(), persistent=False)

    def forward(self, mel: Frames, mask: Mask, excitation: Wave) -> Wave:
        mel = floored(mel, mask, self.spec)
        excited, weight = self.istft.analyse(excitation), self.istft.weight(mask)
        magnitude = magnitude_of(mel, mask, self.spec, self.inverse)
        phased = self.istft.scaled(excited, magnitude / self.istft.power(excited).sqrt().clamp(min=1e-8))
        wave = self.istft.synthesise(phased, mask, weight)
        linear = (mel * self.spec.std + self.spec.mean).exp()
        for _ in range(self.rounds):
            spectrum = self.istft.analyse(wave)
            wave = self.istft.synthesise(self.istft.scaled(spectrum, self.gains(spectrum, linear)), mask, weight)
        return wave

    def gains(self, spectrum: Parts, linear: Frames) -> Bins:
        """As `HarmonicPlusNoise.gains`."""
        has = self.istft.power(spectrum).pow(self.spec.power / 2) @ self.filters
        ratio = (linear / has.clamp(min=self.spec.log_floor)) ** (1 / self.spec.power)
        return ratio.clamp(1 / LARGEST_GAIN, LARGEST_GAIN) ** RELAXATION @ self.shares


class GraphHarmonic(HarmonicPlusNoise):
    """The decoder with a graph behind its excitation."""

    def __init__(self, decoder: HarmonicPlusNoise, graph: Graph) -> None:
        super().__init__(decoder.spec, decoder.breath, decoder.rounds)
        self.graph = graph

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        x = floored(x, mask, self.spec)
        return self.graph(x, mask, self.excitation(x, mask))
