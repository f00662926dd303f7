"""BigVGAN v2: HiFi-GAN's generator with periodic activations that are applied at twice the rate, so that they do not alias.

    activation(x) = halve(snake(double(x))),      snake: `fm_audio.layers.SnakeBeta`

Lee et al. 2023, arXiv 2206.04658, sections 3.1 and 3.2; without tanh and without a last bias, as version 2 was published.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.decoders.upsampler import Past, Raised, Signal, Upsampler
from fm_audio.layers import SnakeBeta

TAPS = 12


class BigVGAN(Upsampler):
    """The generator, 112 M parameters as published for 24 kHz, 100 bands, 256 samples of a frame (the default).

    The product of `rates` must be the spec's hop. weight_norm: every weight is a length and a direction, as it was trained.
    Past an item's end activations see its last value, as they do when the item is alone.
    """

    def __init__(
        self,
        spec: AudioSpec,
        channels: int = 1536,
        rates: Sequence[int] = (4, 4, 2, 2, 2, 2),
        kernels: Sequence[int] = (8, 8, 4, 4, 4, 4),
        block_kernels: Sequence[int] = (3, 7, 11),
        dilations: Sequence[int] = (1, 3, 5),
        weight_norm: bool = False,
    ) -> None:
        super().__init__(spec, Block, channels, rates, kernels, block_kernels, dilations)
        self.activation_post = AntiAliased(self.widths[-1])
        self.conv_post = nn.Conv1d(self.widths[-1], 1, 7, padding=3, bias=False)
        self.parametrised(weight_norm)

    def wrapped(self, up: nn.Module) -> nn.Module:
        return nn.ModuleList([up])

    def raised(self, up: nn.Module, h: Signal, past: Past) -> Raised:
        return up[0](h.masked_fill(past, 0.0))  # type: ignore[index]

    def finished(self, h: Signal, past: Past) -> Float[Tensor, "b 1 s"]:
        return self.conv_post(self.activation_post(h, past).masked_fill(past, 0.0)).clamp(-1.0, 1.0)


class Block(nn.Module):
    """Pairs of convolutions, the first of each pair dilated, an activation before each; every pair is added to its input."""

    def __init__(self, width: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(width, width, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(1) for _ in dilations)
        self.activations = nn.ModuleList(AntiAliased(width) for _ in range(2 * len(dilations)))

    def forward(self, h: Signal, past: Past) -> Signal:
        pairs = zip(self.convs1, self.convs2, self.activations[::2], self.activations[1::2], strict=True)
        for dilated, plain, first, second in pairs:
            y = dilated(first(h, past).masked_fill(past, 0.0))
            h = h + plain(second(y, past).masked_fill(past, 0.0))
        return h


class AntiAliased(nn.Module):
    """The signal at twice its rate through `SnakeBeta`, then a low pass and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act = SnakeBeta(width)
        self.register_buffer("filter", low_pass(), persistent=False)

    def forward(self, h: Signal, past: Past) -> Signal:
        c = h.shape[1]
        taps = self.filter.expand(c, 1, TAPS)  # type: ignore[operator]
        h = F.pad(held(h, past), (TAPS // 2 - 1, TAPS // 2 - 1), mode="replicate")
        h = self.act(F.conv_transpose1d(h, 2 * taps, stride=2, padding=3 * (TAPS // 2) - 3, groups=c).mT).mT
        h = F.pad(held(h, past.repeat_interleave(2, -1)), (TAPS // 2 - 1, TAPS // 2), mode="replicate")
        return F.conv1d(h, taps, stride=2, groups=c)


def held(h: Signal, past: Past) -> Signal:
    """h with an item's last value wherever the item has ended."""
    last = ((~past).sum(-1, keepdim=True) - 1).clamp(min=0)  # b 1 1
    return torch.where(past, h.gather(-1, last.expand(-1, h.shape[1], -1)), h)


def low_pass() -> Float[Tensor, "taps"]:
    """A windowed sinc that lets half the band through, its sum 1; width and depth of its slope make the window (Kaiser 1974)."""
    depth_decibels = 2.285 * (TAPS // 2 - 1) * math.pi * 4 * 0.3 + 7.95  # transition of 0.3 on both sides: 51 dB
    window = torch.kaiser_window(TAPS, periodic=False, beta=0.1102 * (depth_decibels - 8.7), dtype=torch.float64)
    taps = window * torch.sinc((torch.arange(TAPS, dtype=torch.float64) - (TAPS - 1) / 2) / 2)
    return (taps / taps.sum()).float()
