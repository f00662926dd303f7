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
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from fm_audio.flow.path import Path, data_from_velocity
from fm_audio.flow.sampling import Sampling
from fm_audio.recall import Memory, recalling
from fm_audio.rows import only
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

# (x_t (b n d), t (b,), mask (b n), cond) -> prediction (b n p), and last the previous estimate (b n d) where there is `estimate`
Predict = Callable[..., Tensor]
ToFrames = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (prediction (b n p), x_t, t, mask) -> v or x1 (b n d)


@dataclass(frozen=True)
class Null:
    """What sampling leans away from at times up to `until`; w - 1 is `strength` times as large there."""

    cond: Cond
    until: float = 1.0
    strength: float = 1.0


Nulls = Cond | Sequence[Null] | None
"""What guidance leans away from: one condition, several at their times, or `Cond.null`."""


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
    """Sampling: the velocity field a solver follows, conditional and null rows packed in one batch.

    What is guided is what the port predicts: velocities, or the logits of tokens, whose guided estimate then stays among the
    tokens. Outside of the interval, for w = 1, and once an item's conditional and null velocities have become more alike than the
    sampling's `guidance_alike`, it gets one plain forward; only items that are guided have a null row in the batch. Several nulls
    come in the order of their times, the last one until 1, and items may become alike to each.

    `forwards` (b,) counts what each item was asked, guided ones twice. `prediction` is what was predicted last, guided where
    guidance holds; with `estimate`, the data it stands for are what the next call is told (`previous`, zeros at first).
    """

    def __init__(
        self,
        predict: Predict,
        mask: Mask,
        cond: Cond,
        sampling: Sampling,
        path: Path,
        null: Nulls = None,
        velocity: ToFrames | None = None,
        estimate: ToFrames | None = None,
    ) -> None:
        """`velocity` turns a prediction into a velocity; without it, predictions are velocities. `estimate` turns one into the
        data x1 (k n d) that a self-conditioned `predict` wants to be told. Both are given the mask (k n) last."""
        self.predict, self.mask, self.cond, self.path = predict, mask, cond, path
        self.velocity: ToFrames = velocity or (lambda prediction, x, t, mask: prediction)
        self.w, self.rescale, self.alike = sampling.guidance, sampling.guidance_rescale, sampling.guidance_alike
        self.low, self.high = sampling.guidance_interval
        self.nulls = [Null(null or cond.null())] if null is None or isinstance(null, Cond) else list(null)
        self.estimate = estimate
        self.previous: Tensor | None = None
        self.prediction: Tensor | None = None
        rows = len(mask) * (1 + len(self.nulls))
        self.forwards = torch.zeros(len(mask), dtype=torch.long, device=mask.device)
        self.has_alike = torch.zeros(rows, dtype=torch.bool, device=mask.device)  # by place, see `_null_places`
        self.memory = Memory(sampling.cache, rows, mask.device) if sampling.cache > 0.0 else None

    def __call__(self, x: Frames, t: Times, items: Int[Tensor, "k"] | None = None) -> Frames:
        """The velocity at x (k n d), t (k,) of these items, of all unless some are named."""
        items = torch.arange(len(self.mask), device=self.mask.device) if items is None else items
        mask, cond = self.mask[items], self.cond.rows(items)
        guided = self._guided(t, items)  # k
        self.forwards[items] += 1 + guided.long()
        lean = items[:0] if self.w == 1.0 else guided.nonzero().flatten()  # an accelerator is not waited for where none is
        if not len(lean):
            plain = self._predicted(x, t, mask, cond, items)
            self._remember(plain, x, t, mask, items)
            return self.velocity(plain, x, t, mask)
        places = self._null_places(t[lean], items[lean])
        both = Cond.stack(cond, self._null_at(places))
        x_null, t_null, mask_null = x[lean], t[lean], mask[lean]
        packed = self._predicted(
            torch.cat([x, x_null]), torch.cat([t, t_null]), torch.cat([mask, mask_null]), both, torch.cat([items, places])
        )
        plain, null = packed[: len(x)], packed[len(x) :]
        prediction = plain.clone()
        prediction[lean] = null + self._weight(places) * (plain[lean] - null)
        self._remember(prediction, x, t, mask, items)
        v = self.velocity(prediction, x, t, mask)
        if self.rescale > 0.0 or self.alike < 1.0:
            v_cond = self.velocity(plain[lean], x_null, t_null, mask_null)
            if self.alike < 1.0:
                self.has_alike[places] = _cosine(v_cond, self.velocity(null, x_null, t_null, mask_null)) > self.alike
            if self.rescale > 0.0:
                v = v.index_copy(0, lean, rescaled(v[lean], v_cond, x_null, t_null, mask_null, self.path, self.rescale))
        return v

    def forget(self) -> None:
        """Before another way through the same field: what the first one estimated is not told."""
        self.previous = None

    def of_items(self, items: Int[Tensor, "k"]) -> Callable[[Frames, Times], Frames]:
        """The field of some items alone, as solvers ask that follow each at its own pace."""
        return lambda x, t: self(x, t, items)

    @property
    def effective(self) -> Float[Tensor, "b"]:
        """`forwards` of each item, less the shares of them that were recalled instead of computed (`fm_audio.recall`)."""
        if self.memory is None:
            return self.forwards.float()
        return self.forwards - self.memory.saved.view(-1, len(self.forwards)).sum(0)

    def _guided(self, t: Times, items: Tensor) -> Bool[Tensor, "k"]:
        """Which items are to have a null row."""
        if self.w == 1.0:
            return torch.zeros_like(items, dtype=torch.bool)
        inside = (t >= self.low) & (t <= self.high)
        return inside & ~self.has_alike[self._null_places(t, items)]

    def _predicted(self, x: Frames, t: Times, mask: Mask, cond: Cond, places: Tensor) -> Tensor:
        told = [] if self.estimate is None else [self._previous(x)[places % len(self.mask)]]
        with only(places), recalling(self.memory):
            prediction = self.predict(x, t, mask, cond, *told)
        if self.memory is not None and not self.memory.asked:
            raise FmAudioError(
                f"sampling: cache is {self.memory.threshold}, and this model's backbone has no middle blocks to leave out; "
                "leave cache at 0 (DiT and MultiRate of three or more layers or stacks can do it, ONNX exports cannot)"
            )
        return prediction

    def _previous(self, like: Frames) -> Float[Tensor, "all n d"]:
        if self.previous is None:
            self.previous = like.new_zeros(len(self.mask), *like.shape[1:])
        return self.previous

    def _remember(self, prediction: Tensor, x: Frames, t: Times, mask: Mask, items: Tensor) -> None:
        self.prediction = prediction
        if self.estimate is not None:
            self.previous = self._previous(x).index_copy(0, items, self.estimate(prediction, x, t, mask))

    def _null_places(self, t: Times, items: Tensor) -> Int[Tensor, "k"]:
        """Where the null row of each item at its time lies: after the b items themselves, null by null."""
        ends = torch.tensor([null.until for null in self.nulls[:-1]], device=t.device)
        return (1 + (t[:, None] > ends).sum(1)) * len(self.mask) + items

    def _null_at(self, places: Tensor) -> Cond:
        nulls = self.nulls[0].cond if len(self.nulls) == 1 else Cond.stack(*(null.cond for null in self.nulls))
        return nulls.rows(places - len(self.mask))

    def _weight(self, places: Tensor) -> float | Tensor:
        """w, or (k 1 1) where strengths differ."""
        if all(null.strength == 1.0 for null in self.nulls):
            return self.w
        strengths = torch.tensor([null.strength for null in self.nulls], device=places.device)
        return 1.0 + strengths[places // len(self.mask) - 1].view(-1, 1, 1) * (self.w - 1.0)


def _cosine(a: Frames, b: Frames) -> Float[Tensor, "k"]:
    """Of each item, over all its frames; those of padding are zeros."""
    return F.cosine_similarity(a.flatten(1), b.flatten(1), dim=1)


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
