"""Zipformer's layers (Yao et al. 2024, arXiv 2310.11230) as ZipVoice has them (Zhu et al. 2025, arXiv 2506.13053).

One set of attention weights serves three modules of a layer; a condition c, if there is one, is added three times:

    w = softmax(q·k + p·offset(j − i)),   x ← bypass(x, second(bypass(x, first(x))))
    first   +c  feed-forward  gated by head 1 of w  attention w  +c  convolution  feed-forward
    second  attention w  +c  convolution  feed-forward  norm

What only regularises training (balancers, whitening, skipped layers) is not here. Backbone and text encoder share this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.layers import MaskedConv
from fm_audio.types import Frames, Mask

Weights = Float[Tensor, "b h n n"]


@dataclass(frozen=True)
class Heads:
    """How attention is divided: widths of a head's query (and key), value and position query, and of the offsets' sinusoids."""

    number: int = 4
    query_width: int = 32
    value_width: int = 12
    position_width: int = 4
    offsets_width: int = 48


def swoosh_l(x: Tensor) -> Tensor:
    """log(1 + e^(x − 4)) − 0.08 x − 0.035."""
    return F.softplus(x - 4.0) - 0.08 * x - 0.035


def swoosh_r(x: Tensor) -> Tensor:
    """log(1 + e^(x − 1)) − 0.08 x − 0.313261687, which is 0 at 0."""
    return F.softplus(x - 1.0) - 0.08 * x - 0.313261687


def sinusoids(x: Float[Tensor, "b"], width: int) -> Float[Tensor, "b width"]:
    """cos, then sin, of x times rates that fall from 1 towards 1/10,000; float32."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) / half * torch.arange(half, device=x.device, dtype=torch.float32))
    angles = x.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], -1)


def offsets(n: int, width: int, device: torch.device) -> Float[Tensor, "m width"]:
    """Sinusoids of the offsets −(n − 1) … n − 1: fine near 0, and less and less so far away (logarithm, then arc tangent)."""
    x = torch.arange(1 - n, n, device=device, dtype=torch.float32)
    root = math.sqrt(width)
    near = root * x.sign() * ((x.abs() + root).log() - math.log(root))
    angles = (near * (2 * math.pi / width)).atan()[:, None] * torch.arange(1, width // 2 + 1, device=device)
    places = rearrange([angles.cos(), angles.sin()], "two m rates -> m (rates two)")
    return torch.cat([places[:, :-1], torch.ones_like(places[:, :1])], -1)


def between(scores: Float[Tensor, "b h n m"]) -> Weights:
    """Scores of each query for the offsets −(n − 1) … n − 1 -> scores of each query i for each key j, at offset j − i."""
    n = scores.shape[2]
    flat = F.pad(scores, (0, 1)).flatten(2)  # (i, o) at 2n·i + o; (i, n − 1 − i + j) is wanted: (2n − 1)·i + n − 1 + j
    return flat[..., n - 1 : n - 1 + n * (2 * n - 1)].unflatten(2, (n, 2 * n - 1))[..., :n]


def small(linear: nn.Linear, scale: float) -> nn.Linear:
    """The same, its weights smaller and its bias within a tenth of `scale`: how these layers start."""
    with torch.no_grad():
        linear.weight.mul_(scale)
        if linear.bias is not None:
            nn.init.uniform_(linear.bias, -0.1 * scale, 0.1 * scale)
    return linear


class AttentionWeights(nn.Module):
    """Who looks at whom: (b n d) -> (b h n n), rows that sum to 1, zeros at keys that are not kept."""

    def __init__(self, width: int, heads: Heads):
        super().__init__()
        self.heads = heads
        each = 2 * heads.query_width + heads.position_width
        self.into = small(nn.Linear(width, heads.number * each), heads.query_width**-0.25)
        self.offset = small(nn.Linear(heads.offsets_width, heads.number * heads.position_width, bias=False), 0.05)

    def forward(self, x: Frames, mask: Mask) -> Weights:
        number, query = self.heads.number, self.heads.number * self.heads.query_width
        q, k, p = self.into(x).split([query, query, number * self.heads.position_width], -1)
        q, k, p = (rearrange(part, "b n (h d) -> b h n d", h=number) for part in (q, k, p))
        places = self.offset(offsets(x.shape[1], self.heads.offsets_width, x.device).to(x.dtype))
        scores = q @ k.mT + between(p @ rearrange(places, "m (h d) -> h d m", h=number))
        return scores.masked_fill(~mask[:, None, None], -math.inf).softmax(-1)


class WeightedValues(nn.Module):
    """Attention whose weights are given."""

    def __init__(self, width: int, heads: Heads):
        super().__init__()
        self.into = nn.Linear(width, heads.number * heads.value_width)
        self.out = small(nn.Linear(heads.number * heads.value_width, width), 0.05)

    def forward(self, x: Frames, weights: Weights) -> Frames:
        values = rearrange(self.into(x), "b n (h d) -> b h n d", h=weights.shape[1])
        return self.out(rearrange(weights @ values, "b h n d -> b n (h d)"))


class Gated(nn.Module):
    """Attention with the weights of one head (b 1 n n) between two gates, the first a tanh."""

    def __init__(self, width: int):
        super().__init__()
        hidden = 3 * width // 4
        self.into = nn.Linear(width, 3 * hidden)
        self.out = small(nn.Linear(hidden, width), 0.05)

    def forward(self, x: Frames, weights: Float[Tensor, "b 1 n n"]) -> Frames:
        before, x, after = self.into(x).chunk(3, -1)
        return self.out(weights[:, 0] @ (x * before.tanh()) * after)


class FeedForward(nn.Module):
    """Linear, swoosh, linear."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.into, self.out = nn.Linear(width, hidden), small(nn.Linear(hidden, width), 0.1)

    def forward(self, x: Frames) -> Frames:
        return self.out(swoosh_l(self.into(x)))


class Convolution(nn.Module):
    """A gated linear unit, a depthwise convolution over kept frames, swoosh, linear."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.into = nn.Linear(width, 2 * width)
        self.depthwise = MaskedConv(width, kernel, groups=width)
        self.out = small(nn.Linear(width, width), 0.05)

    def forward(self, x: Frames, mask: Mask) -> Frames:
        return self.out(swoosh_r(self.depthwise(F.glu(self.into(x), -1), mask)))


class BiasNorm(nn.Module):
    """x · e^scale / sqrt(mean((x − bias)²)) over the features of each position."""

    def __init__(self, width: int):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Frames) -> Frames:
        squares = (x - self.bias).square().mean(-1, keepdim=True)
        return x * squares.clamp(min=torch.finfo(x.dtype).tiny).rsqrt() * self.log_scale.exp()


