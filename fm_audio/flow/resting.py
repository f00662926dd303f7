"""Rest: an item whose data estimate has stopped changing goes straight on to it, and the network is asked no more about it.

    x1(t) = the data that v points at         left(t) = (1 − t) ‖ x1(t) − x1(t') ‖ / (t − t') / ‖ x1(t) ‖,   t' < t its last time

`left` is how far the estimate would still move at its pace until t = 1, so it does not depend on the width of steps: short ones
do not look like rest. Tokens rest in another way (`fm_audio.flow.settling`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fm_audio.flow.path import Path, data_from_velocity, noise_from_velocity, velocity
from fm_audio.flow.solver import Field, of_items
from fm_audio.types import Times


class RestingField:
    """A field in which each item rests from when its `left` is below the threshold.

    From then on its velocity is that of the path through the data and the noise of its last estimate. On a straight path that is
    one constant velocity, which solvers of fixed steps follow exactly: the rest of the way is one step. `resting` (b,) tells who.
    """

    def __init__(self, field: Field, path: Path, threshold: float) -> None:
        self.field, self.path, self.threshold = field, path, threshold
        self.resting: Tensor | None = None
        self.x1: Tensor | None = None

    def __call__(self, x: Tensor, t: Times) -> Tensor:
        if self.resting is None or self.x1 is None:
            self.resting = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            self.x1, self.x0, self.t = torch.zeros_like(x), torch.zeros_like(x), torch.full_like(t, torch.inf)
        v = velocity(self.path, self.x0, self.x1, t)
        rows = (~self.resting).nonzero().flatten()
        if len(rows):
            some, now = x[rows], t[rows]
            v[rows] = of_items(self.field, rows)(some, now)
            x1 = data_from_velocity(self.path, v[rows], some, now)
            since = now - self.t[rows]  # below 0 the first time, 0 where a solver looks again at the same time
            left = (1 - now) * _size(x1 - self.x1[rows]) / since / _size(x1).clamp(min=1e-12)
            self.resting[rows] = (since > 0) & (left < self.threshold)
            self.x1[rows], self.x0[rows], self.t[rows] = x1, noise_from_velocity(self.path, v[rows], some, now), now
        return v


def _size(x: Tensor) -> Float[Tensor, "k"]:
    return x.flatten(1).norm(dim=1).float()
