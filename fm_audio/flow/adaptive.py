"""Steps as wide as their error allows, each item of a batch at its own time and of its own width.

An embedded pair of Runge-Kutta methods gives two results of different order for the same forwards; their distance is the error
estimate (Hairer, Norsett and Wanner, "Solving ODEs I", section II.4). A solver with one step for the whole batch gives an item
another answer in other company; here items only share forwards, and those that have arrived leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fm_audio.flow.solver import Field, of_items
from fm_audio.types import FmAudioError

SAFETY = 0.9  # of the width at which the error would be just what is allowed
NARROWEST = 4  # halvings at once


@dataclass(frozen=True)
class Pair:
    """Row i of `stages`: how much of k1 ... ki goes into the state at which k(i+1) is read, at `nodes[i]` of the step.

    `result` and `error` weigh all slopes into the step and the estimate of its error, which falls with the step to the power of
    `order`. With `last_is_first` the last slope is read at the result, so that the next step begins with it.
    """

    stages: Sequence[Sequence[float]]
    nodes: Sequence[float]
    result: Sequence[float]
    error: Sequence[float]
    order: int
    last_is_first: bool


# (gap (k ...), x (k ...), where the step leads (k ...)) -> the error of each step (k,), 1 is what is allowed
Measure = Callable[[Tensor, Tensor, Tensor], Tensor]


def follow(pair: Pair, measure: Measure, field: Field, x0: Tensor, grid: Tensor, max_steps: int) -> Tensor:
    """From the grid's first time to its last; the times between are not kept, only the first step begins as wide as the grid's.

    Widths are halves of halves of the way, and the next one follows from the error and its order, where a wider one fits. So
    rounding, which differs between batches, cannot move a step, only decide a close call: then the answer moves by about the
    tolerance. The field must not jump in t. Raises FmAudioError where max_steps tries do not reach the end.
    """
    start, span = float(grid[0]), float(grid[-1] - grid[0])
    u = torch.zeros(x0.shape[0], dtype=torch.float64, device=x0.device)  # the share of the way that lies behind an item
    h = torch.full_like(u, 2.0 ** math.floor(math.log2(float(grid[1] - grid[0]) / span)))

    def slope(x: Tensor, u: Tensor, rows: Tensor) -> Tensor:
        return of_items(field, rows)(x, (start + span * u).float())

    on = torch.arange(len(u), device=u.device)  # the items that are under way
    x, k1 = x0.clone(), slope(x0, u, on).clone()  # fields may give back what they are given
    for _ in range(max_steps):
        width = h[on]
        slopes = [k1[on]]
        for row, node in zip(pair.stages, pair.nodes, strict=True):
            slopes.append(slope(x[on] + _weighed(row, slopes, span * width), u[on] + node * width, on))
        reached = x[on] + _weighed(pair.result, slopes, span * width)
        error = measure(_weighed(pair.error, slopes, span * width), x[on], reached).double().nan_to_num(nan=math.inf)
        accept = error <= 1.0
        moved = on[accept]
        x[moved], u[moved] = reached[accept], u[moved] + width[accept]
        h[on] = _next_width(width, error, pair.order, u[on])
        on = on[u[on] < 1.0]
        if not len(on):
            return x
        if pair.last_is_first:
            k1[moved] = slopes[-1][accept]
        else:
            moved = moved[u[moved] < 1.0]
            if len(moved):
                k1[moved] = slope(x[moved], u[moved], moved)
    raise FmAudioError(f"adaptive solver: {max_steps} steps were not enough; raise the tolerance or max_steps")


def _weighed(weights: Sequence[float], slopes: Sequence[Tensor], h: Tensor) -> Tensor:
    """h times the weighted sum of slopes (k ...)."""
    total = sum(w * k for w, k in zip(weights, slopes, strict=True) if w)
    return wide(h, slopes[0]) * total


def _next_width(h: Tensor, error: Tensor, order: int, u: Tensor) -> Tensor:
    """Halved as often as the error asks for, or doubled where a step of twice the width is still a whole part of the way."""
    levels = torch.log2(SAFETY * error.clamp(min=1e-12) ** (-1 / order)).floor()
    wider = torch.where(torch.remainder(u, 2 * h) == 0, levels.clamp(0, 1), 0.0)
    return h * 2.0 ** torch.where(error > 1.0, levels.clamp(-NARROWEST, -1), wider)


def wide(v: Tensor, x: Tensor) -> Tensor:
    """(k,) shaped to act on x (k ...), in its precision."""
    return v.to(x.dtype).view(-1, *[1] * (x.ndim - 1))
