"""Tokens by flow: the field is followed until the most likely tokens no longer change, then they are the answer.

    x0 -> x1 by dx/dt = field(x, t)          ids = argmax of the logits that were read last

Not the nearest tokens of x1: the logits know the context. An item that has said the same tokens `patience` times more, and is
sure of each, rests and costs nothing from then on; the others go on without it, so each item's forwards are its own, whoever
shares its batch. (Sameness alone would not do: over short steps nothing changes early on, where nothing is decided yet.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fm_audio.flow.head import FlowHead
from fm_audio.flow.sampling import Sampling
from fm_audio.tokens import Ids
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

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
        self.field = head.field(mask, cond, sampling, port, null)
        self.port: Any = head.ports[port]
        self.path = head.path
        self.mask, self.patience = mask, patience
        self.ends = torch.tensor(ends, dtype=torch.long, device=mask.device)
        self.ids = torch.full_like(mask, -1, dtype=torch.long)
        self.log_probability = torch.zeros_like(mask, dtype=torch.float32)
        self.unchanged = torch.zeros(len(mask), dtype=torch.long, device=mask.device)

    def __call__(self, x: Frames, t: Times, items: Int[Tensor, "k"] | None = None) -> Frames:
        """At x (k n d), t (k,) of these items, of all unless some are named."""
        items = torch.arange(len(self.mask), device=self.mask.device) if items is None else items
        v = torch.zeros_like(x)
        rows = self._awake(items).nonzero().flatten()
        if len(rows):
            v[rows] = self.field(x[rows], t[rows], items[rows])
            assert self.field.prediction is not None
            logits = self.port.logits(self.field.prediction, x[rows], t[rows].clamp(max=self.port.t_last), self.path)
            self._note(items[rows], logits)
        return v

    def of_items(self, items: Int[Tensor, "k"]) -> Callable[[Frames, Times], Frames]:
        """The field of some items alone."""
        return lambda x, t: self(x, t, items)

    def _awake(self, items: Tensor) -> Bool[Tensor, "k"]:
        if self.patience is None:
            return torch.ones_like(items, dtype=torch.bool)
        return self.unchanged[items] < self.patience

    def _note(self, rows: Tensor, logits: Tensor) -> None:
        mask = self.mask[rows]
        best, ids = logits.log_softmax(-1).max(-1)
        ids = ids.masked_fill(~mask, 0)
        over = torch.isin(ids, self.ends) & mask
        matters = mask & (over.long().cumsum(1) - over.long() == 0)  # up to the first end, that one too
        settled = ((ids == self.ids[rows]) & (best >= math.log(SURE))) | ~matters
        self.unchanged[rows] = torch.where(settled.all(1), self.unchanged[rows] + 1, 0)
        self.ids[rows], self.log_probability[rows] = ids, best.masked_fill(~mask, 0.0)


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
    """Tokens for mask (b n) from a `TokenPort`; item i starts from the noise of seeds[i].

    Raises FmAudioError where sampling lets velocities rest: tokens have a rest of their own.
    """
    if sampling.rest > 0.0:
        raise FmAudioError(f"sampling: rest is {sampling.rest} for tokens, which rest by patience; leave it at 0")
    field = SettlingField(head, mask, cond, sampling, port, null, patience, ends)
    head.solve(field, head.start(mask, sampling, seeds, port), sampling, port)
    return Settled(field.ids, field.log_probability, field.field.forwards)
