"""What states of speech spell, and where: connectionist temporal classification.

    path: one symbol or none for each state   ->   runs count once, then those without a symbol go   ->   ids
    loss = −log Σ P(path)      of all paths of the transcript,  P(path) = Π_j P_j(symbol j)

Graves et al. 2006, "Connectionist temporal classification". `Spelling.held` is the likeliest of those paths, filled up: a symbol
holds until the next begins, so that it matters little to one that learns it at which state exactly something begins.
"""

from __future__ import annotations

import numpy as np
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
    real = torch.arange(m, device=states.device)[:, None] < states
    score, steps = _forward(told.transpose(0, 1).cpu().numpy(), real.cpu().numpy(), may_skip.cpu().numpy())
    last = torch.stack([2 * symbols - 1, 2 * symbols]).cpu().numpy()
    ends = np.take_along_axis(score, last.T, 1)
    place = np.take_along_axis(last, ends.argmax(1)[None], 0)[0]
    path = np.empty((m, b), dtype=np.int64)
    for j in range(m - 1, -1, -1):
        path[j] = place
        place = place - steps[j, np.arange(b), place]
    return torch.from_numpy(path.T).to(log_p.device), torch.from_numpy(ends.max(1) > -np.inf).to(log_p.device)


def _forward(told: np.ndarray, real: np.ndarray, may_skip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (m b k) of each place at each state, which states are real (m b), which places may be reached over the one before
    (b k) -> the best score of a path to each place (b k), and by how many places it moved there at each state (m b k)."""
    m, b, k = told.shape
    best = np.full((b, k + 2), -np.inf, dtype=told.dtype)  # two columns stand before the first place
    stay, one, two = best[:, 2:], best[:, 1:-1], best[:, :-2]
    stay[:, :2] = told[0, :, :2]
    over, steps = np.where(may_skip, 0.0, -np.inf).astype(told.dtype), np.zeros((m, b, k), dtype=np.int8)
    for j in range(1, m):
        skipped, moved = two + over, one > stay
        longer = np.maximum(stay, one)
        jumped = skipped > longer
        np.copyto(steps[j], np.where(jumped, 2, moved), where=real[j, :, None], casting="same_kind")
        np.copyto(stay, np.maximum(longer, skipped) + told[j], where=real[j, :, None])
    return stay, steps
