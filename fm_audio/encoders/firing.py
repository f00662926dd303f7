"""Where in a source the tokens of an answer lie that runs in the same order: continuous integrate-and-fire.

    a_j = σ(w · state_j + c)                  how many tokens state j is worth;  A_j = a_1 + … + a_j, N̂ = A_m
    place_i = Σ_j |[A_{j−1}, A_j] · n / N̂  ∩  [i, i + 1]| state_j            for the places i = 0 … n − 1 of n tokens
    log P(n) = −|n − N̂| / s + constant            of answers to nothing (`Cond.null`) a law of its own, learnt as it is

Dong and Xu 2020, "CIF: Continuous integrate-and-fire for end-to-end speech recognition"; Gao et al. 2022, "Paraformer". What
lies before what need not be learnt by attention then, which takes far more speech. The length follows from the same numbers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.types import Cond, Frames

LEAST_SPREAD = 0.1  # tokens; a narrower P(n) would let one clip rule the loss


class Firing(nn.Module):
    """P(n) of an answer of up to `longest` tokens, and what each of its places is told, from source states of `width`."""

    def __init__(self, longest: int, width: int) -> None:
        super().__init__()
        self.longest = longest
        self.worth = nn.Linear(width, 1)
        self.log_spread = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(longest))  # of answers to nothing

    def worths(self, cond: Cond) -> Float[Tensor, "b m"]:
        """How many tokens, 0 to 1, each state of the source is worth; float32, 0 where there is none."""
        assert cond.tokens is not None and cond.tokens_mask is not None
        return self.worth(cond.tokens)[..., 0].float().sigmoid().masked_fill(~cond.tokens_mask, 0.0)

    def forward(self, cond: Cond, b: int) -> Float[Tensor, "b longest"]:
        """(b longest) float32; entry k is the log probability of k + 1 tokens."""
        assert cond.tokens is not None
        count = self.worths(cond).sum(1, keepdim=True)
        n = torch.arange(1, self.longest + 1, device=count.device)
        told = (cond.tokens != 0).flatten(1).any(1, keepdim=True)
        logits = torch.where(told, -(n - count).abs() / (self.log_spread.exp() + LEAST_SPREAD), self.bias.float())
        return F.log_softmax(logits, -1)

    def loss(self, cond: Cond, lengths: Int[Tensor, "b"]) -> Tensor:
        """Mean of -log P of the true lengths."""
        return F.nll_loss(self(cond, len(lengths)), lengths - 1)

    def places(self, cond: Cond, lengths: Int[Tensor, "b"], n: int) -> Frames:
        """The states that lie at each of `lengths` tokens, in a canvas of n: (b n width), zeros behind the last token."""
        assert cond.tokens is not None
        worths = self.worths(cond)
        ends = worths.cumsum(1)
        scale = lengths[:, None] / ends[:, -1:].clamp(min=1e-6)
        ends, starts = ends * scale, (ends - worths) * scale
        i = torch.arange(n, device=ends.device)[:, None]
        share = torch.minimum(ends[:, None], i + 1.0) - torch.maximum(starts[:, None], i.to(ends))  # b n m
        return share.clamp(min=0.0).to(cond.tokens.dtype) @ cond.tokens
