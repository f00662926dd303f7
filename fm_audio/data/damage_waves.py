"""Moments of recordings that nobody could have said, for readers of speech to learn what no phone is.

A reader that has met phones alone takes anything for one of them. Shown what is none, it says so of other faults too (outlier
exposure; Hendrycks et al. 2019). Each kind is a way in which generated speech goes wrong: played backwards, pieces in another
order, a piece that is stuck, sound smeared to a hiss of its colour, another moment backwards on top. Joints are faded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FADE_SECONDS = 0.005
PIECE_SECONDS = (0.02, 0.06)  # of what is shuffled, and of what is stuck
PLACES = 3  # drawn for a moment; the loudest is taken, for a silence is not damaged by much

Moment = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]


def backwards(part: np.ndarray, clip: np.ndarray, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    return part[::-1]


def shuffled(part: np.ndarray, clip: np.ndarray, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    size = round(draw.uniform(*PIECE_SECONDS) * sample_rate)
    pieces = [part[i : i + size] for i in range(0, len(part), size)]
    order = draw.permutation(len(pieces))
    if len(pieces) > 1 and (order == np.arange(len(pieces))).all():
        order = order[::-1]
    return np.concatenate([pieces[k] for k in order])


def stuck(part: np.ndarray, clip: np.ndarray, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    size = min(round(draw.uniform(*PIECE_SECONDS) * sample_rate), len(part))
    start = int(draw.integers(len(part) - size + 1))
    return np.resize(part[start : start + size], len(part))


def smeared(part: np.ndarray, clip: np.ndarray, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    spectrum = np.abs(np.fft.rfft(part))
    noise = np.fft.irfft(spectrum * np.exp(2j * np.pi * draw.random(len(spectrum))), len(part))
    return noise * np.sqrt(np.square(part).mean() / max(float(np.square(noise).mean()), 1e-12))


def doubled(part: np.ndarray, clip: np.ndarray, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    start = _loudest(clip, len(part), draw)
    other = clip[start : start + len(part)]
    louder = np.sqrt(np.square(part).mean() / max(float(np.square(other).mean()), 1e-12))
    return 0.7 * (part + louder * other[::-1])


KINDS: tuple[Moment, ...] = (backwards, shuffled, stuck, smeared, doubled)


@dataclass(frozen=True)
class WaveDamage:
    """share: of the clips that are damaged. most: moments in one clip. seconds: least and most of a moment."""

    share: float = 0.5
    most: int = 2
    seconds: tuple[float, float] = (0.12, 0.45)

    def __call__(
        self, samples: np.ndarray, sample_rate: int, draw: np.random.Generator
    ) -> tuple[np.ndarray, list[tuple[float, float]]]:
        """(s,) -> (s,), and from when to when it is damaged, in seconds; moments may overlap. A clip shorter than two moments of
        the greatest length stays whole."""
        if draw.random() >= self.share or len(samples) < 2 * self.seconds[1] * sample_rate:
            return samples, []
        found, moments = samples.astype(np.float64), []
        for _ in range(int(draw.integers(1, self.most + 1))):
            size = round(draw.uniform(*self.seconds) * sample_rate)
            start = _loudest(samples, size, draw)
            part = found[start : start + size].copy()
            made = KINDS[int(draw.integers(len(KINDS)))](part, samples, sample_rate, draw)
            inside = np.minimum(1.0, _from_the_edge(size) / (FADE_SECONDS * sample_rate))
            found[start : start + size] = part * (1 - inside) + made * inside
            moments.append((start / sample_rate, (start + size) / sample_rate))
        return found.astype(np.float32), moments


def _from_the_edge(size: int) -> np.ndarray:
    at = np.arange(size)
    return np.minimum(at, at[::-1])


def _loudest(samples: np.ndarray, size: int, draw: np.random.Generator) -> int:
    starts = draw.integers(len(samples) - size + 1, size=PLACES)
    return int(max(starts, key=lambda start: float(np.square(samples[start : start + size]).mean())))
