"""Guidance, both its halves: conditions are dropped in training, and sampling leans away from what the model says without them.

    v = v_null + w (v_cond - v_null)          (Ho and Salimans 2021, equation 6; w = 1 is off)

The two halves live together because they must mean the same by "no condition": `Cond.null`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fm_audio.flow.path import Path, data_from_velocity, velocity_from_data
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond, Frames, Mask, Times

Velocity = Callable[[Tensor, Tensor, Tensor, Cond], Tensor]  # (x_t (b n d), t (b,), mask (b n), cond) -> v (b n d)


def drop_conditions(
    cond: Cond, b: int, probability: float, device: torch.device, generator: torch.Generator | None = None
) -> Cond:
    """Training: each of the b items loses all of its conditions with this probability."""
    if probability == 0.0:
        return cond
    at = generator.device if generator is not None else torch.device("cpu")
    keep = torch.rand(b, generator=generator, device=at) >= probability
    return cond.drop(keep.to(device))


class GuidedField:
    """Sampling: the velocity field a solver follows, conditional and null rows packed in one doubled batch.

    Outside of the interval, and for w = 1, one plain forward is made. `forwards` counts what was run, a doubled batch as two.
    """

    def __init__(self, velocity: Velocity, mask: Mask, cond: Cond, sampling: Sampling, path: Path) -> None:
        self.velocity, self.mask, self.cond, self.path = velocity, mask, cond, path
        self.w, self.rescale = sampling.guidance, sampling.guidance_rescale
        self.low, self.high = sampling.guidance_interval
        self.both = Cond.stack(cond, cond.null()) if self.w != 1.0 else cond
        self.forwards = 0

    def __call__(self, x: Frames, t: Times) -> Frames:
        inside = (t >= self.low) & (t <= self.high)  # b
        if self.w == 1.0 or not inside.any():
            self.forwards += 1
            return self.velocity(x, t, self.mask, self.cond)
        self.forwards += 2
        packed = self.velocity(torch.cat([x, x]), torch.cat([t, t]), torch.cat([self.mask, self.mask]), self.both)
        v_cond, v_null = packed.chunk(2)
        v = v_null + self.w * (v_cond - v_null)
        if self.rescale > 0.0:
            v = rescaled(v, v_cond, x, t, self.mask, self.path, self.rescale)
        return torch.where(inside.view(-1, 1, 1), v, v_cond)


def rescaled(v: Frames, v_cond: Frames, x_t: Frames, t: Times, mask: Mask, path: Path, amount: float) -> Frames:
    """The guided velocity whose data estimate is drawn, by `amount` in [0, 1], to the conditional estimate's standard deviation.

    Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed", equations 15 and 16, on x1 instead of v. The
    deviation is taken over an item's kept positions. At t = 1 data and x_t coincide, so the last thousandth is read at 0.999.
    """
    t = t.clamp(max=0.999)
    guided, plain = data_from_velocity(path, v, x_t, t), data_from_velocity(path, v_cond, x_t, t)
    ratio = _std(plain, mask) / _std(guided, mask).clamp(min=1e-8)  # b 1 1
    return velocity_from_data(path, guided * (1.0 + amount * (ratio - 1.0)), x_t, t).masked_fill(~mask[..., None], 0.0)


def _std(x: Frames, mask: Mask) -> Tensor:
    """(b n d) -> (b 1 1) over the kept positions and all features of each item."""
    keep = mask[..., None]
    count = (keep.sum((1, 2), keepdim=True) * x.shape[-1]).clamp(min=1)
    centred = x - x.masked_fill(~keep, 0.0).sum((1, 2), keepdim=True) / count
    return (centred.masked_fill(~keep, 0.0).square().sum((1, 2), keepdim=True) / count).sqrt()
