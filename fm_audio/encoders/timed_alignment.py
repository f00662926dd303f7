"""The alignment of symbols and frames when it is known about how long each symbol lasts: a search over durations.

Monotonic alignment search gives a symbol whatever frames look most like it, often a single one; what is learned from such
durations swallows its plosives. Here a duration counts too, as in hidden Markov models with explicit durations (Ferguson 1980):

    max over d of  Σ_i Σ_{frames j of i} log p(x_j | i)  −  Σ_i weight_i |log d_i − log d̂_i|

What the best durations reach (`timed_score`) tells which of several texts a recording is the likelier one of.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fm_audio.encoders.alignment import monotonic_alignment
from fm_audio.types import FmAudioError

WEIGHT = 30.0  # nats for a duration that is e times as long; the bands of a mel are far from independent, so this much is needed
MARGIN_FRAMES = 96  # how far an end may lie from where the search over frames puts it


@torch.no_grad()
def timed_alignment(
    log_likelihood: Float[Tensor, "m n"],
    log_durations: Float[Tensor, "m"],
    weight: float | np.ndarray = WEIGHT,
    margin_frames: int = MARGIN_FRAMES,
) -> Int[Tensor, "m"]:
    """Whole frames of each symbol, at least one, n in all. `log_durations`: of frames, as predicted; only their ratios count.
    `weight`: of all symbols alike, or of each (m,).

    The likeliest durations whose ends lie within `margin_frames` of those of `monotonic_alignment`; with weight 0 and a wide
    margin they are the same. Raises FmAudioError for fewer frames than symbols.
    """
    m, n = log_likelihood.shape
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), (m,))
    if (weights < 0).any() or margin_frames < 0:
        raise FmAudioError(f"alignment: weight {weight} and margin_frames {margin_frames}; give 0 or more of both")
    everything = (torch.ones(1, k, dtype=torch.bool, device=log_likelihood.device) for k in (m, n))
    near = monotonic_alignment(log_likelihood[None], *everything)[0].cumsum(0).cpu().numpy()
    expected = _scaled(log_durations, n)
    scores = log_likelihood.double().cpu().numpy()
    before, best = np.array([0]), np.array([0.0])  # ends of the symbol before, and the best score up to each
    ends, came = [], []
    for i in range(m):
        here = _ends(int(near[i]), i, m, n, margin_frames)
        so_far = np.concatenate([[0.0], scores[i].cumsum()])
        frames = here[:, None] - before[None]
        log_frames = np.log(np.maximum(frames, 1))
        total = (best - so_far[before])[None] - weights[i] * np.abs(log_frames - expected[i])
        total[frames < 1] = -np.inf
        chosen = total.argmax(1)
        best = total[np.arange(len(here)), chosen] + so_far[here]
        came.append(before[chosen])
        ends.append(here)
        before = here
    at, durations = n, np.zeros(m, dtype=np.int64)
    for i in range(m - 1, -1, -1):
        start = int(came[i][np.searchsorted(ends[i], at)])
        durations[i], at = at - start, start
    return torch.from_numpy(durations).to(log_likelihood.device)


@torch.no_grad()
def timed_score(
    log_likelihood: Float[Tensor, "m n"],
    log_durations: Float[Tensor, "m"],
    durations: Int[Tensor, "m"],
    weight: float | np.ndarray = WEIGHT,
) -> float:
    """What `timed_alignment` makes as great as it can, in nats."""
    n = log_likelihood.shape[1]
    spoken = torch.repeat_interleave(torch.arange(len(durations), device=durations.device), durations)
    frames = float(log_likelihood[spoken, torch.arange(n, device=spoken.device)].double().sum())
    off = np.abs(np.log(durations.cpu().numpy()) - _scaled(log_durations, n))
    return frames - float((np.asarray(weight) * off).sum())


def _scaled(log_durations: Tensor, n: int) -> np.ndarray:
    """Their ratios as they are, n frames in all."""
    expected = log_durations.double().cpu().numpy()
    return expected + np.log(n) - np.logaddexp.reduce(expected)


def _ends(near: int, i: int, m: int, n: int, margin: int) -> np.ndarray:
    """Where symbol i of m may end: every symbol before and behind it keeps a frame."""
    if i == m - 1:
        return np.array([n])
    return np.arange(max(i + 1, near - margin), min(n - (m - 1 - i), near + margin) + 1)
