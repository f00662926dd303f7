"""One network with its items and the way to run a batch of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Odd, even, one frame, shorter than a group of the lowest rate, and the longest.
LENGTHS = (13, 16, 1, 3, 23)
WIDTH, TOKENS, VECTOR = 16, 6, 4
NAN = float("nan")

Outputs = list[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Case:
    """`make` the network, `items` for it, `run(net, items, padding)` as `company.Run` says.

    `gradients` names the precision in which they are held to it too.
    """

    make: Callable[[], nn.Module]
    items: Callable[[], Sequence[Any]]
    run: Callable[[Any, Sequence[Any], int], Outputs]
    gradients: torch.dtype | None = None
    length: Callable[[Any], int] = len
    amount: float = 0.1  # how far parameters are moved off their start


def cut(out: Tensor, mask: Tensor) -> list[Tensor]:
    return [row[keep] for row, keep in zip(out, mask, strict=True)]


def by(key: str) -> Callable[[Any], int]:
    """The length of an item that is sorted by this part of it."""
    return lambda item: item[key] if isinstance(item[key], int) else len(item[key])


def task(make: Callable[[], nn.Module], run: Callable[..., Outputs], items: Callable[[], Sequence[Any]], length: Any) -> Case:
    return Case(make, items, run, length=length, amount=0.05)
