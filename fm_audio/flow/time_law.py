"""Time laws: at which t in [0, 1] training looks, one t for each item.

A law is its quantile function. `sample` puts uniform numbers through it; stratified, the b numbers of a batch lie one in each of
b equal strata (in random order), which leaves each t's law as it is and takes variance out of the loss at no cost.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from fm_audio.tokens import decided_at
from fm_audio.types import FmAudioError


@runtime_checkable
class TimeLaw(Protocol):
    """`quantile(u in [0, 1]) -> t`, and `sample(b, generator, device) -> (b,) float32`."""

    def quantile(self, u: Tensor) -> Tensor: ...

    def sample(self, b: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor: ...


def uniforms(b: int, stratified: bool, generator: torch.Generator | None, device: torch.device | str) -> Tensor:
    """(b,) float64 uniform numbers in [0, 1), drawn on the generator's own device (the host's without one)."""
    at = generator.device if generator is not None else torch.device("cpu")
    u = torch.rand(b, generator=generator, device=at, dtype=torch.float64)
    if stratified:
        u = (torch.randperm(b, generator=generator, device=at) + u) / b
    return u.to(device)


class Uniform:
    """Every t equally often."""

    def __init__(self, stratified: bool = True) -> None:
        self.stratified = stratified

    def quantile(self, u: Tensor) -> Tensor:
        return u

    def sample(self, b: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self.quantile(uniforms(b, self.stratified, generator, device)).float()


class LogitNormal:
    """log(t / (1 - t)) is normal: the middle of the path more often than its ends (Esser et al. 2024, section 3.1).

    mean > 0 looks nearer to the data, mean < 0 nearer to the noise; std > 0.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, stratified: bool = True) -> None:
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise FmAudioError(f"LogitNormal: mean is {mean} and std is {std}; give finite numbers with std > 0.")
        self.mean, self.std, self.stratified = mean, std, stratified

    def quantile(self, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))

    def sample(self, b: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self.quantile(uniforms(b, self.stratified, generator, device)).float()


class Density:
    """A law given as a histogram: between edges[i] and edges[i + 1], t falls with a share in proportion to shares[i].

    shares: k numbers >= 0, not all zero. edges: k + 1 rising times from 0 to 1; without them the k cells are equally wide, and
    the shares are then the density itself up to a factor.
    """

    def __init__(self, shares: list[float], edges: list[float] | None = None, stratified: bool = True) -> None:
        k = len(shares)
        edges = [i / k for i in range(k + 1)] if edges is None and k else edges or []
        rising = all(a < b for a, b in zip(edges, edges[1:], strict=False))
        if len(edges) != k + 1 or not rising or edges[0] != 0.0 or edges[-1] != 1.0:
            raise FmAudioError(f"Density: edges are {edges} for {k} shares; give {k + 1} rising times from 0 to 1.")
        if not all(math.isfinite(s) and s >= 0 for s in shares) or sum(shares) <= 0:
            raise FmAudioError(f"Density: shares are {shares}; give finite numbers >= 0 of which at least one is above 0.")
        self.shares, self.edges, self.stratified = list(shares), list(edges), stratified

    def quantile(self, u: Tensor) -> Tensor:
        share = torch.tensor(self.shares, dtype=torch.float64, device=u.device)
        edges = torch.tensor(self.edges, dtype=torch.float64, device=u.device)
        cdf = torch.cat([share.new_zeros(1), share.cumsum(0)]) / share.sum()
        u = u.double().clamp(0.0, 1.0)
        cell = torch.searchsorted(cdf, u, right=True).clamp(1, len(self.shares)) - 1
        while (empty := (share[cell] == 0)).any():  # only u = 1 behind trailing empty cells
            cell = torch.where(empty, cell - 1, cell)
        return edges[cell] + (u - cdf[cell]) / (cdf[cell + 1] - cdf[cell]) * (edges[cell + 1] - edges[cell])

    def sample(self, b: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self.quantile(uniforms(b, self.stratified, generator, device)).float()


class Undecided:
    """Where tokens are undecided: logit-normal about their t* (`fm_audio.tokens.decided_at`), and a share of uniform times.

        t ~ (1 − uniform) · sigmoid(N(logit t* + shift, std²)) + uniform · U(0, 1)

    tokens, channels: the vocabulary's size and the width of its embeddings. Others spend their training there under other
    names (Dieleman et al. 2022: time warping; Ye et al. 2023, "DINOISER": clipped noise; Gao et al. 2024, "Difformer": rescaled).
    """

    def __init__(
        self,
        tokens: int,
        channels: int,
        shift: float = -0.5,
        std: float = 1.0,
        uniform: float = 0.1,
        stratified: bool = True,
    ) -> None:
        if not 0.0 < uniform <= 1.0:
            raise FmAudioError(f"Undecided: uniform is {uniform}; give a share above 0 (so that every t is seen) up to 1.")
        t = decided_at(tokens, channels)
        self.normal = LogitNormal(math.log(t / (1 - t)) + shift, std)
        self.uniform, self.stratified = uniform, stratified

    def quantile(self, u: Tensor) -> Tensor:
        """By bisection on t, to the last bit but a few."""
        u = u.double().clamp(0.0, 1.0)
        low, high = torch.zeros_like(u), torch.ones_like(u)
        for _ in range(52):
            t = 0.5 * (low + high)
            below = self._share_below(t) < u
            low, high = torch.where(below, t, low), torch.where(below, high, t)
        return torch.where(u == 0, 0.0, torch.where(u == 1, 1.0, 0.5 * (low + high)))

    def _share_below(self, t: Tensor) -> Tensor:
        normal = torch.special.ndtr((torch.logit(t) - self.normal.mean) / self.normal.std)
        return (1 - self.uniform) * normal + self.uniform * t

    def sample(self, b: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
        return self.quantile(uniforms(b, self.stratified, generator, device)).float()
