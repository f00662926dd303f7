"""HiFi-GAN: transposed convolutions raise frames to samples, residual blocks of several widths are averaged at every rate.

Kong et al. 2020, arXiv 2010.05646, section 2.2 (V1 is the default). Module names and shapes are those of the published
checkpoints; their weight norm, in either of torch's spellings, is kept or folded into plain weights on loading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.types import FmAudioError, Frames, Mask, Wave

SLOPE = 0.1


class HiFiGAN(nn.Module):
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
        super().__init__()
        if math.prod(rates) != spec.hop_samples:
            raise FmAudioError(
                f"HiFiGAN: rates {list(rates)} make {math.prod(rates)} samples of a frame, but the spec's hop is "
                f"{spec.hop_samples}; choose rates whose product is the hop"
            )
        self.spec, self.rates = spec, tuple(rates)
        self.conv_pre = nn.Conv1d(spec.bands, channels, 7, padding=3)
        widths = [channels // 2**i for i in range(len(rates) + 1)]
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(i, o, kernel, rate, padding=(kernel - rate) // 2)
            for i, o, kernel, rate in zip(widths, widths[1:], kernels, rates, strict=False)
        )
        self.resblocks = nn.ModuleList(ResBlock(width, kernel, dilations) for width in widths[1:] for kernel in block_kernels)
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3)
        if weight_norm:
            for part in [p for p in self.modules() if isinstance(p, (nn.Conv1d, nn.ConvTranspose1d))]:
                nn.utils.parametrizations.weight_norm(part)
        else:
            self.register_load_state_dict_pre_hook(fold_weight_norm)

    def forward(self, x: Frames, mask: Mask | None = None) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame.

        Every convolution sees zeros where an item has ended, as it does past the end of an item alone.
        """
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        drop = ~mask[:, None]  # b 1 n
        h = self.conv_pre(rearrange(x, "b n d -> b d n").masked_fill(drop, 0.0))
        blocks = len(self.resblocks) // len(self.ups)
        for i, (up, rate) in enumerate(zip(self.ups, self.rates, strict=True)):
            h = up(F.leaky_relu(h, SLOPE).masked_fill(drop, 0.0))
            drop = drop.repeat_interleave(rate, -1)
            parallel = self.resblocks[i * blocks : (i + 1) * blocks]
            h = torch.stack([block(h, drop) for block in parallel]).mean(0)
        wave = torch.tanh(self.conv_post(F.leaky_relu(h).masked_fill(drop, 0.0)))
        return wave.masked_fill(drop, 0.0)[:, 0]

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """As `forward`, without gradients. Padded frames may hold anything."""
        return self(x, mask)


class ResBlock(nn.Module):
    """Three pairs of convolutions, the first of each pair dilated, each pair added to its input (type 1 of the paper)."""

    def __init__(self, width: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(width, width, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(1) for _ in dilations)

    def forward(self, h: Tensor, drop: Tensor) -> Tensor:
        """h (b c s), drop (b 1 s) True where there is nothing -> (b c s)."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            y = dilated(F.leaky_relu(h, SLOPE).masked_fill(drop, 0.0))
            h = h + plain(F.leaky_relu(y, SLOPE).masked_fill(drop, 0.0))
        return h


def fold_weight_norm(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """weight = g · v / ‖v‖, the norm over all axes but the first; replaces g and v in `state`."""
    spellings = ((".weight_g", ".weight_v"), (".parametrizations.weight.original0", ".parametrizations.weight.original1"))
    for of_g, of_v in spellings:
        for key in [k for k in state if k.startswith(prefix) and k.endswith(of_g)]:
            g, v = state.pop(key), state.pop(key.removesuffix(of_g) + of_v)
            norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1))
            state[key.removesuffix(of_g) + ".weight"] = g * v / norm
