"""Models small enough to be right: fields and backbones that the tests of the flow share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import LinearPath, Path
from fm_audio.flow.ports import MelPort
from fm_audio.types import Cond, length_mask

BANDS, FRAMES_CHANNELS, TOKENS, VECTOR = 5, 3, 4, 2


class PointwiseBackbone(nn.Module):
    """Each position by itself, beside the time, the vector and the mean of the visible tokens: nothing sees padding."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.net = nn.Sequential(nn.Linear(width + 1 + VECTOR + TOKENS, 32), nn.Tanh(), nn.Linear(32, width))
        self.batches: list[int] = []

    def forward(self, h: Tensor, t: Tensor, mask: Tensor, cond: Cond) -> Tensor:
        self.batches.append(h.shape[0])
        assert cond.tokens is not None and cond.tokens_mask is not None and cond.vector is not None
        keep = cond.tokens_mask[..., None]
        tokens = cond.tokens.masked_fill(~keep, 0.0).sum(1) / keep.sum(1)
        item = torch.cat([t[:, None], cond.vector, tokens], -1)[:, None].expand(-1, h.shape[1], -1)
        return self.net(torch.cat([h, item.to(h.dtype)], -1))


def toy_head(frames_per_token: int = 1, prediction: str = "velocity", condition_drop: float = 0.0) -> FlowHead:
    port = MelPort(BANDS, 16, FRAMES_CHANNELS, frames_per_token, prediction)
    nn.init.normal_(port.out.weight, std=0.3)
    return FlowHead(PointwiseBackbone(), {"mel": port}, condition_drop=condition_drop)


def toy_batch(lengths: list[int], n: int | None = None) -> tuple[Tensor, Cond]:
    """mask (b n) and a condition through all three doors; the same items whatever n is."""
    mask = length_mask(torch.tensor(lengths), n)
    b, n = mask.shape
    frames, vector = torch.zeros(b, n, FRAMES_CHANNELS), torch.zeros(b, VECTOR)
    tokens, tokens_mask = torch.zeros(b, 6, TOKENS), torch.zeros(b, 6, dtype=torch.bool)
    for i, length in enumerate(lengths):
        g = torch.Generator().manual_seed(length)
        frames[i, :length] = torch.randn(length, FRAMES_CHANNELS, generator=g)
        tokens[i] = torch.randn(6, TOKENS, generator=g)
        tokens_mask[i, : 1 + length % 6] = True
        vector[i] = torch.randn(VECTOR, generator=g)
    return mask, Cond(frames, tokens, tokens_mask, vector)


class GaussianField:
    """The exact mean velocity where data are N(mean, std^2): the flow then carries x0 to mean + std_at_1 * x0."""

    def __init__(self, path: Path | None = None, mean: float = 1.5, std: float = 0.4) -> None:
        self.path, self.mean, self.std = path or LinearPath(), mean, std

    def data(self, x: Tensor, t: Tensor) -> Tensor:
        c = self.path.coefficients(t).beside(x)
        variance = (c.alpha * self.std) ** 2 + c.sigma**2
        return self.mean + c.alpha * self.std**2 / variance * (x - c.alpha * self.mean)

    def noise(self, x: Tensor, t: Tensor) -> Tensor:
        c = self.path.coefficients(t).beside(x)
        return c.sigma / ((c.alpha * self.std) ** 2 + c.sigma**2) * (x - c.alpha * self.mean)

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        c = self.path.coefficients(t).beside(x)
        return -(x - c.alpha * self.mean) / ((c.alpha * self.std) ** 2 + c.sigma**2)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        c = self.path.coefficients(t).beside(x)
        return c.d_alpha * self.data(x, t) + c.d_sigma * self.noise(x, t)


class MixtureField:
    """The exact mean velocity on the linear path where data are two equal narrow Gaussians, at -1 and at 2."""

    means, std = (-1.0, 2.0), 0.3

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        t = t.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
        variance = (t * self.std) ** 2 + (1 - t) ** 2
        gaps = torch.stack([x - t * m for m in self.means])
        share = torch.softmax(-(gaps**2) / (2 * variance), 0)
        x1 = sum(s * (m + t * self.std**2 / variance * g) for s, m, g in zip(share, self.means, gaps, strict=True))
        x0 = sum(s * (1 - t) / variance * g for s, g in zip(share, gaps, strict=True))
        return x1 - x0
