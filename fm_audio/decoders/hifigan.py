"""HiFi-GAN: transposed convolutions raise frames to samples, residual blocks of several widths are averaged at every rate.

Kong et al. 2020, arXiv 2010.05646, section 2.2 (V1 is the default).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.decoders.upsampler import Past, Raised, Signal, Upsampler

SLOPE = 0.1


class HiFiGAN(Upsampler):
    """The generator, 13.9 M parameters as published. The product of `rates` must be the spec's hop.

    weight_norm: every weight is a length and a direction, g · v / ‖v‖ (Salimans and Kingma 2016), as it was trained.
    """

    def __init__(
        self,
        spec: AudioSpec,
        channels: int = 512,
        rates: Sequence[int] = (8, 8, 2, 2),
        kernels: Sequence[int] = (16, 16, 4, 4),
        block_kernels: Sequence[int] = (3, 7, 11),
        dilations: Sequence[int] = (1, 3, 5),
        weight_norm: bool = False,
    ) -> None:
        super().__init__(spec, ResBlock, channels, rates, kernels, block_kernels, dilations)
        self.conv_post = nn.Conv1d(self.widths[-1], 1, 7, padding=3)
        self.parametrised(weight_norm)

    def raised(self, up: nn.Module, h: Signal, past: Past) -> Raised:
        return up(F.leaky_relu(h, SLOPE).masked_fill(past, 0.0))

    def finished(self, h: Signal, past: Past) -> Float[Tensor, "b 1 s"]:
        return torch.tanh(self.conv_post(F.leaky_relu(h).masked_fill(past, 0.0)))


class ResBlock(nn.Module):
    """Three pairs of convolutions, the first of each pair dilated, each pair added to its input (type 1 of the paper)."""

    def __init__(self, width: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(width, width, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(1) for _ in dilations)

    def forward(self, h: Signal, past: Past) -> Signal:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = dilated(F.leaky_relu(h, SLOPE).masked_fill(past, 0.0))
            h = h + plain(F.leaky_relu(y, SLOPE).masked_fill(past, 0.0))
        return h
