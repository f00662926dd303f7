"""A coupling decides which noise travels to which data. It may reorder noise; data and their conditions never move."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from fm_audio.types import Cond, FmAudioError


@runtime_checkable
class Coupling(Protocol):
    """`(x0 (b n d), x1 (b n d), mask (b n), cond) -> x0` with its rows perhaps in another order."""

    def __call__(self, x0: Tensor, x1: Tensor, mask: Tensor, cond: Cond) -> Tensor: ...


class Independent:
    """Noise and data know nothing of each other. The right choice for conditional models on long sequences."""

    def __call__(self, x0: Tensor, x1: Tensor, mask: Tensor, cond: Cond) -> Tensor:
        return x0


class MinibatchOT:
    """Noise goes to the data of the batch that it lies nearest to (Tong et al. 2024, "OT-CFM", algorithm 3).

    Off by default: at mel size a batch of 64 shortens the way by less than one per cent (docs/transport.md). Left alone it also
    teaches a conditional model a noise that depends on the condition, which sampling lacks; condition_weight > 0 adds that
    much times (1 - cosine) between the conditions of the two items to the mean squared distance, which holds noise among like
    conditions (Cheng and Schwing 2025, "The curse of conditions"). Distances are means over the frames that both items keep, so
    lengths do not decide. Needs scipy.
    """

    def __init__(self, condition_weight: float = 1.0) -> None:
        if not 0.0 <= condition_weight < math.inf:
            raise FmAudioError(f"MinibatchOT: condition_weight is {condition_weight}; give a finite number, 0 or more.")
        self.condition_weight = condition_weight

    def __call__(self, x0: Tensor, x1: Tensor, mask: Tensor, cond: Cond) -> Tensor:
        cost = distances(x0, x1, mask)
        summary = _summary(cond, mask)
        if summary is not None and self.condition_weight > 0.0:
            unit = F.normalize(summary, dim=-1)
            cost = cost + self.condition_weight * (1.0 - unit @ unit.T)
        noise_of_item = assign(cost.T.cpu().numpy())
        return x0[torch.as_tensor(noise_of_item, device=x0.device)]


def distances(x0: Tensor, x1: Tensor, mask: Tensor) -> Tensor:
    """cost (b b): mean squared difference of noise i and data j over the frames that items i and j both keep."""
    keep = mask.to(x1.dtype)
    a, z = x0 * keep[..., None], x1.masked_fill(~mask[..., None], 0.0)
    cross = a.flatten(1) @ z.flatten(1).T
    squares = a.square().sum(-1) @ keep.T + keep @ z.square().sum(-1).T
    return (squares - 2.0 * cross) / ((keep @ keep.T).clamp(min=1.0) * x1.shape[-1])


def _summary(cond: Cond, mask: Tensor) -> Tensor | None:
    """All of an item's condition as one vector (b e): positions that are no padding are averaged."""
    parts = [] if cond.frames is None else [_mean(cond.frames, mask)]
    if cond.tokens is not None:
        parts.append(_mean(cond.tokens, cond.tokens_mask))
    if cond.vector is not None:
        parts.append(cond.vector)
    return torch.cat(parts, -1).detach().float() if parts else None


def _mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """(b n e), (b n) -> (b e)."""
    if mask is None:
        return x.mean(1)
    return x.masked_fill(~mask[..., None], 0.0).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def assign(cost: Any) -> Any:
    """For each row its column, so that the sum is least."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise FmAudioError("MinibatchOT needs scipy, which is not installed: pip install fm-audio[train].") from None
    return linear_sum_assignment(cost)[1]
