"""What states of speech spell, and where: connectionist temporal classification.

    path: one symbol or none for each state   ->   runs count once, then those without a symbol go   ->   ids
    loss = −log Σ P(path)      of all paths of the transcript,  P(path) = Π_j P_j(symbol j)

Graves et al. 2006, "Connectionist temporal classification". `Spelling.held` is the likeliest of those paths, filled up: a symbol
holds until the next begins, so that it matters little to one that learns it at which state exactly something begins.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.types import Cond, Mask

NONE = 0  # no symbol: padding's id, which no text has


class Spelling(nn.Linear):
    """States of `width` -> logits of so many `symbols`, of which id 0 is none."""

    def __init__(self, width: int, symbols: int) -> None:
        super().__init__(width, symbols)

    def log_p(self, cond: Cond) -> Float[Tensor, "b m v"]:
        """Log probabilities of the symbols at each state of `cond.tokens`, float32."""
        assert cond.tokens is not None
        return self(cond.tokens).float().log_softmax(-1)

    def loss(self, cond: Cond, ids: Int[Tensor, "b n"], mask: Mask) -> Tensor:
        """−log P(transcript) a symbol, the mean over the items; 0 where states are too few for it."""
        assert cond.tokens_mask is not None
        states, symbols = cond.tokens_mask.sum(1), mask.sum(1)
        return F.ctc_loss(self.log_p(cond).transpose(0, 1), ids, states, symbols, blank=NONE, zero_infinity=True)

    @torch.no_grad()
    def held(self, cond: Cond, ids: Int[Tensor, "b n"], mask: Mask) -> tuple[Int[Tensor, "b m"], Bool[Tensor, "b"]]:
        """The symbol that is said at each state along the likeliest path of the transcript, and whether there is any path.

        Before the first symbol, behind the last, and once between two that are the same, there is none.
        """
        assert cond.tokens_mask is not None
        places, possible = likeliest_path(self.log_p(cond), cond.tokens_mask.sum(1), ids, mask.sum(1))
        index = ((places - 1) // 2).clamp(min=0)
        said = ids.gather(1, index)
        following = F.pad(ids, (0, 1)).gather(1, index + 1)
        silent = (places == 0) | (places == 2 * mask.sum(1, keepdim=True)) | ((places % 2 == 0) & (following == said))
        return said.masked_fill(silent | ~cond.tokens_mask, NONE), possible

    @torch.no_grad()
    def greedy(self, cond: Cond) -> list[list[int]]:
        """The ids of the likeliest symbol of each state, for each item: what is heard with no model of what may be said."""
        assert cond.tokens_mask is not None
        best = self.log_p(cond).argmax(-1)
        return [collapsed(row[keep].tolist()) for row, keep in zip(best, cond.tokens_mask, strict=True)]


def collapsed(path: list[int]) -> list[int]:
    """The ids of a path: runs count once, then those without a symbol go."""
    return [i for k, i in enumerate(path) if i != NONE and (k == 0 or path[k - 1] != i)]


def likeliest_path(
    log_p: Float[Tensor, "b m v"], states: Int[Tensor, "b"], ids: Int[Tensor, "b n"], symbols: Int[Tensor, "b"]
) -> tuple[Int[Tensor, "b m"], Bool[Tensor, "b"]]:
    """Where in "none, symbol 0, none, symbol 1, …, none" each state is, 0 to 2n, along the likeliest path (Viterbi), and whether
    there is one: `states` (b,) real states must be at least `symbols` (b,), and one more between any two that are the same."""
    b, m, _ = log_p.shape
    labels = F.pad(ids.repeat_interleave(2, 1) * (torch.arange(2 * ids.shape[1], device=ids.device) % 2), (0, 1), value=NONE)
    at = torch.arange(labels.shape[1], device=ids.device)
    may_skip = (at % 2 == 1) & (at > 1) & (labels != F.pad(labels, (2, 0))[:, :-2])  # from the symbol before, over the none
    told = log_p.gather(2, labels[:, None].expand(-1, m, -1)).masked_fill(at > 2 * symbols[:, None, None], -torch.inf)
    never = torch.tensor(-torch.inf, device=log_p.device)
    score = told[:, 0].masked_fill(at > 1, -torch.inf)
    steps = torch.zeros(m, b, labels.shape[1], dtype=torch.int8, device=ids.device)
    for j in range(1, m):
        one, two = (F.pad(score, (k, 0), value=-torch.inf)[:, :-k] for k in (1, 2))
        best, step = torch.stack([score, one, torch.where(may_skip, two, never)]).max(0)
        real = (j < states)[:, None]
        score = torch.where(real, best + told[:, j], score)
        steps[j] = torch.where(real, step, 0).to(torch.int8)
    last = torch.stack([2 * symbols - 1, 2 * symbols])
    ends, which = score.gather(1, last.mT).max(1)
    place = last.gather(0, which[None])[0]
    path = torch.empty(b, m, dtype=torch.long, device=ids.device)
    for j in range(m - 1, -1, -1):
        path[:, j] = place
        place = place - steps[j].gather(1, place[:, None])[:, 0]
    return path, ends > -torch.inf
