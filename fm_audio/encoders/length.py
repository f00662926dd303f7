"""How long a text takes to say, with its uncertainty, told how long another text took that is seen.

    log n = log W + r + e,      W = Σ weight(symbol),   r ~ N(0, τ²) the speaker's pace,   e ~ N(0, σ² / W)

    seen W_s in n_s frames:     a = τ² / (τ² + σ² / W_s)
    hidden W_h:                 log n_h ~ N( log W_h + a (log n_s − log W_s),  (1 − a) τ² + σ² / W_h )

The posterior of a normal mean (a random-effects model). The weights are frames of an average speaker, read from the symbols and
their neighbours by a small network; τ and σ are learned with them by maximum likelihood. Where nothing is seen, a = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.layers import MaskedConv
from fm_audio.types import Mask


@dataclass(frozen=True)
class Length:
    """A number of frames, the likeliest one, and `spread`, the standard deviation of its natural logarithm."""

    frames: int
    spread: float

    def factors(self, count: int) -> list[float]:
        """`count` factors on the length that stand for its distribution, its quantiles (k + ½) / count, the likeliest first."""
        z = [NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)]
        return [math.exp(self.spread * x) for x in sorted(z, key=lambda x: (round(abs(x), 9), x))]


class LengthPredictor(nn.Module):
    """Over `symbols` ids (0 is padding); `width` of the network that weighs them."""

    def __init__(self, symbols: int, width: int = 64, kernel: int = 5, typical_frames: float = 7.0):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width, padding_idx=0)
        self.convs = nn.ModuleList(MaskedConv(width, kernel) for _ in range(2))
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, math.log(typical_frames))
        self.log_tau = nn.Parameter(torch.tensor(math.log(0.2)))
        self.log_sigma = nn.Parameter(torch.tensor(0.0))

    def weights(self, symbols: Int[Tensor, "b m"], mask: Bool[Tensor, "b m"]) -> Float[Tensor, "b m"]:
        """Frames that an average speaker gives each symbol, float32, 0 at padding."""
        h = self.embedding(symbols)
        for conv in self.convs:
            h = h + F.gelu(conv(h, mask))
        return self.out(h).squeeze(-1).float().clamp(-3.0, 7.0).exp().masked_fill(~mask, 0.0)

    def forward(
        self, hidden_weight: Float[Tensor, "b"], seen_weight: Float[Tensor, "b"], seen_frames: Float[Tensor, "b"]
    ) -> tuple[Float[Tensor, "b"], Float[Tensor, "b"]]:
        """Mean and variance of the natural log of the hidden frames; nothing is seen where one of the others is 0."""
        tau2, sigma2 = (2 * self.log_tau).exp(), (2 * self.log_sigma).exp()
        seen = (seen_weight > 0) & (seen_frames > 0)
        a = torch.where(seen, tau2 * seen_weight / (tau2 * seen_weight + sigma2), 0.0)
        pace = seen_frames.clamp(min=1.0).log() - seen_weight.clamp(min=1e-3).log()
        least = hidden_weight.clamp(min=1e-3)
        return least.log() + a * pace, (1 - a) * tau2 + sigma2 / least

    def loss(
        self,
        weights: Float[Tensor, "b m"],
        hidden_share: Float[Tensor, "b m"],
        hidden_frames: Float[Tensor, "b"],
        other_weight: Float[Tensor, "b"],
        other_frames: Float[Tensor, "b"],
    ) -> Tensor:
        """Negative log likelihood of `hidden_frames`, less its constant: a scalar, the mean over items with hidden frames.

        `hidden_share` (0 to 1) of each symbol is hidden; what is seen of the speaker weighs `other_weight`, in `other_frames`.
        """
        mean, variance = self((weights * hidden_share).sum(1), other_weight, other_frames)
        error = hidden_frames.clamp(min=1.0).log() - mean
        each = 0.5 * (error.square() / variance + variance.log())
        counted = hidden_frames > 0
        return each.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def hidden_share(durations: Int[Tensor, "b m"], hidden: Mask) -> Float[Tensor, "b m"]:
    """Which share of each symbol's frames lies in `hidden` (b n); 0 for symbols of no frames."""
    before = F.pad(hidden.long().cumsum(1), (1, 0))  # b n+1: hidden frames before each frame
    ends = durations.cumsum(1).clamp(max=hidden.shape[1])
    count = before.gather(1, ends) - before.gather(1, (ends - durations).clamp(min=0))
    return count / durations.clamp(min=1)


def partners(names: list[str]) -> list[int]:
    """For each item the next one (around the end) of the same name, or itself where there is no other."""
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    following = {i: same[(k + 1) % len(same)] for same in places.values() for k, i in enumerate(same)}
    return [following[i] for i in range(len(names))]
