"""The alignment of symbols and frames when it is known about how long each symbol lasts: a search over durations.

Monotonic alignment search gives a symbol whatever frames look most like it, often a single one; what is learned from such
durations swallows its plosives. Here a duration counts too, as in hidden Markov models with explicit durations (Ferguson 1980):

    max over d of  Σ_i Σ_{frames j of i} log p(x_j | i)  −  weight Σ_i |log d_i − log d̂_i|
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
    weight: float = WEIGHT,
    margin_frames: int = MARGIN_FRAMES,
) -> Int[Tensor, "m"]:
    """Whole frames of each symbol, at least one, n in all. `log_durations`: of frames, as predicted; only their ratios count.

    The likeliest durations whose ends lie within `margin_frames` of those of `monotonic_alignment`; with weight 0 and a wide
    margin they are the same. Raises FmAudioError for fewer frames than symbols.
    """
    m, n = log_likelihood.shape
    if weight < 0 or margin_frames < 0:
        raise FmAudioError(f"alignment: weight {weight} and margin_frames {margin_frames}; give 0 or more of both")
    everything = (torch.ones(1, k, dtype=torch.bool, device=log_likelihood.device) for k in (m, n))
    near = monotonic_alignment(log_likelihood[None], *everything)[0].cumsum(0).cpu().numpy()
    expected = log_durations.double().cpu().numpy()
    expected = expected + np.log(n) - np.logaddexp.reduce(expected)
    scores = log_likelihood.double().cpu().numpy()
    before, best = np.array([0]), np.array([0.0])  # ends of the symbol before, and the best score up to each
    ends, came = [], []
    for i in range(m):
        here = _ends(int(near[i]), i, m, n, margin_frames)
        so_far = np.concatenate([[0.0], scores[i].cumsum()])
        frames = here[:, None] - before[None]
        log_frames = np.log(np.maximum(frames, 1))
        total = (best - so_far[before])[None] - weight * np.abs(log_frames - expected[i])
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


def _ends(near: int, i: int, m: int, n: int, margin: int) -> np.ndarray:
    """Where symbol i of m may end: every symbol before and behind it keeps a frame."""
    if i == m - 1:
        return np.array([n])
    return np.arange(max(i + 1, near - margin), min(n - (m - 1 - i), near + margin) + 1)
