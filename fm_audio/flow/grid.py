"""Grids: at which times a solver stops on its way from 0 to 1. Called with steps, each gives (steps + 1,) rising float64."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fm_audio.flow.time_law import TimeLaw
from fm_audio.types import FmAudioError


@runtime_checkable
class Grid(Protocol):
    """`(steps) -> (steps + 1,)` float64 times, strictly rising, first 0 and last 1."""

    def __call__(self, steps: int) -> Tensor: ...


def _even(steps: int) -> Tensor:
    return torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)


def _pinned(t: Tensor) -> Tensor:
    """The same times with the ends exactly 0 and 1, whatever rounding did."""
    t[0], t[-1] = 0.0, 1.0
    return t


def _swayed(t: Tensor, coef: float) -> Tensor:
    return _pinned(t + coef * (torch.cos(math.pi / 2 * t) - 1.0 + t))


def _check_sway(who: str, coef: float) -> None:
    limit = 2.0 / (math.pi - 2.0)
    if not -1.0 <= coef < limit:
        raise FmAudioError(f"{who}: sway coefficient is {coef}; between -1 (dense near noise) and {limit:.2f} times still rise.")


class Uniform:
    """Equal steps."""

    def __call__(self, steps: int) -> Tensor:
        return _even(steps)


class Sway:
    """t + coef (cos(pi t / 2) - 1 + t): small steps near noise where coef < 0 (F5-TTS, Chen et al. 2024, equation 7)."""

    def __init__(self, coef: float = -1.0) -> None:
        _check_sway("Sway", coef)
        self.coef = coef

    def __call__(self, steps: int) -> Tensor:
        return _swayed(_even(steps), self.coef)


class Shifted:
    """t / (t + alpha (1 - t)): alpha > 1 puts more times near noise, alpha < 1 near data (Esser et al. 2024, equation 23)."""

    def __init__(self, alpha: float = 3.0) -> None:
        if not (math.isfinite(alpha) and alpha > 0):
            raise FmAudioError(f"Shifted: alpha is {alpha}; give a number above 0 (1 is the uniform grid).")
        self.alpha = alpha

    def __call__(self, steps: int) -> Tensor:
        t = _even(steps)
        return _pinned(t / (t + self.alpha * (1.0 - t)))


class Cosine:
    """(1 - cos(pi t)) / 2: small steps at both ends. (Small steps at the noise end alone is Sway(-1).)"""

    def __call__(self, steps: int) -> Tensor:
        return _pinned(0.5 * (1.0 - torch.cos(math.pi * _even(steps))))


class EPSS:
    """F5-TTS's pruned 32-step grids, then sway (Zheng et al. 2025, "Fast F5-TTS"). 5, 6, 7, 10, 12 or 16 steps."""

    THIRTY_SECONDS = {
        5: (0, 2, 4, 8, 16, 32),
        6: (0, 2, 4, 6, 8, 16, 32),
        7: (0, 2, 4, 6, 8, 16, 24, 32),
        10: (0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32),
        12: (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32),
        16: (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    }

    def __init__(self, sway: float = -1.0) -> None:
        _check_sway("EPSS", sway)
        self.sway = sway

    def __call__(self, steps: int) -> Tensor:
        if steps not in self.THIRTY_SECONDS:
            allowed = ", ".join(map(str, self.THIRTY_SECONDS))
            raise FmAudioError(f"EPSS grid: {steps} steps; it has tables for {allowed}. Take one of these, or the sway grid.")
        return _swayed(torch.tensor(self.THIRTY_SECONDS[steps], dtype=torch.float64) / 32.0, self.sway)


class Custom:
    """Times written out, first 0 and last 1."""

    def __init__(self, times: list[float]) -> None:
        rising = all(a < b for a, b in zip(times, times[1:], strict=False))
        if len(times) < 2 or not rising or times[0] != 0.0 or times[-1] != 1.0:
            raise FmAudioError(f"Custom grid: times are {times}; give at least two rising times, first 0 and last 1.")
        self.times = list(times)

    def __call__(self, steps: int) -> Tensor:
        if steps != len(self.times) - 1:
            fits = len(self.times) - 1
            raise FmAudioError(f"Custom grid: {steps} steps asked of {len(self.times)} times; set steps to {fits}.")
        return torch.tensor(self.times, dtype=torch.float64)


class Quantile:
    """The quantiles i / steps of a time law: as many steps where training looked more."""

    def __init__(self, law: TimeLaw) -> None:
        self.law = law

    def __call__(self, steps: int) -> Tensor:
        return _pinned(self.law.quantile(_even(steps)).double())
