"""Guidance, both its halves: conditions are dropped in training, and sampling leans away from what the model says without them.

    v = v_null + w (v_cond - v_null)          (Ho and Salimans 2021, equation 6; w = 1 is off)

The two halves live together because they must mean the same by "no condition": `Cond.null`, zeros. A task whose encoder has an
answer of its own to a missing condition drops before it encodes, and hands that answer to the sampler as `null`; or several, each
for a part of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fm_audio.flow.path import Path, data_from_velocity
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond, Frames, Mask, Times

# (x_t (b n d), t (b,), mask (b n), cond) -> prediction (b n k), and last the previous estimate (b n d) where there is `estimate`
Predict = Callable[..., Tensor]
ToVelocity = Callable[[Tensor, Tensor, Tensor], Tensor]  # (prediction (b n k), x_t, t) -> v (b n d)


@dataclass(frozen=True)
class Null:
    """What sampling leans away from at times up to `until`; w - 1 is `strength` times as large there."""

    cond: Cond
    until: float = 1.0
    strength: float = 1.0


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

    What is guided is what the port predicts: velocities, or the logits of tokens, whose guided estimate then stays among the
    tokens. Outside of the interval, and for w = 1, one plain forward is made. `forwards` counts what was run, a doubled batch as
    two. Several nulls come in the order of their times, the last one until 1. `prediction` is what was predicted last, guided
    where guidance holds; with `estimate`, the data it stands for are what the next call is told (`previous`, zeros at first).
    """

    def __init__(
        self,
        predict: Predict,
        mask: Mask,
        cond: Cond,
        sampling: Sampling,
        path: Path,
        null: Cond | Sequence[Null] | None = None,
        velocity: ToVelocity | None = None,
        estimate: ToVelocity | None = None,
    ) -> None:
        """`velocity` turns a prediction into a velocity; without it, predictions are velocities. `estimate` turns one into the
        data x1 (b n d) that a self-conditioned `predict` wants to be told."""
        self.predict, self.mask, self.cond, self.path = predict, mask, cond, path
        self.velocity: ToVelocity = velocity or (lambda prediction, x, t: prediction)
        self.w, self.rescale = sampling.guidance, sampling.guidance_rescale
        self.low, self.high = sampling.guidance_interval
        self.nulls = [Null(null or cond.null())] if null is None or isinstance(null, Cond) else list(null)
        self.forwards = 0
        self.estimate = estimate
        self.previous: Tensor | None = None
        self.prediction: Tensor | None = None

    def __call__(self, x: Frames, t: Times) -> Frames:
        inside = (t >= self.low) & (t <= self.high)  # b
        if self.w == 1.0 or not inside.any():
            self.forwards += 1
            plain = self._predicted(x, t, self.mask, self.cond)
            self._remember(plain, x, t)
            return self.velocity(plain, x, t)
        self.forwards += 2
        null, w = self._null_at(t)
        both = Cond.stack(self.cond, null)
        packed = self._predicted(torch.cat([x, x]), torch.cat([t, t]), torch.cat([self.mask, self.mask]), both)
        plain, null_prediction = packed.chunk(2)
        guided = null_prediction + w * (plain - null_prediction)
        self._remember(torch.where(inside.view(-1, 1, 1), guided, plain), x, t)
        v = self.velocity(guided, x, t)
        v_cond = self.velocity(plain, x, t)
        if self.rescale > 0.0:
            v = rescaled(v, v_cond, x, t, self.mask, self.path, self.rescale)
        return torch.where(inside.view(-1, 1, 1), v, v_cond)

    def _predicted(self, x: Frames, t: Times, mask: Mask, cond: Cond) -> Tensor:
        if self.estimate is None:
            return self.predict(x, t, mask, cond)
        previous = torch.zeros_like(x) if self.previous is None else torch.cat([self.previous] * (len(x) // len(self.previous)))
        return self.predict(x, t, mask, cond, previous)

    def _remember(self, prediction: Tensor, x: Frames, t: Times) -> None:
        self.prediction = prediction
        if self.estimate is not None:
            self.previous = self.estimate(prediction, x, t)

    def _null_at(self, t: Times) -> tuple[Cond, float | Tensor]:
        """Each item's null condition, and its w (b 1 1) where the strengths differ."""
        if len(self.nulls) == 1 and self.nulls[0].strength == 1.0:
            return self.nulls[0].cond, self.w
        ends = torch.tensor([null.until for null in self.nulls[:-1]], device=t.device)
        which = (t[:, None] > ends).sum(1)  # b
        rows = which * len(t) + torch.arange(len(t), device=t.device)
        strengths = torch.tensor([null.strength for null in self.nulls], device=t.device)[which]
        return Cond.stack(*(null.cond for null in self.nulls)).rows(rows), 1.0 + strengths.view(-1, 1, 1) * (self.w - 1.0)


def rescaled(v: Frames, v_cond: Frames, x_t: Frames, t: Times, mask: Mask, path: Path, amount: float) -> Frames:
    """The guided velocity whose data estimate is drawn, by `amount` in [0, 1], to the conditional estimate's standard deviation.

    Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed", equations 15 and 16, on x1 instead of v:
    x1 becomes x1 (1 + amount (s_cond / s - 1)), deviations taken over an item's kept positions. Turning that back into a velocity
    would divide by sigma(t); but s_cond - s holds a factor sigma / w itself, in x1 - x1_cond = (v - v_cond) sigma / w, and with

        s_cond^2 - s^2 = -cov(x1 - x1_cond, x1 + x1_cond)

    it goes out, so that nothing is lost to rounding near t = 1.
    """
    guided, plain = data_from_velocity(path, v, x_t, t), data_from_velocity(path, v_cond, x_t, t)
    s, s_cond = _cov(guided, guided, mask).sqrt(), _cov(plain, plain, mask).sqrt()  # b 1 1
    excess = _cov(v - v_cond, guided + plain, mask) / (s * (s + s_cond)).clamp(min=1e-8)
    return (v - amount * excess * guided).masked_fill(~mask[..., None], 0.0)


def _cov(x: Frames, y: Frames, mask: Mask) -> Tensor:
    """(b n d), (b n d) -> (b 1 1): covariance over the kept positions and all features of each item."""
    pads = ~mask[..., None]
    count = ((~pads).sum((1, 2), keepdim=True) * x.shape[-1]).clamp(min=1)

    def centred(z: Tensor) -> Tensor:
        return (z - z.masked_fill(pads, 0.0).sum((1, 2), keepdim=True) / count).masked_fill(pads, 0.0)

    return (centred(x) * centred(y)).sum((1, 2), keepdim=True) / count