def bypassed(past: Tensor, through: Tensor, share: Tensor) -> Tensor:
    """`share` (d,) of what went through, the rest of what went past."""
    return past + (through - past) * share


class Layer(nn.Module):
    """`hidden` is the width of the middle feed-forward; the first has three quarters of it, the last five."""

    def __init__(self, width: int, hidden: int, kernel: int, heads: Heads):
        super().__init__()
        self.weights = AttentionWeights(width, heads)
        self.gated = Gated(width)
        self.attention = nn.ModuleList(WeightedValues(width, heads) for _ in range(2))
        self.conv = nn.ModuleList(Convolution(width, kernel) for _ in range(2))
        self.feedforward = nn.ModuleList(FeedForward(width, quarters * hidden // 4) for quarters in (3, 4, 5))
        self.norm = BiasNorm(width)
        self.middle, self.bypass = (nn.Parameter(torch.full((width,), 0.5)) for _ in range(2))

    def forward(self, x: Frames, c: Float[Tensor, "#b 1 #d"], mask: Mask) -> Frames:
        w = self.weights(x, mask)
        y = x + c
        y = y + self.feedforward[0](y)
        y = y + self.gated(y, w[:, :1])
        y = y + self.attention[0](y, w) + c
        y = y + self.conv[0](y, mask)
        y = y + self.feedforward[1](y)
        y = bypassed(x, y, self.middle)
        y = y + self.attention[1](y, w) + c
        y = y + self.conv[1](y, mask)
        y = y + self.feedforward[2](y)
        return bypassed(x, self.norm(y), self.bypass)


class Stack(nn.Module):
    """Layers at one rate; with `cond_width`, a condition c (b cond_width) is added in all of them."""

    def __init__(self, width: int, layers: int, hidden: int, kernel: int, heads: Heads, cond_width: int = 0):
        super().__init__()
        self.cond = nn.Linear(cond_width, width) if cond_width else None
        self.layers = nn.ModuleList(Layer(width, hidden, kernel, heads) for _ in range(layers))

    def forward(self, x: Frames, mask: Bool[Tensor, "b n"], c: Float[Tensor, "b c"] | None = None) -> Frames:
        """x (b n d) finite everywhere; what is not kept by mask (b n) is not looked at, but comes out changed like the rest."""
        added = x.new_zeros(1, 1, 1) if self.cond is None or c is None else self.cond(swoosh_r(c))[:, None]
        for layer in self.layers:
            x = layer(x, added, mask)
        return x
