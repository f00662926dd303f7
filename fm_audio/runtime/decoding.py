"""Decoders of mels as files: what their parts have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part, Sizes
from fm_audio.types import Frames, Mask, Wave


class GraphDecoder(nn.Module):
    """A decoder whose graph takes mel and mask."""

    def __init__(self, graph: Graph, spec: AudioSpec) -> None:
        super().__init__()
        self.graph, self.spec = graph, spec

    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        return self.graph(x.float(), mask)


def vocoder_part(
    spec: AudioSpec,
    real: nn.Module,
    stands_in: Callable[[Graph], nn.Module] | None = None,
    more: tuple[Input, ...] = (),
    beside: Callable[[Tensor, Tensor], list[Tensor]] = lambda mel, mask: [],
) -> Part:
    """A whole decoder: `real(mel, mask, …)` -> wave without complex numbers; `beside(mel, mask)` gives examples for `more`.
    `stands_in(graph)` is a `GraphDecoder` unless another is given."""
    inputs = (Input("mel", ("b", "n", spec.bands)), Input("mask", ("b", "n"), "mask"), *more)

    def example(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        mel, mask = example_mel(spec, sizes["b"], sizes["n"], generator), inputs[1].drawn(sizes, generator)
        return [mel, mask, *beside(mel, mask)]

    def placed(graph: Graph, _: nn.Module) -> nn.Module:
        return GraphDecoder(graph, spec) if stands_in is None else stands_in(graph)

    return Part("vocoder", "", real, inputs, ("wave",), lambda net, *given: net(*given), placed, example, int8=False)


def example_mel(spec: AudioSpec, b: int, n: int, generator: torch.Generator) -> Tensor:
    """(b n bands) of noise that comes and goes, over some forty decibels."""
    loud = 0.1 * torch.exp(-2.5 * (1 + torch.sin(torch.arange(n) / 7)))
    wave = torch.randn(b, spec.samples_of_frames(n), generator=generator) * loud.repeat_interleave(spec.hop_samples)
    return spec.log_mel(wave)


def inverse_filters(spec: AudioSpec, order: Tensor) -> Tensor:
    """(bands f) float64: what `AudioSpec.magnitude_of_log_mel` multiplies by; bins in that order."""
    return torch.linalg.pinv(spec.filters().double()).mT[:, order].contiguous()


def magnitude_of(mel: Tensor, mask: Tensor, spec: AudioSpec, inverse: Tensor) -> Tensor:
    """`AudioSpec.magnitude_of_log_mel` of (b n bands) as (b n f), zero past an item's last frame."""
    linear = (mel * spec.std + spec.mean).exp().double() @ inverse
    return linear.clamp(min=0).pow(1 / spec.power).float().masked_fill(~mask[..., None], 0.0)


def floored(mel: Tensor, mask: Tensor, spec: AudioSpec) -> Tensor:
    return mel.float().masked_fill(~mask[..., None], spec.floor)
