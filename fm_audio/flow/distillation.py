"""Few steps from a model of many: what a student's head is taught in place of flow matching, by its teacher.

    FlowMap   mean velocity u(x, s, t) over gaps 1, 1/2 … 1/32 by halves: (t − s) u_st = (m − s) u_sm + (t − m) u_mt, m the middle
              (shortcut models, Frans et al. 2025; SplitMeanFlow, Guo et al. 2025); where the gap is 0, the teacher's velocity.
              Of tokens the same in probabilities: p_st = g p_sm + (1 − g) p_mt, g = (1 − t) / (1 − t + 1 − s), by KL
    Steps     the mean velocity of two steps of the teacher, over a gap up to 0.3, for a student of one time (ZipVoice, Zhu et al.
              2025)
    Reflow    straight lines from noise to where the teacher carries it (Liu et al. 2023, "Rectified flow")
    Ways      mean velocity between two places of the teacher's own way from noise (from its start to its end: Luhman and Luhman
              2021, "Knowledge distillation in iterative generative models"), over gaps 1, 1/2, 1/4 …: nothing is learnt of the
              student's own guesses

Guidance is baked in: the teacher is followed with its weight, the student is asked without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.flow.guidance import Nulls
from fm_audio.flow.path import LinearPath, point
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import uniforms
from fm_audio.layers import jumping
from fm_audio.types import Cond, FmAudioError, Frames, Mask, masked_mean

LEVELS = 6  # gaps of 1, 1/2, … 1/32
QUIETEST = 0.5
WAY_STEPS = 8  # of a teacher's way: a student of `Ways` learns no shorter ones


@dataclass(frozen=True)
class Lesson:
    """What a batch teaches from: noise and data (b n d), where there are frames and which of them count (b n), conditions, what
    the teacher's guidance leans away from, the port, and who draws."""

    x0: Frames
    x1: Frames
    mask: Mask
    scored: Mask
    cond: Cond
    null: Nulls
    port: str
    generator: torch.Generator | None


@runtime_checkable
class Objective(Protocol):
    """`(student head, lesson) -> scalar`; `noise_scale` (b 1 1) of x0; the weight of the teacher's `guidance`, away from null."""

    guidance: float

    def noise_scale(self, b: int, generator: torch.Generator | None, device: torch.device) -> Tensor: ...

    def __call__(self, head: Any, lesson: Lesson) -> Tensor: ...


