"""Voices that nobody recorded: clips are warped along frequency and coloured, each in a way of its own, so that a model that
sees part of a clip takes the voice from there and not from the speakers it knows by heart.

    mel'[band at f] = mel[band at f / α] + Σ_k a_k cos(π k (band + ½) / bands),     α in [1/(1 + warp), 1 + warp],  k = 1 … 4

The warp is that of vocal tract length perturbation (Jaitly and Hinton 2013): formants and pitch move alike, durations stay. The
cosines are a microphone's and a room's colour; on log-mels a filter is a sum.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
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
        b, device = len(mel), mel.device
        at = generator.device if generator is not None else torch.device("cpu")
        drawn = [torch.rand(b, generator=generator, device=at, dtype=torch.float64).to(device) for _ in range(2 + 2 * COSINES)]
        changed, twist, dice = drawn[0] < self.share, 2 * drawn[1] - 1, torch.stack(drawn[2:], 1)
        factors = torch.where(changed, (1 + self.warp) ** twist, 1.0)
        moved = warped(mel, factors, spec)
        amplitudes = _normal(dice) * self.colour_decibels * math.log(10) / 20 / spec.std * changed[:, None]
        moved = (moved + _curves(amplitudes, spec.bands)[:, None].to(mel)).clamp(min=spec.floor)
        return torch.where((mask & changed[:, None])[..., None], moved, mel)


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
