"""Grids learnt from a model's own ways: which few times lose least, by dynamic programming.

    cost(i, j) = E g_j ‖ x_i + (t_j − t_i) v_i − x_j ‖ / ‖ x_1 ‖      one Euler step from fine time i to fine time j
    g_j = ‖ x'_1 − x_1 ‖ / ‖ x'_j − x_j ‖                              how an error made until j grows: x' began a little aside
    least sum of costs over 0 = i_0 < i_1 < … < i_K = N               exact, in K N² additions

To first order the errors of single steps, grown, add up to that of the whole; the ways are those of fine steps (Watson et al.
2021, "Learning to efficiently sample from diffusion models", does so for bounds of likelihood).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fm_audio.flow.solver import Euler, Field
from fm_audio.types import FmAudioError

ASIDE = 0.01  # of the noise: how far the second way begins from the first


class Recorder:
    """Euler over a fine grid, twice, which remembers the mean cost of every step that could have been taken instead. Give it as
    the solver of a `Sampling`."""

    forwards_per_step = 2

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.items = 0
        self.times: Tensor | None = None

    @property
    def cost(self) -> Tensor:
        """(N + 1, N + 1), of all items so far; entries with j <= i mean nothing."""
        if self.total is None:
            raise FmAudioError("learned grid: nothing was generated with the recorder yet")
        return self.total / self.items

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        x, v = _way(field, x0, grid)
        if hasattr(field, "forget"):
            field.forget()
        aside, _ = _way(field, x0 + ASIDE * x0.flip(-1), grid)  # a direction that is noise too, the same for the same item
        off = _size(aside - x).clamp(min=1e-12)  # N+1 b
        grown = off[-1] / off
        scale = _size(x[-1:])[0].clamp(min=1e-8)
        cost = torch.zeros(len(grid), len(grid), dtype=torch.float64)
        for i in range(len(grid) - 1):
            h = (grid[i + 1 :] - grid[i]).to(x).view(-1, 1, 1, 1)
            error = _size(x[i] + h * v[i] - x[i + 1 :])
            cost[i, i + 1 :] = (grown[i + 1 :] * error / scale).sum(1).double().cpu()
        self.total = cost if self.total is None else self.total + cost
        self.items += x0.shape[0]
        self.times = grid
        return x[-1]


def _way(field: Field, x0: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N+1 b n d) of Euler's way over a grid, and the velocities (N b n d) at all but the last."""
    points, slopes = [x0], []

    def remembered(x: Tensor, t: Tensor) -> Tensor:
        slopes.append(field(x, t))
        return slopes[-1]

    for i in range(len(grid) - 1):
        points.append(Euler()(remembered, points[-1], grid[i : i + 2]))
    return torch.stack(points), torch.stack(slopes)


def _size(x: Tensor) -> Tensor:
    """(k b n d) -> (k b): root mean square."""
    return x.square().mean((2, 3)).sqrt()


def learned_times(cost: Tensor, times: Tensor, steps: int) -> list[float]:
    """The (steps + 1) of the fine times (N + 1) whose sum of costs is least, first and last among them.

    Raises FmAudioError for more steps than there are fine ones.
    """
    n = len(times) - 1
    if not 1 <= steps <= n:
        raise FmAudioError(f"learned grid: {steps} steps of {n} fine ones; give from 1 to {n}")
    best = torch.full((steps + 1, n + 1), float("inf"), dtype=torch.float64)
    came = torch.zeros(steps + 1, n + 1, dtype=torch.long)
    best[0, 0] = 0.0
    allowed = torch.ones(n + 1, n + 1, dtype=torch.bool).triu(1)
    for k in range(1, steps + 1):
        ways = torch.where(allowed, best[k - 1][:, None] + cost, float("inf"))  # from i to j
        best[k], came[k] = ways.min(0)
    path: list[Any] = [n]
    for k in range(steps, 0, -1):
        path.append(int(came[k, path[-1]]))
    return [0.0, *(float(times[i]) for i in path[::-1][1:-1]), 1.0]
