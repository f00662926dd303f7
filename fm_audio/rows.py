"""Which rows of a batch a forward is of, told around the forward and not through it.

What is told of each item (who speaks, how far the step goes, what blocks said before) is told of the whole batch. A forward of
some rows alone finds its own by their places: in b items packed several times over, as guidance packs them, place p is item
p mod b.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Int
from torch import Tensor

# A variable of the context and not of the module: threads that sample at the same time have one each.
_PLACES: ContextVar[Tensor | None] = ContextVar("places", default=None)


@contextmanager
def only(rows: Int[Tensor, "k"]) -> Iterator[None]:
    """Within, every forward is of these k rows; inside of another `only`, of these among its rows."""
    outer = _PLACES.get()
    told = _PLACES.set(rows if outer is None else outer[rows])
    try:
        yield
    finally:
        _PLACES.reset(told)


def places(k: int, device: torch.device) -> Int[Tensor, "k"]:
    """Of the k rows of the forward that is being made: those of `only`, or the first k."""
    told = _PLACES.get()
    return torch.arange(k, device=device) if told is None else told


def of_rows(fact: Tensor, k: int) -> Tensor:
    """What was told of each of the b items (b ...), for the k rows of the forward that is being made (k ...)."""
    b = fact.shape[0]  # not len(), which an export would take for a constant
    if k == b and _PLACES.get() is None:
        return fact
    return fact[places(k, fact.device) % b]
