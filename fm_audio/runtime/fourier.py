"""`decoders.istft.ISTFT` without complex numbers: real and imaginary parts side by side, Fourier sums as matrices.

    even bins k     X_k = Σ_{s < N/2} (x_s + x_{s+N/2}) e^{−2πi k s / N}        x_s, x_{s+N/2} = A_s ± B_s
    odd bins k      X_k = Σ_{s < N/2} (x_s − x_{s+N/2}) e^{−2πi k s / N}        A, B: the sums back over even and over odd bins

The first step of the fast Fourier transform (Cooley and Tukey 1965) halves the matrices; after it they stay matrices. Frames
overlap by whole hops, so cutting a wave up and adding frames are shifts of blocks of one hop, without scatter or loops.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.decoders.istft import ISTFT
from fm_audio.types import FmAudioError, Mask, Wave

Parts = Float[Tensor, "b n p"]
"""A spectrum: real and then imaginary parts of the even bins, the same of the odd bins."""
Bins = Float[Tensor, "b n f"]
"""A number for each bin, in `RealISTFT.order`."""


class RealISTFT(nn.Module):
    """`order` (f,) says which bin stands where: even ones first."""

    order: Tensor
    window: Tensor
    to_even: Tensor
    to_odd: Tensor
    from_even: Tensor
    from_odd: Tensor

    def __init__(self, istft: ISTFT) -> None:
        super().__init__()
        n = self.n_fft = istft.n_fft
        if n % 2:
            raise FmAudioError(f"n_fft is {n}; an STFT of an odd number of samples cannot be exported to ONNX")
        self.hop_samples, self.start_samples = istft.hop_samples, istft.start_samples
        self.hops = -(-n // self.hop_samples)
        even, odd = torch.arange(0, n // 2 + 1, 2), torch.arange(1, n // 2 + 1, 2)
        self.even, self.odd = len(even), len(odd)
        self.register_buffer("order", torch.cat([even, odd]), persistent=False)
        self.register_buffer("window", istft.window, persistent=False)
        for name, k in (("even", even), ("odd", odd)):
            angles = 2 * math.pi / n * (k[:, None] * torch.arange(n // 2) % n).double()  # k n/2
            both = torch.cat([angles.cos(), -angles.sin()])
            share = torch.where((k == 0) | (k == n // 2), 1.0, 2.0).double()[:, None] / n
            self.register_buffer(f"to_{name}", both.mT.float().contiguous(), persistent=False)
            self.register_buffer(f"from_{name}", (torch.cat([share, share]) * both).float(), persistent=False)

    def analyse(self, wave: Wave) -> Parts:
        """(b n·hop) -> (b n p), zeros around the wave."""
        behind = (self.hops - 1) * self.hop_samples - self.start_samples
        blocks = F.pad(wave, (self.start_samples, behind)).unflatten(1, (-1, self.hop_samples))
        n = blocks.shape[1] - self.hops + 1
        frames = torch.cat([blocks[:, j : j + n] for j in range(self.hops)], -1)[..., : self.n_fft] * self.window
        first, second = frames.chunk(2, -1)
        return torch.cat([(first + second) @ self.to_even, (first - second) @ self.to_odd], -1)

    def weight(self, mask: Mask) -> Wave:
        """(b n) -> (b n·hop): one over the sum of squared windows, zero past an item's last frame."""
        squares = self._overlap_add(self.window.square() * mask[..., None])
        kept = mask[..., None].expand(-1, -1, self.hop_samples).flatten(1)
        return kept / squares.clamp(min=1e-11)

    def synthesise(self, parts: Parts, mask: Mask, weight: Wave) -> Wave:
        """(b n p), mask (b n), `weight(mask)` -> (b n·hop)."""
        even, odd = parts.split([2 * self.even, 2 * self.odd], -1)
        a, b = even @ self.from_even, odd @ self.from_odd
        frames = torch.cat([a + b, a - b], -1) * self.window * mask[..., None]
        return self._overlap_add(frames) * weight

    def polar(self, magnitude: Bins, phase: Bins) -> Parts:
        return self.scaled(self._each(phase.cos(), phase.sin()), magnitude)

    def power(self, parts: Parts) -> Bins:
        """re² + im²."""
        squares = parts.square().split([self.even, self.even, self.odd, self.odd], -1)
        return torch.cat([squares[0] + squares[1], squares[2] + squares[3]], -1)

    def scaled(self, parts: Parts, by: Bins) -> Parts:
        return parts * self._each(by, by)

    def _each(self, real: Bins, imaginary: Bins) -> Parts:
        (re, re_odd), (im, im_odd) = (x.split([self.even, self.odd], -1) for x in (real, imaginary))
        return torch.cat([re, im, re_odd, im_odd], -1)

    def _overlap_add(self, frames: Float[Tensor, "b n w"]) -> Wave:
        """(b n n_fft) -> (b n·hop)."""
        n, hop = frames.shape[1], self.hop_samples
        parts = F.pad(frames, (0, self.hops * hop - self.n_fft)).unflatten(-1, (self.hops, hop))
        shifted = [F.pad(parts[:, :, j], (0, 0, j, self.hops - 1 - j)) for j in range(self.hops)]
        return torch.stack(shifted).sum(0).flatten(1)[:, self.start_samples : self.start_samples + n * hop]
