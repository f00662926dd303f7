"""Recordings without the upper spectrum (16 kHz files, telephones, codecs): where it ends, and what is put there.

Bands that hold the log floor in every frame spoil what a model knows of full-band speech, as a target and as a reference.
They are filled with the mean of the bands below the edge, frame by frame: the crudest of spectral band replications.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from fm_audio.audio import AudioSpec

LOUDEST_SHARE = 0.99  # of frames lie below what counts as a band's loudest
FARTHEST_DECIBELS = 60.0  # below the loudest band: no speech is that dull
BELOW = 6  # bands that are copied
DECIBELS = 20 / math.log(10)  # in one unit of the natural logarithm of a magnitude
MOST_MISSING = 0.5  # of the bands: where more are missing, this is no speech


def spectrum_end_hz(mel: Float[Tensor, "n d"], spec: AudioSpec) -> float | None:
    """The frequency above which a recording (n bands), or several one after the other, holds nothing; None where it holds
    everything that the contract has, and where it is too short or too dull to tell."""
    if not len(mel):
        return None
    loudest = torch.quantile(mel.float(), LOUDEST_SHARE, dim=0) * spec.std * DECIBELS
    heard = (loudest > loudest.max() - FARTHEST_DECIBELS).nonzero()
    present = int(heard[-1, 0]) + 1
    if present == spec.bands or present < (1 - MOST_MISSING) * spec.bands:
        return None
    return float(spec.band_edges_hz()[present])


def fill_above(mel: Float[Tensor, "*b d"], spec: AudioSpec, end_hz: float | None) -> Float[Tensor, "*b d"]:
    """(… n bands) with the bands that reach above `end_hz` filled; as it was for None. The last band that is there only in part
    is filled too."""
    if end_hz is None:
        return mel
    first = int((spec.band_edges_hz()[1:-1] < end_hz).sum()) - 1
    below = mel[..., max(0, first - BELOW) : first].mean(-1, keepdim=True)
    return torch.cat([mel[..., :first], below.expand(*mel.shape[:-1], spec.bands - first)], -1)
