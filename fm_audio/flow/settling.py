"""Tokens by flow: the field is followed until the most likely tokens no longer change, then they are the answer.

    x0 -> x1 by dx/dt = field(x, t)          ids = argmax of the logits that were read last

Not the nearest tokens of x1: the logits know the context. An item that has said the same tokens `patience` times more, and is
sure of each, rests and costs nothing from then on; the others go on without it, so each item's forwards are its own, whoever
shares its batch. (Sameness alone would not do: over short steps nothing changes early on, where nothing is decided yet.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fm_audio.flow.head import FlowHead
from fm_audio.flow.sampling import Sampling
from fm_audio.tokens import Ids
from fm_audio.types import Cond, Frames, Mask, Times

SURE = 0.95  # the least probability of each token of an item that rests


@dataclass(frozen=True)
class Settled:
    """ids (b n), 0 where the mask is False; the natural log of each one's probability (b n); forwards (b,) of each item."""

    ids: Ids
    log_probability: Float[Tensor, "b n"]
    forwards: Int[Tensor, "b"]


class SettlingField:
    """A head's guided field (x (b n d), t (b,)) -> v that is zero for items whose tokens have settled.

    patience: how often the tokens must come out the same again; None lets no item rest. What stands after the first of the
    tokens `ends` does not matter.
    """

    def __init__(
        self,
        head: FlowHead,
        mask: Mask,
        cond: Cond,
        sampling: Sampling,
        port: str,
        null: Cond | None = None,
        patience: int | None = None,
        ends: Sequence[int] = (),
    ) -> None:
        self.head, self.mask, self.cond, self.null = head, mask, cond, null or cond.null()
        self.sampling, self.port, self.patience = sampling, port, patience
        self.ends = torch.tensor(ends, dtype=torch.long, device=mask.device)
        b = len(mask)
        self.ids = torch.full_like(mask, -1, dtype=torch.long)
        self.log_probability = torch.zeros_like(mask, dtype=torch.float32)
        self.forwards, self.unchanged = (torch.zeros(b, dtype=torch.long, device=mask.device) for _ in range(2))
        self.previous: Frames | None = None

    def __call__(self, x: Frames, t: Times) -> Frames:
        active = torch.ones_like(self.unchanged, dtype=torch.bool) if self.patience is None else self.unchanged < self.patience
        rows = active.nonzero().flatten()
        v = torch.zeros_like(x)
        if not len(rows):
            return v
        mask = self.mask[rows]
        field = self.head.field(mask, self.cond.rows(rows), self.sampling, self.port, self.null.rows(rows))
        field.previous = None if self.previous is None else self.previous[rows]
        v[rows] = field(x[rows], t[rows])
        if field.previous is not None:
            self.previous = torch.zeros_like(x) if self.previous is None else self.previous
            self.previous[rows] = field.previous
        assert field.prediction is not None
        port, path = self.head.ports[self.port], self.head.path
        logits = port.logits(field.prediction, x[rows], t[rows].clamp(max=port.t_last), path)  # type: ignore[operator, arg-type]
        self._note(rows, logits, mask, field.forwards)
        return v

    def _note(self, rows: Tensor, logits: Tensor, mask: Mask, forwards: int) -> None:
        best, ids = logits.log_softmax(-1).max(-1)
        ids = ids.masked_fill(~mask, 0)
        over = torch.isin(ids, self.ends) & mask
        matters = mask & (over.long().cumsum(1) - over.long() == 0)  # up to the first end, that one too
        settled = ((ids == self.ids[rows]) & (best >= math.log(SURE))) | ~matters
        self.unchanged[rows] = torch.where(settled.all(1), self.unchanged[rows] + 1, 0)
        self.ids[rows], self.log_probability[rows] = ids, best.masked_fill(~mask, 0.0)
        self.forwards[rows] += forwards


@torch.no_grad()
def sample_tokens(
    head: FlowHead,
    mask: Mask,
    cond: Cond,
    sampling: Sampling,
    seeds: Sequence[int],
    port: str = "text",
    null: Cond | None = None,
    patience: int | None = 2,
    ends: Sequence[int] = (),
) -> Settled:
    """Tokens for mask (b n) from a `TokenPort`; item i starts from the noise of seeds[i]."""
    field = SettlingField(head, mask, cond, sampling, port, null, patience, ends)
    head.solve(field, head.start(mask, sampling, seeds, port), sampling, port)
    return Settled(field.ids, field.log_probability, field.forwards)
