"""Voices that nobody recorded: clips are warped along frequency and coloured, each in a way of its own, so that a model that
sees part of a clip takes the voice from there and not from the speakers it knows by heart.

    mel'[band at f] = mel[band at f / α] + Σ_k a_k cos(π k (band + ½) / bands),     α in [1/(1 + warp), 1 + warp],  k = 1 … 4

The warp is that of vocal tract length perturbation (Jaitly and Hinton 2013): formants and pitch move alike, durations stay. The
cosines are a microphone's and a room's colour; on log-mels a filter is a sum.

What only listens can lose parts of what it hears, too (`SpectralMasking`; SpecAugment, Park et al. 2019).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fm_audio.audio import AudioSpec
from fm_audio.types import FmAudioError, Frames, Mask

COSINES = 4


class VoicePerturbation:
    """warp: the most that frequencies are stretched, 0.15 is 15 %. colour_decibels: standard deviation of each cosine.
    share: of the clips that are changed; the others stay as they were recorded.
    """

    def __init__(self, warp: float = 0.15, colour_decibels: float = 2.0, share: float = 0.75):
        if not 0 <= warp < 1 or colour_decibels < 0 or not 0 <= share <= 1:
            raise FmAudioError(
                f"VoicePerturbation: warp={warp}, colour_decibels={colour_decibels}, share={share}; "
                "give a warp of 0 to below 1, decibels of at least 0 and a share of 0 to 1"
            )
        self.warp, self.colour_decibels, self.share = warp, colour_decibels, share

    def __call__(self, mel: Frames, mask: Mask, spec: AudioSpec, generator: torch.Generator | None = None) -> Frames:
        """Normalised log-mel (b n bands) and mask (b n) -> the same, one voice and colour an item; padding as before."""
        drawn = _dice(mel, 2 + 2 * COSINES, generator)
        changed, twist, dice = drawn[:, 0] < self.share, 2 * drawn[:, 1] - 1, drawn[:, 2:]
        factors = torch.where(changed, (1 + self.warp) ** twist, 1.0)
        moved = warped(mel, factors, spec)
        amplitudes = _normal(dice) * self.colour_decibels * math.log(10) / 20 / spec.std * changed[:, None]
        moved = (moved + _curves(amplitudes, spec.bands)[:, None].to(mel)).clamp(min=spec.floor)
        return torch.where((mask & changed[:, None])[..., None], moved, mel)


class SpectralMasking:
    """Spans of bands and of frames are silenced to the clip's mean, each span of a length evenly drawn up to its most.

    bands: the most in one span, of which there are `band_spans`. frames: the most in one span, of which there are `frame_spans`;
    none is longer than a fifth of the clip.
    """

    def __init__(self, bands: int = 20, band_spans: int = 2, frames: int = 12, frame_spans: int = 2):
        if min(bands, band_spans, frames, frame_spans) < 0:
            raise FmAudioError(
                f"SpectralMasking: bands={bands}, band_spans={band_spans}, frames={frames}, frame_spans={frame_spans}; "
                "give numbers of at least 0"
            )
        self.bands, self.band_spans, self.frames, self.frame_spans = bands, band_spans, frames, frame_spans

    def __call__(self, mel: Frames, mask: Mask, generator: torch.Generator | None = None) -> Frames:
        """Log-mel (b n bands) and mask (b n) -> the same with holes; padding as before."""
        dice = _dice(mel, 2 * (self.band_spans + self.frame_spans), generator).to(mel.dtype)
        lengths = mask.sum(1, keepdim=True)
        mean = (mel * mask[..., None]).sum((1, 2), keepdim=True) / (lengths[..., None] * mel.shape[2]).clamp(min=1)
        bands, frames = dice.split([2 * self.band_spans, 2 * self.frame_spans], dim=1)
        everywhere = torch.full_like(lengths, mel.shape[2])
        hidden = _spans(bands, everywhere, everywhere.clamp(max=self.bands), mel.shape[2])[:, None]
        hidden = hidden | _spans(frames, lengths, (lengths // 5).clamp(max=self.frames), mel.shape[1])[..., None]
        return torch.where(hidden & mask[..., None], mean, mel)


def _spans(dice: Float[Tensor, "b dice"], lengths: Int[Tensor, "b 1"], most: Int[Tensor, "b 1"], n: int) -> Bool[Tensor, "b n"]:
    """Spans of up to `most` places within the first `lengths` ones."""
    size, start = dice.chunk(2, dim=1)
    size = (size * (most + 1)).floor()
    start = (start * (lengths - size + 1)).floor()
    at = torch.arange(n, device=dice.device)
    return ((at >= start[..., None]) & (at < (start + size)[..., None])).any(1)


def _dice(mel: Frames, each: int, generator: torch.Generator | None) -> Float[Tensor, "b each"]:
    """Evenly drawn in [0, 1), float64, `each` for every item."""
    at = generator.device if generator is not None else torch.device("cpu")
    return torch.rand(each, len(mel), generator=generator, device=at, dtype=torch.float64).T.to(mel.device)


def warped(mel: Frames, factors: Float[Tensor, "b"], spec: AudioSpec) -> Frames:
    """Every frequency f of item i moved to f · factors[i], between bands by a straight line; what would come from above the last
    band is the last band."""
    centres = spec.band_edges_hz()[1:-1]
    sources = centres[None] / factors.double().cpu().numpy()[:, None]
    at = torch.tensor(np.stack([np.interp(row, centres, np.arange(spec.bands)) for row in sources]), device=mel.device)
    low = at.floor().long().clamp(max=spec.bands - 2)
    part = (at - low).to(mel.dtype)[:, None]
    low = low[:, None].expand(-1, mel.shape[1], -1)
    return mel.gather(2, low) * (1 - part) + mel.gather(2, low + 1) * part


def _curves(amplitudes: Float[Tensor, "b k"], bands: int) -> Float[Tensor, "b bands"]:
    k = torch.arange(1, COSINES + 1, device=amplitudes.device)
    at = (torch.arange(bands, device=amplitudes.device) + 0.5) / bands
    return amplitudes @ torch.cos(math.pi * k[:, None] * at).to(amplitudes)


def _normal(dice: Float[Tensor, "b dice"]) -> Float[Tensor, "b k"]:
    """Box and Muller: evenly drawn numbers to normal ones, so that the draw is as repeatable as all others of the loss."""
    radius, angle = dice.chunk(2, dim=1)
    return (-2 * (1 - radius).log()).sqrt() * torch.cos(2 * math.pi * angle)