class Taught:
    """What all objectives share: a teacher's head, frozen, the guidance that it is followed with, and how much noise there is:
    between `temperatures`, at first from `QUIETEST` up, since one samples with less of it than one trains with."""

    temperatures: tuple[float, float] = (QUIETEST, 1.0)

    def __init__(self, teacher: nn.Module, guidance: float | Sampling = 1.0) -> None:
        """guidance: a weight, or a sampling, whose interval and rescaling are followed too."""
        self._teacher = [teacher.eval().requires_grad_(False)]  # a list, so that it is no part of the student
        asked = guidance if isinstance(guidance, Sampling) else Sampling(guidance=guidance)
        self.followed = Sampling(
            guidance=asked.guidance, guidance_interval=asked.guidance_interval, guidance_rescale=asked.guidance_rescale
        )

    @property
    def guidance(self) -> float:
        return self.followed.guidance

    def noise_scale(self, b: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        """(b 1 1)."""
        low, high = self.temperatures
        return (low + (high - low) * uniforms(b, False, generator, device)).float().view(-1, 1, 1)

    def teacher(self, lesson: Lesson) -> Any:
        """The teacher's head, where the student is."""
        return self._teacher[0].to(lesson.x1.device)

    def field(self, lesson: Lesson) -> Any:
        return self.teacher(lesson).field(lesson.mask, lesson.cond, self.followed, lesson.port, lesson.null)


class FlowMap(Taught):
    """Mean velocities over every gap. `diagonal`: the share of items at gap 0, which the teacher itself teaches.

    Errors are not divided by their own size, as MeanFlow's are (Geng et al. 2025): items between two guesses of the student,
    which agree with each other soon, then weigh the most and what the teacher teaches the least where it is missed most, and the
    student drifts off."""

    def __init__(self, teacher: nn.Module, guidance: float | Sampling = 1.0, diagonal: float = 0.5) -> None:
        super().__init__(teacher, guidance)
        if not 0.0 < diagonal < 1.0:
            raise FmAudioError(f"FlowMap: diagonal is {diagonal}; give a share between 0 and 1, often 0.5")
        self.diagonal = diagonal

    def __call__(self, head: Any, lesson: Lesson) -> Tensor:
        b, device, generator = len(lesson.x1), lesson.x1.device, lesson.generator
        level = (uniforms(b, False, generator, device) * LEVELS).floor().float().clamp(max=LEVELS - 1)
        still = uniforms(b, False, generator, device) < self.diagonal
        gap = torch.where(still, 0.0, 2.0**-level)
        s = uniforms(b, False, generator, device).float() * (1.0 - gap)
        x = point(head.path, lesson.x0, lesson.x1, s)
        tokens = _of_tokens(head, lesson)
        if tokens and not (isinstance(head.path, LinearPath) and head.path.sigma_min == 0.0):
            raise FmAudioError("FlowMap: probabilities of tokens are joined on a straight path alone; distil by Reflow")
        with torch.no_grad():
            field = self.field(lesson)
            v = field(x, s)
            here = field.prediction if tokens else v
            half = gap / 2
            told = torch.where(gap <= 2.0 ** -(LEVELS - 1), 0.0, half)  # of the least gap both halves are as good as still
            first, u1 = _asked(head, x, s, told, lesson)
            middle = x + half.view(-1, 1, 1) * u1
            second, u2 = _asked(head, middle, s + half, told, lesson)
            if tokens:
                last = head.ports[lesson.port].t_last
                begun, left = ((1 - t.clamp(max=last)) for t in (s, s + half))  # what velocities divide by
                share = ((left - half).clamp(min=0) / (left - half + begun).clamp(min=1e-6)).clamp(0, 1).view(-1, 1, 1)
                joined = share * first.softmax(-1) + (1 - share) * second.softmax(-1)
                target = torch.where(still.view(-1, 1, 1), here.softmax(-1), joined)
            else:
                target = torch.where(still.view(-1, 1, 1), here, (u1 + u2) / 2)
        torch.clear_autocast_cache()  # some versions would use weights that were cast above, without a gradient
        asked, u = _asked(head, x, s, gap, lesson)
        if tokens:
            return masked_mean(F.kl_div(asked.log_softmax(-1), target, reduction="none").sum(-1), lesson.scored)
        return masked_mean((u - target).square(), lesson.scored)


class Steps(Taught):
    """Two steps of the teacher in one of the student's, who is of one time. `longest`: the largest gap."""

    def __init__(self, teacher: nn.Module, guidance: float | Sampling = 1.0, longest: float = 0.3) -> None:
        super().__init__(teacher, guidance)
        if not 0.0 < longest <= 1.0:
            raise FmAudioError(f"Steps: longest is {longest}; give a gap above 0 and at most 1, often 0.3")
        self.longest = longest

    def __call__(self, head: Any, lesson: Lesson) -> Tensor:
        if _of_tokens(head, lesson):
            raise FmAudioError("Steps: mean velocities of tokens are no distribution; distil tokens by FlowMap or Reflow")
        b, device = len(lesson.x1), lesson.x1.device
        s, drawn = (uniforms(b, False, lesson.generator, device).float() for _ in range(2))
        gap = (self.longest * drawn).minimum(1 - s)
        x = point(head.path, lesson.x0, lesson.x1, s)
        with torch.no_grad():
            field, half = self.field(lesson), (gap / 2).view(-1, 1, 1)
            u1 = field(x, s)
            u2 = field(x + half * u1, s + gap / 2)
        velocity = head.velocity(x, s, lesson.mask, lesson.cond, lesson.port)
        return masked_mean((velocity - (u1 + u2) / 2).square(), lesson.scored)


class Reflow(Taught):
    """Flow matching between noise and what the teacher makes of it in `steps` steps (AB2)."""

    def __init__(self, teacher: nn.Module, guidance: float | Sampling = 1.0, steps: int = 8) -> None:
        super().__init__(teacher, guidance)
        if steps < 1:
            raise FmAudioError(f"Reflow: steps is {steps}; give 1 or more, often 8")
        self.steps = steps

    def __call__(self, head: Any, lesson: Lesson) -> Tensor:
        x0, device, port = lesson.x0, lesson.x0.device, lesson.port
        sampling = replace(self.followed, steps=self.steps, solver="ab2")
        with torch.no_grad():
            made = self.teacher(lesson).solve(self.field(lesson), x0, sampling, port)
        t = head.time_law.sample(len(x0), lesson.generator, device)
        h = head._hidden(point(head.path, x0, made, t), t, lesson.mask, lesson.cond, port)
        with torch.autocast(device.type, enabled=False):
            return head.ports[port].loss(h.float(), x0, made, t, head.path, lesson.scored)


class Ways(Taught):
    """The teacher's own way, walked by midpoint in `steps` (a power of two) equal steps, of which the student takes all, half, a
    quarter … at once, `draws` times of each way, since walking costs the most. It starts where samples start, so that places are
    those that a student comes by."""

    def __init__(self, teacher: nn.Module, guidance: float | Sampling = 1.0, steps: int = WAY_STEPS, draws: int = 4) -> None:
        super().__init__(teacher, guidance)
        if steps < 1 or steps & (steps - 1) or draws < 1:
            raise FmAudioError(f"Ways: steps is {steps}, draws {draws}; give a power of two, often 8, and 1 or more, often 4")
        self.steps, self.draws = steps, draws

    def __call__(self, head: Any, lesson: Lesson) -> Tensor:
        if _of_tokens(head, lesson):
            raise FmAudioError("Ways: mean velocities of tokens are no distribution; distil tokens by FlowMap or Reflow")
        x0, sampling = lesson.x0, replace(self.followed, steps=self.steps, solver="midpoint")
        with torch.no_grad():
            field, solver, times = self.field(lesson), sampling.make_solver(), sampling.times()
            way = [x0]
            for i in range(self.steps):
                way.append(solver(field, way[-1], times[i : i + 2]))
            places = torch.stack(way, 1)  # b steps+1 n d
        torch.clear_autocast_cache()  # some versions would use weights that were cast above, without a gradient
        errors = []
        for _ in range(self.draws):
            first, length = self._stretch(len(x0), lesson.generator, x0.device)
            rows, s, gap = torch.arange(len(x0), device=x0.device), (first / self.steps).float(), (length / self.steps).float()
            x = places[rows, first]
            target = (places[rows, first + length] - x) / gap.view(-1, 1, 1)
            errors.append((_asked(head, x, s, gap, lesson)[1] - target).square())
        return masked_mean(torch.stack(errors).mean(0), lesson.scored)

    def _stretch(self, b: int, generator: torch.Generator | None, device: torch.device) -> tuple[Tensor, Tensor]:
        """(b) where a stretch of the way begins, and how many steps it is long: 1, 2, 4 … all equally often."""
        drawn, begun = (uniforms(b, stratified, generator, device) for stratified in (True, False))
        length = 2 ** (drawn * self.steps.bit_length()).long()
        return (begun * (self.steps + 1 - length)).long(), length


def _of_tokens(head: Any, lesson: Lesson) -> bool:
    """Whether the port reads logits, whose probabilities are what is joined."""
    return getattr(head.ports[lesson.port], "prediction", "") == "logits"


def _asked(head: Any, x: Frames, s: Tensor, gap: Tensor, lesson: Lesson) -> tuple[Tensor, Tensor]:
    """What the student predicts over a gap, and the mean velocity it means."""
    with jumping(gap):
        prediction = head.predict(x, s, lesson.mask, lesson.cond, lesson.port)
    return prediction, head._to_velocity(prediction, x, s, lesson.mask, lesson.port)
