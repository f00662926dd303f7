"""How far the next step goes, told around a forward and not through it: layers between need not know.

A network that was distilled into a flow map answers (x, t) with the mean velocity up to t + jump; 0 asks for the velocity at t.
Euler tells its steps; networks of one time do not listen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_JUMP: ContextVar[Tensor | float] = ContextVar("jump", default=0.0)


@contextmanager
def jumping(gap: Tensor | float) -> Iterator[None]:
    """Within, every forward is asked for the mean velocity over `gap` (one for all items, or (b,))."""
    told = _JUMP.set(gap)
    try:
        yield
    finally:
        _JUMP.reset(told)


def jump(t: Tensor) -> Tensor:
    """(b,) of the items of a forward at times t (b,); of a batch packed several times over, as guidance does, each packing's."""
    gap = _JUMP.get()
    if not isinstance(gap, Tensor):
        return torch.full_like(t, gap)
    return gap.to(t).repeat(len(t) // len(gap))
