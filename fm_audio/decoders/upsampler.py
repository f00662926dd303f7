"""What HiFi-GAN and BigVGAN share: transposed convolutions raise frames to samples, blocks of several widths are averaged.

Kong et al. 2020, arXiv 2010.05646, section 2.2. Module names and shapes are those of the published checkpoints; their weight
norm, in either of torch's spellings, is kept or folded into plain weights on loading.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.types import FmAudioError, Frames, Mask, Wave

Signal = Float[Tensor, "b c s"]
Raised = Float[Tensor, "b o r"]
Past = Bool[Tensor, "b 1 s"]
"""True where an item has ended."""
Block = Callable[[int, int, Sequence[int]], nn.Module]
"""width, kernel, dilations -> a residual block of (signal, past)."""


class Upsampler(nn.Module, ABC):
    """A generator. The product of `rates` must be the spec's hop.

    weight_norm: every weight is a length and a direction, g · v / ‖v‖ (Salimans and Kingma 2016), as it was trained.
    """

    def __init__(
        self,
        spec: AudioSpec,
        block: Block,
        channels: int,
        rates: Sequence[int],
        kernels: Sequence[int],
        block_kernels: Sequence[int],
        dilations: Sequence[int],
    ) -> None:
        super().__init__()
        if math.prod(rates) != spec.hop_samples:
            raise FmAudioError(
                f"{type(self).__name__}: rates {list(rates)} make {math.prod(rates)} samples of a frame, but the spec's hop is "
                f"{spec.hop_samples}; choose rates whose product is the hop"
            )
        self.spec, self.rates = spec, tuple(rates)
        self.conv_pre = nn.Conv1d(spec.bands, channels, 7, padding=3)
        self.widths = [channels // 2**i for i in range(len(rates) + 1)]
        self.ups = nn.ModuleList(
            self.wrapped(nn.ConvTranspose1d(i, o, kernel, rate, padding=(kernel - rate) // 2))
            for i, o, kernel, rate in zip(self.widths, self.widths[1:], kernels, rates, strict=False)
        )
        self.resblocks = nn.ModuleList(block(width, kernel, dilations) for width in self.widths[1:] for kernel in block_kernels)

    def forward(self, x: Frames, mask: Mask | None = None) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame.

        Past an item's end every convolution sees zeros, as it does past the end of an item alone.
        """
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        past = ~mask[:, None]
        h = self.conv_pre(rearrange(x, "b n d -> b d n").masked_fill(past, 0.0))
        blocks = len(self.resblocks) // len(self.ups)
        for i, (up, rate) in enumerate(zip(self.ups, self.rates, strict=True)):
            h = self.raised(up, h, past)
            past = past.repeat_interleave(rate, -1)
            parallel = self.resblocks[i * blocks : (i + 1) * blocks]
            h = torch.stack([block(h, past) for block in parallel]).mean(0)
        return self.finished(h, past).masked_fill(past, 0.0)[:, 0]

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """As `forward`, without gradients. Padded frames may hold anything."""
        return self(x, mask)

    def wrapped(self, up: nn.Module) -> nn.Module:
        """As the published layout nests it."""
        return up

    @abstractmethod
    def raised(self, up: nn.Module, h: Signal, past: Past) -> Raised:
        """h at the next rate."""

    @abstractmethod
    def finished(self, h: Signal, past: Past) -> Float[Tensor, "b 1 s"]:
        """The wave, one channel; past an item's end it may hold anything."""

    def parametrised(self, weight_norm: bool) -> None:
        """The last step of `__init__`."""
        if not weight_norm:
            self.register_load_state_dict_pre_hook(fold_weight_norm)
            return
        for part in [p for p in self.modules() if isinstance(p, (nn.Conv1d, nn.ConvTranspose1d))]:
            nn.utils.parametrizations.weight_norm(part)


def fold_weight_norm(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """weight = g · v / ‖v‖, the norm over all axes but the first; replaces g and v in `state`."""
    spellings = ((".weight_g", ".weight_v"), (".parametrizations.weight.original0", ".parametrizations.weight.original1"))
    for of_g, of_v in spellings:
        for key in [k for k in state if k.startswith(prefix) and k.endswith(of_g)]:
            g, v = state.pop(key), state.pop(key.removesuffix(of_g) + of_v)
            norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1))
            state[key.removesuffix(of_g) + ".weight"] = g * v / norm
