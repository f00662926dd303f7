"""Harmonics of a voice on the mel: where F0 puts them, and which F0 put them there.

    comb(F0) = cos(2π f / F0) · sinc²(s / F0)           at a band with its peak at f and a filter of half-width s
    F0       = the path through the frames along which comb and mel agree best (Viterbi)
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from fm_audio.audio import AudioSpec

LOWEST_HZ, HIGHEST_HZ, CANDIDATES = 65.0, 500.0, 120
RESOLVED_HZ = 3500.0  # above it, mel bands are too wide to tell harmonics apart
ENVELOPE_HZ = 80.0  # what is smoother than twice this is the vocal tract's, not the harmonics'
JUMP_COST, DEAREST_JUMP = 0.03, 0.6  # per candidate, in units of the agreement, which is a correlation


def harmonic_comb(log_pitch: Float[Tensor, "b n"], spec: AudioSpec) -> Float[Tensor, "b n d"]:
    """log F0 in Hz (b n) -> (b n bands) in [-1, 1]: 1 on a harmonic, -1 between two, 0 where a band is too wide to tell.

    The damping is the transform of a triangle, the shape of a mel filter.
    """
    edges_hz = torch.tensor(spec.band_edges_hz(), dtype=torch.float32, device=log_pitch.device)
    peaks_hz, half_widths_hz = edges_hz[1:-1], (edges_hz[2:] - edges_hz[:-2]) / 2
    period = torch.exp(-log_pitch.float())[..., None]
    return torch.cos(2 * math.pi * peaks_hz * period) * torch.sinc(half_widths_hz * period) ** 2


def pitch_of_mel(mel: Float[Tensor, "n d"], spec: AudioSpec) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Normalised log-mel of one item -> natural log of F0 in Hz, and how well its comb agrees with the mel (a correlation).

    Agreement tells voiced frames from others: see `voicing`. Against SwiftF0 on held-out recordings, 94 to 98 of 100 voiced
    frames lie within 5 %; the median error is below 1 %.
    """
    candidates = torch.linspace(math.log(LOWEST_HZ), math.log(HIGHEST_HZ), CANDIDATES)
    edges_hz = spec.band_edges_hz()
    low = int((edges_hz[1:-1] < RESOLVED_HZ).sum())
    width = 2 * max(1, round(ENVELOPE_HZ / (edges_hz[2] - edges_hz[1]))) + 1
    combs = _ripple(harmonic_comb(candidates[None], spec)[0, :, :low], width)
    combs = combs / combs.norm(dim=1, keepdim=True)
    ripple = _ripple(mel[:, :low].float().cpu() * spec.std / spec.power, width)
    agreement = ((ripple / (ripple.norm(dim=1, keepdim=True) + 1)) @ combs.T).numpy()
    path = _best_path(agreement)
    rows, at = np.arange(len(path)), path.clip(1, CANDIDATES - 2)
    left, middle, right = (agreement[rows, at + i] for i in (-1, 0, 1))
    bend = left - 2 * middle + right
    between = np.where(bend < -1e-6, 0.5 * (left - right) / np.minimum(bend, -1e-6), 0.0).clip(-1, 1)  # top of the parabola
    step = (math.log(HIGHEST_HZ) - math.log(LOWEST_HZ)) / (CANDIDATES - 1)
    log_pitch = candidates[torch.from_numpy(at)] + torch.from_numpy(between * step).float()
    return log_pitch, torch.from_numpy(agreement[rows, path])


def voicing(log_pitch: Float[Tensor, "n"], agreement: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """How voiced each frame is, 0 to 1. Low voices show fewer resolved harmonics, so less agreement is asked of them."""
    height = ((log_pitch - math.log(100)) / math.log(2)).clamp(0, 1)
    return torch.sigmoid((agreement - (0.22 + 0.18 * height)) / 0.05)


def _ripple(x: Float[Tensor, "n d"], width: int) -> Float[Tensor, "n d"]:
    """What is left of each row when its moving average over `width` bands is taken away."""
    return x - F.avg_pool1d(x[:, None], width, 1, width // 2, count_include_pad=False)[:, 0]


def _best_path(agreement: np.ndarray) -> np.ndarray:
    """(n k) -> the k of each frame that make the greatest sum of agreement less the cost of jumps."""
    k = np.arange(agreement.shape[1])
    cost = np.minimum(JUMP_COST * np.abs(k[:, None] - k[None]), DEAREST_JUMP)
    total, came_from = agreement[0], []
    for row in agreement[1:]:
        arriving = total[None] - cost
        best = arriving.argmax(1)
        came_from.append(best)
        total = arriving[k, best] + row
    path = [int(total.argmax())]
    for best in reversed(came_from):
        path.append(int(best[path[-1]]))
    return np.array(path[::-1])
