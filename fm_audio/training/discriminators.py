"""Discriminators for vocoders: the wave folded by prime periods, and its complex spectra at several resolutions.

Multi-period: Kong et al. 2020 (HiFi-GAN, arXiv 2010.05646, section 2.3). Multi-resolution on real and imaginary parts: Jang et
al. 2021 (UnivNet, arXiv 2106.07889) and Kumar et al. 2023 (DAC, arXiv 2306.06546, section 3.3). Each gives its logits and the
features of every layer, for feature matching.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from fm_audio.types import Wave

SLOPE = 0.1
Judgement = tuple[Tensor, list[Tensor]]
"""Logits of one discriminator, and its features from the first layer to the last."""


class Discriminators(nn.Module):
    """All of them on one wave. `width` is the channels of the first layers: 32 as published, 8 to 16 for one CPU core."""

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        resolutions: Sequence[int] = (2048, 1024, 512),
        width: int = 32,
        period_growth: Sequence[int] = (1, 4, 16, 32, 32),
    ) -> None:
        super().__init__()
        channels = [width * growth for growth in period_growth]
        self.periods = nn.ModuleList(PeriodDiscriminator(period, channels) for period in periods)
        self.resolutions = nn.ModuleList(SpectrumDiscriminator(n_fft, width) for n_fft in resolutions)

    def forward(self, wave: Wave) -> list[Judgement]:
        """wave (b s) -> one judgement from each, periods first."""
        return [judge(wave) for judge in (*self.periods, *self.resolutions)]


class PeriodDiscriminator(nn.Module):
    """Sees every `period`-th sample: the wave as a picture (s / period, period) and convolutions along its first axis."""

    def __init__(self, period: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        inputs = [1, *channels[:-1]]
        strides = [3] * (len(channels) - 1) + [1]
        self.layers = nn.ModuleList(
            _convolution(i, o, (5, 1), (stride, 1))
            for i, o, stride in zip(inputs, channels, strides, strict=True)
        )
        self.last = _convolution(channels[-1], 1, (3, 1), (1, 1))

    def forward(self, wave: Wave) -> Judgement:
        wave = F.pad(wave[:, None], (0, -wave.shape[-1] % self.period), mode="reflect")
        return _judge(rearrange(wave, "b c (n p) -> b c n p", p=self.period), self.layers, self.last)


class SpectrumDiscriminator(nn.Module):
    """Sees the complex spectrogram, magnitudes compressed to their square root so that quiet bins count.

    The first layer steps four bins, where UnivNet and DAC step one or two: half the cost on a CPU.
    """

    def __init__(self, n_fft: int, width: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        strides = (4, 2, 2, 1)
        inputs = (2, width, width, width)
        self.layers = nn.ModuleList(
            _convolution(i, width, (3, 9 if stride > 1 else 3), (1, stride))
            for i, stride in zip(inputs, strides, strict=True)
        )
        self.last = _convolution(width, 1, (3, 3), (1, 1))

    def forward(self, wave: Wave) -> Judgement:
        with torch.autocast(wave.device.type, enabled=False):
            window = torch.hann_window(self.n_fft, device=wave.device)
            spectrum = torch.stft(wave.float(), self.n_fft, self.n_fft // 4, window=window, return_complex=True)
            parts = torch.view_as_real(spectrum)  # b f n 2
            compressed = parts * (parts.square().sum(-1, keepdim=True) + 1e-3).pow(-0.25)
        picture = rearrange(compressed, "b f n c -> b c n f")
        return _judge(picture.contiguous(memory_format=torch.channels_last), self.layers, self.last)


def _convolution(inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int]) -> nn.Module:
    """With He initialisation: torch's own shrinks the signal at every layer, and a short training never recovers from that."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2))
    nn.init.kaiming_normal_(conv.weight, a=SLOPE)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return weight_norm(conv)


def _judge(h: Tensor, layers: nn.ModuleList, last: nn.Module) -> Judgement:
    features = []
    for layer in layers:
        h = F.leaky_relu(layer(h), SLOPE)
        features.append(h)
    logits = last(h)
    return logits.flatten(1), [*features, logits]
