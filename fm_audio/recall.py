"""Blocks that are not computed again: a row whose way into them has hardly changed takes what they added to it last time.

    out = last(first(h) + added)        added = middle(first(h)) − first(h), of the last time that the middle was computed

It is computed again for a row once Σ ‖h − h_before‖ / ‖h_before‖ of its way into the middle, summed over the forwards since,
comes to the threshold. The sum of relative changes is TeaCache's (Liu et al. 2024, arXiv 2411.19108); that the middle of a
network changes least is DeepCache's observation (Ma et al. 2023, arXiv 2312.00858), to keep what it added, Δ-DiT's (Chen et al.
2024, arXiv 2406.01125). Here it is measured after the first block, which knows the time and what the row is told, and decided for
each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fm_audio.rows import only, places
from fm_audio.types import Frames, Mask

OUTER = 2  # the first and the last block are always computed
EVERY_ROW = slice(None)

# (block, h (k n d), which rows of the forward these are) -> (k n d)
Run = Callable[[Any, Frames, Any], Frames]


class Memory:
    """What the middle blocks added to each of `rows` rows of one sampling, and how often that was enough.

    `saved` (rows,) sums the share of its blocks that a row did without.
    """

    def __init__(self, threshold: float, rows: int, device: torch.device) -> None:
        self.threshold = threshold
        self.changed = torch.full((rows,), math.inf, device=device)
        self.saved = torch.zeros(rows, device=device)
        self.asked = False
        self.entered: Tensor | None = None
        self.added: Tensor | None = None

    def through(self, h: Frames, mask: Mask, compute: Callable[[Frames, Any], Frames], share: float) -> Frames:
        """h (k n d) past the middle blocks, which are `share` of all; `compute(h[rows], rows)` is what they make of some."""
        at, inputs = places(len(h), h.device), h.masked_fill(~mask[..., None], 0.0)
        if self.entered is None or self.added is None:
            self.entered, self.added = (h.new_zeros(len(self.changed), *h.shape[1:]) for _ in range(2))
        self.changed[at] += _size(inputs - self.entered[at]) / _size(self.entered[at]).clamp(min=1e-12)
        self.entered[at] = inputs
        due = self.changed[at] >= self.threshold
        out = h + self.added[at]
        rows = due.nonzero().flatten()
        if len(rows):
            with only(rows):
                out[rows] = compute(h[rows], rows)
            self.added[at[rows]] = out[rows] - h[rows]
            self.changed[at[rows]] = 0.0
        self.saved[at] += share * ~due
        return out


_MEMORY: ContextVar[Memory | None] = ContextVar("memory", default=None)


@contextmanager
def recalling(memory: Memory | None) -> Iterator[None]:
    """Within, forwards may take from memory what blocks added before; `fm_audio.rows` says of which rows they are."""
    told = _MEMORY.set(memory)
    try:
        yield
    finally:
        _MEMORY.reset(told)


def in_turn(blocks: Iterable[Any], h: Frames, mask: Mask, run: Run) -> Frames:
    """h (b n d) through all blocks, the middle ones from memory where there is one and a row's way in has hardly changed.

    For backbones: at most once in a forward, `run(block, h, rows)` being the block on h, which is of these rows of the batch.
    """
    memory, all_blocks = _MEMORY.get(), list(blocks)
    if memory is None or len(all_blocks) <= OUTER:
        return reduce(lambda h, block: run(block, h, EVERY_ROW), all_blocks, h)
    first, *middle, last = all_blocks
    memory.asked = True

    def compute(some: Frames, rows: Tensor) -> Frames:
        return reduce(lambda h, block: run(block, h, rows), middle, some)

    h = memory.through(run(first, h, EVERY_ROW), mask, compute, len(middle) / len(all_blocks))
    return run(last, h, EVERY_ROW)


def _size(x: Frames) -> Float[Tensor, "b"]:
    return x.flatten(1).norm(dim=1).float()
