"""What kind of sound is it? A judge of sounds that is fitted to real clips alone, none of which a generator may have learnt from.

    features (spectrum, its changes, its rhythm)  ─▶  standardised, principal components  ─▶  logistic regression over kinds

No network and no choice of ours lies between sound and verdict, so nothing was tuned on what is judged. The components are the
embedding for Fréchet's distance (Heusel et al. 2017; for sound Kilgour et al. 2019) and for diversity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fm_audio.audio import Audio
from fm_audio.data.sound_features import features
from fm_audio.extras import require
from fm_audio.types import FmAudioError

COMPONENTS = 48
RIDGE = 1e-2
CLIPS_A_COMPONENT = 4  # a component that fewer clips speak for is noise


@dataclass(frozen=True)
class SoundJudge:
    """Fitted by `fit_judge`. `kinds` in order; embeddings have unit variance in each of their `COMPONENTS`."""

    kinds: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray  # f k
    weights: np.ndarray  # k + 1, kinds

    def embed(self, sounds: Sequence[Audio]) -> np.ndarray:
        """(n k)."""
        found = np.stack([features(sound) for sound in sounds])
        return ((found - self.mean) / self.scale).clip(-8, 8) @ self.components

    def log_odds(self, embedded: np.ndarray) -> np.ndarray:
        """(n kinds), log probabilities up to a constant of each sound."""
        return np.c_[embedded, np.ones(len(embedded))] @ self.weights

    def kinds_of(self, embedded: np.ndarray) -> list[str]:
        """The likeliest kind of each."""
        return [self.kinds[i] for i in self.log_odds(embedded).argmax(1)]

    def ranks_of(self, embedded: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
        """(n,) what share of the other kinds each is less likely to be of than the given one: 1 is right, a guess 1/2."""
        found = self.log_odds(embedded)
        own = found[np.arange(len(found)), [self.kinds.index(kind) for kind in kinds]][:, None]
        return (((found < own) + 0.5 * (found == own)).sum(1) - 0.5) / (len(self.kinds) - 1)


def fit_judge(sounds: Sequence[Audio], kinds: Sequence[str]) -> SoundJudge:
    """A judge of the kinds that these clips are of. Raises FmAudioError for fewer than two kinds or two clips of one."""
    minimize = require("scipy.optimize", "the judge of sounds").minimize
    names = tuple(sorted(set(kinds)))
    few = [k for k in names if list(kinds).count(k) < 2]
    if len(names) < 2 or few:
        raise FmAudioError(f"judge of sounds: {len(names)} kinds, of which {few[:5]} have one clip; give two of both or more")
    found = np.stack([features(sound) for sound in sounds])
    mean, scale = found.mean(0), found.std(0) + 1e-6
    z = ((found - mean) / scale).clip(-8, 8)
    _, values, rows = np.linalg.svd(z - z.mean(0), full_matrices=False)
    k = min(COMPONENTS, max(2, len(z) // CLIPS_A_COMPONENT))
    components = rows[:k].T / (values[:k] / np.sqrt(len(z)) + 1e-9)
    x = np.c_[z @ components, np.ones(len(z))]
    wanted = np.eye(len(names))[[names.index(kind) for kind in kinds]]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(x.shape[1], len(names))
        scores = x @ w
        scores = scores - scores.max(1, keepdims=True)
        share = np.exp(scores)
        share /= share.sum(1, keepdims=True)
        value = -np.log(share[wanted.astype(bool)] + 1e-300).mean() + RIDGE * np.square(w[:-1]).sum()
        slope = x.T @ (share - wanted) / len(x)
        slope[:-1] += 2 * RIDGE * w[:-1]
        return float(value), slope.ravel()

    best = minimize(loss, np.zeros(x.shape[1] * len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return SoundJudge(names, mean, scale, components, best.reshape(x.shape[1], len(names)))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """|μ_a − μ_b|² + tr(C_a + C_b − 2 (C_a C_b)^½) of two sets of embeddings (n k), (m k); 0 for the same set, and nan
    where a set has fewer than two."""
    if min(len(a), len(b)) < 2:
        return float("nan")
    cov_a, cov_b = (np.cov(x, rowvar=False) for x in (a, b))
    mixed = np.linalg.eigvals(cov_a @ cov_b)
    root = np.sqrt(np.maximum(mixed.real, 0.0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root)


def spread(embedded: np.ndarray) -> float:
    """Mean distance between two of a set (n k): how unlike each other they are."""
    gaps = np.linalg.norm(embedded[:, None] - embedded[None], axis=-1)
    return float(gaps[np.triu_indices(len(embedded), 1)].mean())
