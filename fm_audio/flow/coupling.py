"""A coupling decides which noise travels to which data. It may reorder noise; data and their conditions never move."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from fm_audio.types import Cond


class Coupling(Protocol):
    """`(x0 (b n d), x1 (b n d), mask (b n), cond) -> x0` with its rows perhaps in another order."""

    def __call__(self, x0: Tensor, x1: Tensor, mask: Tensor, cond: Cond) -> Tensor: ...


class Independent:
    """Noise and data know nothing of each other. The right choice for conditional models on long sequences."""

    def __call__(self, x0: Tensor, x1: Tensor, mask: Tensor, cond: Cond) -> Tensor:
        return x0
