"""Dormand and Prince's adaptive solver, in which every item of a batch keeps its own time and its own step.

Fifth order, with an embedded fourth-order result whose distance is the error estimate (Hairer, Norsett and Wanner, "Solving ODEs
I", table II.5.2). A solver with one step for the whole batch gives an item another answer in other company; here items only share
the forwards. The error is the largest one over an item's elements, so that padding, which never moves, does not thin it out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fm_audio.flow.solver import Field
from fm_audio.types import FmAudioError

# Row i: how much of k1 ... ki goes into the state at which k(i+1) is read; the last row is the fifth-order result.
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
FIFTH_MINUS_FOURTH = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


class Dopri5:
    """From the grid's first time to its last; the times between are not kept, only the first step begins as wide as the grid's.

    Steps are halves of halves of the way: one whose error is too large is halved, the next is doubled where the error was below
    1/64 of what is allowed (the error falls with the fifth to sixth power) and the doubled step fits. So rounding, which differs
    between batches, cannot move a step, only decide a close call: then the answer moves by about the tolerance. An element's
    error in a step stays below atol + rtol |x|. The field must not jump in t. For reference rather than for speed: six forwards
    for each try of a step. Raises FmAudioError where max_steps tries do not reach the end.
    """

    forwards_per_step = None

    def __init__(self, rtol: float = 1e-5, atol: float = 1e-6, max_steps: int = 1000) -> None:
        if not (0 < rtol < math.inf and 0 < atol < math.inf and max_steps >= 1):
            given = f"rtol {rtol}, atol {atol}, max_steps {max_steps}"
            raise FmAudioError(f"Dopri5: {given}; give finite tolerances above 0 and 1 step or more.")
        self.rtol, self.atol, self.max_steps = rtol, atol, max_steps

    def __call__(self, field: Field, x0: Tensor, grid: Tensor) -> Tensor:
        start, span = float(grid[0]), float(grid[-1] - grid[0])
        u = torch.zeros(x0.shape[0], dtype=torch.float64, device=x0.device)  # the share of the way that lies behind an item
        h = torch.full_like(u, 2.0 ** math.floor(math.log2(float(grid[1] - grid[0]) / span)))
        x, k1 = x0, field(x0, (start + span * u).float())
        for _ in range(self.max_steps):
            step = torch.where(u < 1.0, h, 0.0)
            new, k7, error = self._try(field, x, k1, start + span * u, span * step)
            accept = error <= 1.0
            x, k1 = torch.where(_wide(accept, x), new, x), torch.where(_wide(accept, x), k7, k1)
            u = torch.where(accept, u + step, u)
            if (u >= 1.0).all():
                return x
            twice = accept & (error < 1 / 64) & (torch.remainder(u, 2 * h) == 0)
            h = torch.where(twice, 2 * h, torch.where(accept, h, h / 2))
        given = f"rtol {self.rtol} and atol {self.atol}"
        raise FmAudioError(f"dopri5: {self.max_steps} steps were not enough at {given}; raise these or max_steps.")

    def _try(self, field: Field, x: Tensor, k1: Tensor, t: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of each item -> state (b ...), slope there (b ...), error over tolerance (b,)."""
        h = _wide(step, x).to(x.dtype)
        slopes, state = [k1], x
        for row, node in zip(STAGES, NODES, strict=True):
            state = x + h * sum(a * k for a, k in zip(row, slopes, strict=True))
            slopes.append(field(state, (t + node * step).float()))
        gap = h * sum(e * k for e, k in zip(FIFTH_MINUS_FOURTH, slopes, strict=True))
        allowed = self.atol + self.rtol * torch.maximum(x.abs(), state.abs())
        return state, slopes[-1], (gap.abs() / allowed).flatten(1).amax(1).double()


def _wide(v: Tensor, x: Tensor) -> Tensor:
    """(b,) shaped to act on x (b ...)."""
    return v.view(-1, *[1] * (x.ndim - 1))
