"""The inverse STFT of a padded batch, and the STFT it undoes, both blind to padding.

    wave = Σ_i window · irfft(spectrum_i) / Σ_i window²        over the frames i that an item has
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from jaxtyping import Complex
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.types import Mask, Wave


class ISTFT(nn.Module):
    """Frames to n·hop samples with a Hann window; on one centred item the same numbers as `torch.istft(..., length=n·hop)`.

    Frame i is centred on sample i·hop when `centred`, on (i + ½)·hop otherwise. Frames outside the mask add neither to the
    signal nor to the squared windows, so an item sounds the same alone and in a batch. The window is a constant: not
    stored, and accepted but not read from published files.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop_samples: int, window_samples: int, centred: bool = True) -> None:
        super().__init__()
        self.n_fft, self.hop_samples = n_fft, hop_samples
        self.start_samples = n_fft // 2 if centred else (n_fft - hop_samples) // 2
        left = (n_fft - window_samples) // 2
        window = F.pad(torch.hann_window(window_samples), (left, n_fft - window_samples - left))
        self.register_buffer("window", window, persistent=False)
        self.register_load_state_dict_pre_hook(_forget_window)

    def forward(self, spectrum: Complex[Tensor, "b n f"], mask: Mask) -> Wave:
        """(b n n_fft/2+1), mask (b n) -> (b n·hop), zeros past an item's last frame."""
        return self.synthesise(spectrum, mask, self.weight(mask))

    def weight(self, mask: Mask) -> Wave:
        """(b n) -> (b n·hop): one over the sum of squared windows, zero past an item's last frame."""
        squares = self._overlap_add(self.window.square() * mask[..., None])
        return mask.repeat_interleave(self.hop_samples, 1) / squares.clamp(min=1e-11)

    def synthesise(self, spectrum: Complex[Tensor, "b n f"], mask: Mask, weight: Wave) -> Wave:
        """As `forward` with `weight(mask)` at hand, for those who go to and fro."""
        frames = torch.fft.irfft(spectrum, self.n_fft) * self.window * mask[..., None]
        return self._overlap_add(frames) * weight

    def analyse(self, wave: Wave) -> Complex[Tensor, "b n f"]:
        """(b n·hop) -> (b n n_fft/2+1), zeros around the wave."""
        padded = F.pad(wave, (self.start_samples, self.n_fft - self.hop_samples - self.start_samples))
        return torch.fft.rfft(padded.unfold(-1, self.n_fft, self.hop_samples) * self.window)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """(b n n_fft) -> (b n·hop): frame by frame in hops, the j-th hops of all frames at once."""
        b, n, hop = *frames.shape[:2], self.hop_samples
        hops = -(-self.n_fft // hop)
        parts = rearrange(F.pad(frames, (0, hops * hop - self.n_fft)), "b n (j h) -> j b n h", h=hop)
        added = frames.new_zeros(b, n + hops - 1, hop)
        for j, part in enumerate(parts):
            added[:, j : j + n] += part
        return added.flatten(1)[:, self.start_samples : self.start_samples + n * hop]


def _forget_window(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    state.pop(prefix + "window", None)
