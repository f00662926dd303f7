"""A path leads from noise x0 at t = 0 to data x1 at t = 1, and says what it moves by at every t.

    x_t = alpha(t) x1 + sigma(t) x0          v = dx_t/dt = alpha'(t) x1 + sigma'(t) x0

A path is four coefficients; everything else on this page follows from them. With w = alpha' sigma - alpha sigma', which both
paths keep constant, the pair (x_t, v) gives back the pair (x1, x0) without dividing by anything that vanishes:

    x1 = (sigma v - sigma' x_t) / w          x0 = (alpha' x_t - alpha v) / w          score = -x0 / sigma

Lipman et al. 2023, "Flow matching for generative modeling", section 4; Albergo et al. 2023, "Stochastic interpolants".
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from fm_audio.types import FmAudioError


class Coefficients(NamedTuple):
    """alpha, sigma and their derivatives, each of the shape of t."""

    alpha: Tensor
    sigma: Tensor
    d_alpha: Tensor
    d_sigma: Tensor

    @property
    def w(self) -> Tensor:
        """The determinant that undoes the path: alpha' sigma - alpha sigma'."""
        return self.d_alpha * self.sigma - self.alpha * self.d_sigma

    @property
    def size(self) -> Tensor:
        """s = sqrt(alpha^2 + sigma^2), by which x_t is as large as noise and data of variance 1."""
        return (self.alpha.square() + self.sigma.square()).sqrt()

    def beside(self, x: Tensor) -> Coefficients:
        """Coefficients (b,) shaped to multiply x (b ...)."""
        return Coefficients(*[c.to(x.dtype).view(-1, *[1] * (x.ndim - 1)) for c in self])


@runtime_checkable
class Path(Protocol):
    """`coefficients(t (b,)) -> Coefficients`, exact for t in [0, 1]."""

    def coefficients(self, t: Tensor) -> Coefficients: ...


class LinearPath:
    """Straight lines: x_t = t x1 + (1 - (1 - sigma_min) t) x0 (Lipman et al. 2023, equations 20-23, "OT-CFM").

    sigma_min in [0, 1) is the noise left on the data at t = 1.
    """

    def __init__(self, sigma_min: float = 0.0) -> None:
        if not 0.0 <= sigma_min < 1.0:
            raise FmAudioError(f"LinearPath: sigma_min is {sigma_min}; give a number in [0, 1), usually 0.")
        self.sigma_min = sigma_min

    def coefficients(self, t: Tensor) -> Coefficients:
        slope = 1.0 - self.sigma_min
        one = torch.ones_like(t)
        return Coefficients(alpha=t, sigma=1.0 - slope * t, d_alpha=one, d_sigma=-slope * one)


class VariancePreservingPath:
    """A quarter circle: x_t = sin(pi t / 2) x1 + cos(pi t / 2) x0, so alpha^2 + sigma^2 = 1 (Albergo and Vanden-Eijnden 2023)."""

    def coefficients(self, t: Tensor) -> Coefficients:
        q = math.pi / 2
        alpha, sigma = torch.sin(q * t), torch.cos(q * t)
        return Coefficients(alpha=alpha, sigma=sigma, d_alpha=q * sigma, d_sigma=-q * alpha)


def point(path: Path, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """x_t (b ...) of noise x0 and data x1 (b ...) at t (b,)."""
    c = path.coefficients(t).beside(x1)
    return c.alpha * x1 + c.sigma * x0


def velocity(path: Path, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """v = dx_t/dt (b ...): what the head learns."""
    c = path.coefficients(t).beside(x1)
    return c.d_alpha * x1 + c.d_sigma * x0


def data_from_velocity(path: Path, v: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The x1 that (x_t, v) points at."""
    c = path.coefficients(t).beside(x_t)
    return (c.sigma * v - c.d_sigma * x_t) / c.w


def noise_from_velocity(path: Path, v: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The x0 that (x_t, v) came from."""
    c = path.coefficients(t).beside(x_t)
    return (c.d_alpha * x_t - c.alpha * v) / c.w


def velocity_from_data(path: Path, x1: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """v where the data are predicted as x1. Needs sigma(t) > 0: stay below t = 1 unless the path keeps noise there."""
    c = path.coefficients(t).beside(x_t)
    return (c.d_sigma * x_t + c.w * x1) / c.sigma


def velocity_from_noise(path: Path, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """v where the noise is predicted as x0. Needs alpha(t) > 0: stay above t = 0."""
    c = path.coefficients(t).beside(x_t)
    return (c.d_alpha * x_t - c.w * x0) / c.alpha


def angular(path: Path, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """u = (sigma x1 - alpha x0) / s, s^2 = alpha^2 + sigma^2 (b ...): by what x_t / s turns from noise towards data, the "v" of
    Salimans and Ho 2022, "Progressive distillation", appendix D. Of noise and data of one variance it tells nothing of x_t,
    whatever t is; the velocity of a straight path does."""
    c = path.coefficients(t).beside(x1)
    return (c.sigma * x1 - c.alpha * x0) / c.size


def velocity_from_angular(path: Path, u: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """v = (s' x_t + w u) / s where u (b ...) is predicted (`angular`)."""
    c = path.coefficients(t).beside(x_t)
    return ((c.alpha * c.d_alpha + c.sigma * c.d_sigma) / c.size * x_t + c.w * u) / c.size


def score_from_velocity(path: Path, v: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The gradient of log p_t at x_t, where v is the mean velocity there. Needs sigma(t) > 0."""
    c = path.coefficients(t).beside(x_t)
    return -noise_from_velocity(path, v, x_t, t) / c.sigma
