"""`decoders.harmonic.HarmonicPlusNoise` as a file: (mel, mask, excitation) → wave.

The excitation, pulses along the pitch that is read off the mel, is a search over frames (Viterbi) and sums of phases in float64,
without a weight; it stays what it was.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from fm_audio.decoders.harmonic import HarmonicPlusNoise
from fm_audio.runtime.decoding import floored, inverse_filters, magnitude_of, vocoder_part
from fm_audio.runtime.fourier import RealISTFT
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.mel_rounds import RealMelRounds
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

    def __init__(self, decoder: HarmonicPlusNoise) -> None:
        super().__init__()
        self.spec, self.istft = decoder.spec, RealISTFT(decoder.istft)
        self.register_buffer("inverse", inverse_filters(decoder.spec, self.istft.order), persistent=False)
        self.nearer = RealMelRounds(decoder.nearer, self.istft, decoder.nearer.rounds)

    def forward(self, mel: Frames, mask: Mask, excitation: Wave) -> Wave:
        mel = floored(mel, mask, self.spec)
        excited, weight = self.istft.analyse(excitation), self.istft.weight(mask)
        magnitude = magnitude_of(mel, mask, self.spec, self.inverse)
        phased = self.istft.scaled(excited, magnitude / self.istft.power(excited).sqrt().clamp(min=1e-8))
        wave = self.istft.synthesise(phased, mask, weight)
        return self.nearer(wave, mel, mask)


class GraphHarmonic(HarmonicPlusNoise):
    """The decoder with a graph behind its excitation."""

    def __init__(self, decoder: HarmonicPlusNoise, graph: Graph) -> None:
        super().__init__(decoder.spec, decoder.excitation.breath, decoder.nearer.rounds)
        self.graph = graph

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        x = floored(x, mask, self.spec)
        return self.graph(x, mask, self.excitation(x, mask))
