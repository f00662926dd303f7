"""Students go in one step where their teacher needs many: of the exact flow to a Gaussian, and of tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.backbones.dit import DiT
from fm_audio.backbones.two_times import TwoTimes
from fm_audio.flow.distillation import WAY_STEPS, FlowMap, Lesson, Objective, Reflow, Steps, Ways
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import VariancePreservingPath
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.token_port import TokenPort
from fm_audio.layers import jump, jumping
from fm_audio.types import Cond, FmAudioError
from tests.invariance.cases import CASES, through_backbone
from tests.invariance.company import TOLERANCE, distance
from tests.invariance.test_contract import built, items_of
from tests.maths.toys import GaussianField

BACKBONES = [name for name, case in CASES.items() if case.run is through_backbone]
MASK = torch.ones(32, 3, dtype=torch.bool)
ONE, MANY = Sampling(steps=1), Sampling(steps=64)


class Exact(nn.Module):
    """A teacher that knows the flow to N(1.5, 0.2^2): x1 = 1.5 + 0.2 x0."""

    def field(self, mask: Tensor, cond: Cond, sampling: Sampling, port: str, null: Cond | None) -> Any:
        return GaussianField(std=0.2)

    def solve(self, field: Any, x0: Tensor, sampling: Sampling, port: str) -> Tensor:
        return sampling.make_solver()(field, x0, sampling.times())


def student(two_times: bool) -> FlowHead:
    torch.manual_seed(0)
    net: nn.Module = DiT(24, 2, 2, feedforward=2.0, position_kernel=0)
    return FlowHead(TwoTimes(net) if two_times else net, {"mel": MelPort(2, 24)})


def taught(objective: Objective, two_times: bool, steps: int = 400) -> FlowHead:
    head = student(two_times)
    head.objective = objective
    optimizer, g = torch.optim.AdamW(head.parameters(), 5e-3), torch.Generator().manual_seed(0)
    for i in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - i / steps)
        x1 = 1.5 + 0.2 * torch.randn(32, 3, 2, generator=g)
        optimizer.zero_grad()
        head.loss(x1, MASK, Cond(), generator=g).backward()
        optimizer.step()
    return head.eval()


def off(head: FlowHead, sampling: Sampling) -> float:
    x0 = head.start(MASK, sampling, list(range(32)))
    made = head.sample(MASK, Cond(), sampling, list(range(32)))
    return float((made - (1.5 + 0.2 * x0)).square().mean().sqrt())


@pytest.mark.slow
def test_a_flow_map_goes_in_one_step_and_in_many() -> None:
    head = taught(FlowMap(Exact()), True)  # type: ignore[arg-type]
    x0 = head.start(MASK, ONE, list(range(32)))
    euler = float((x0 + GaussianField(std=0.2)(x0, torch.zeros(32)) - (1.5 + 0.2 * x0)).square().mean().sqrt())
    assert off(head, ONE) < 0.5 * euler and off(head, Sampling(steps=4)) < 0.1 and off(head, MANY) < 0.1


def test_a_flow_map_minds_its_teacher_the_more_the_further_it_is_off() -> None:
    """A student that says nothing agrees with itself over every gap; what it misses of its teacher must not count less for it."""

    class Loud(Exact):
        def __init__(self, times: float) -> None:
            super().__init__()
            self.times = times

        def field(self, *args: Any) -> Any:
            exact = super().field(*args)
            return lambda x, t: self.times * exact(x, t)

    x1, head = 1.5 + 0.2 * torch.randn(32, 3, 2), student(True)
    losses = []
    for times in (1.0, 10.0):
        head.objective = FlowMap(Loud(times))  # type: ignore[arg-type]
        losses.append(float(head.loss(x1, MASK, Cond(), generator=torch.Generator().manual_seed(0)).detach()))
    assert losses[1] == pytest.approx(100 * losses[0], rel=1e-4)


@pytest.mark.slow
def test_ways_of_the_teacher_are_gone_in_one_step_and_in_a_few() -> None:
    head = taught(Ways(Exact()), True)  # type: ignore[arg-type]
    assert off(head, ONE) < 0.1 and off(head, Sampling(steps=2)) < 0.1 and off(head, Sampling(steps=4)) < 0.1


def test_ways_ask_for_what_leads_along_the_teachers_way() -> None:
    class Told(nn.Module):
        """A student that answers the exact mean velocity: from x_s to x_e of N(1.5, 0.2^2)."""

        ports = {"mel": MelPort(2, 24)}
        asked = 0

        def predict(self, x: Tensor, s: Tensor, mask: Tensor, cond: Cond, port: str) -> Tensor:
            self.asked += 1
            gap = jump(s)
            spread, mean = [((1 - t) ** 2 + (0.2 * t) ** 2).sqrt().view(-1, 1, 1) for t in (s, s + gap)], 1.5
            there = mean * (s + gap).view(-1, 1, 1) + spread[1] / spread[0] * (x - mean * s.view(-1, 1, 1))
            return (there - x) / gap.view(-1, 1, 1)

        def _to_velocity(self, prediction: Tensor, x: Tensor, s: Tensor, mask: Tensor, port: str) -> Tensor:
            return prediction

    g, x = torch.Generator().manual_seed(0), torch.randn(32, 3, 2)
    lesson = Lesson(x, x, MASK, MASK, Cond(), None, "mel", g)
    losses = [Ways(Exact(), steps=k)(Told(), lesson) for k in (8, 32)]  # type: ignore[arg-type]
    assert losses[0] < 1e-2 and losses[1] < 0.05 * losses[0], "what is left is the error of midpoint"
    told = Told()
    few, many = (
        torch.stack([Ways(Exact(), draws=k)(told, lesson) for _ in range(40)])  # type: ignore[arg-type]
        for k in (1, 8)
    )
    assert told.asked == 40 * (1 + 8)
    assert torch.isclose(few.mean(), many.mean(), rtol=0.1), "the same loss"
    assert many.std() < 0.6 * few.std(), "with less chance in it"


@pytest.mark.slow
def test_reflow_straightens_the_way() -> None:
    assert off(taught(Reflow(Exact(), steps=16), False), ONE) < 0.1  # type: ignore[arg-type]


@pytest.mark.slow
def test_steps_teaches_what_two_steps_of_the_teacher_do() -> None:
    head = taught(Steps(Exact(), longest=0.3), False)  # type: ignore[arg-type]
    assert off(head, Sampling(steps=6)) < 0.1


def test_what_a_student_of_ways_was_not_taught_is_refused() -> None:
    torch.manual_seed(0)
    net = DiT(24, 2, 2, feedforward=2.0, position_kernel=0)
    head = FlowHead(TwoTimes(net, least=1 / WAY_STEPS), {"mel": MelPort(2, 24)})
    for sampling in (Sampling(steps=8), Sampling(steps=3, grid=(0.0, 0.5, 0.6251, 1.0)), Sampling(steps=1, rest=0.1)):
        assert torch.isfinite(head.sample(MASK, Cond(), sampling, range(32))).all()
    for sampling in (Sampling(steps=9), Sampling(steps=8, grid="sway"), Sampling(steps=2, solver="midpoint"),
                     Sampling(steps=2, solver="ddim"), Sampling(steps=1, solver="bosh3")):  # fmt: skip
        with pytest.raises(FmAudioError, match="knows Euler's steps from 0.125 of the way to all of it; .* in at most 8 steps"):
            head.sample(MASK, Cond(), sampling, range(32))
    with pytest.raises(FmAudioError, match="least is 2; give a gap from 0 to 1"):
        TwoTimes(net, 2)


@pytest.mark.parametrize("name", BACKBONES)
def test_any_backbone_can_be_told_a_gap(name: str) -> None:
    case, items, net = CASES[name], items_of(name)[:2], built(name)
    two = TwoTimes(net).eval()
    with torch.no_grad():
        plain = [case.run(net, [item], 0)[0][0] for item in items]
        for gap in (0.0, 0.5):
            with jumping(gap):
                assert all(torch.equal(case.run(two, [i], 0)[0][0], p) for i, p in zip(items, plain, strict=True)), "untaught"
        nn.init.normal_(two.gap[2].weight)  # type: ignore[arg-type]
        assert all(torch.equal(case.run(two, [i], 0)[0][0], p) for i, p in zip(items, plain, strict=True)), "no gap"
        with jumping(0.5):
            alone = [case.run(two, [item], 0)[0][0] for item in items]
            together = [row for row, *_ in case.run(two, items, 3)]
    assert all(distance(a, p) > 1e-3 for a, p in zip(alone, plain, strict=True))
    assert all(distance(a, b) <= TOLERANCE for a, b in zip(together, alone, strict=True))


def test_a_second_time_adds_nothing_until_it_is_taught_and_at_no_gap() -> None:
    plain, two = student(False), student(True)
    x, t = torch.randn(4, 3, 2), torch.rand(4)
    nn.init.normal_(plain.ports["mel"].out.weight)  # type: ignore[union-attr, arg-type]
    two.load_state_dict({k.replace("backbone.", "backbone.inner."): v for k, v in plain.state_dict().items()}, strict=False)
    seen = MASK[:4]
    with jumping(0.5):
        assert torch.equal(two.velocity(x, t, seen, Cond()), plain.velocity(x, t, seen, Cond()))
    nn.init.normal_(two.backbone.gap[2].weight)  # type: ignore[union-attr, index, arg-type]
    assert torch.allclose(two.velocity(x, t, seen, Cond()), plain.velocity(x, t, seen, Cond()), atol=1e-6)
    with jumping(torch.tensor([0.5, 0.0, 0.25, 1.0])):
        moved = (two.velocity(x, t, seen, Cond()) - plain.velocity(x, t, seen, Cond())).abs().amax((1, 2))
        assert moved[1] < 1e-5 and (moved[[0, 2, 3]] > 1e-3).all()
        assert torch.equal(jump(torch.zeros(8)), torch.tensor([0.5, 0.0, 0.25, 1.0] * 2)), "a batch that guidance packed twice"
    assert not jump(torch.zeros(2)).any(), "told within, forgotten without"


def test_noise_is_as_loud_as_the_temperatures_say() -> None:
    objective = Ways(Exact())  # type: ignore[arg-type]
    objective.temperatures = (0.6, 0.7)
    scale = objective.noise_scale(1000, None, torch.device("cpu"))
    assert scale.shape == (1000, 1, 1) and 0.6 <= scale.min() < 0.61 and 0.69 < scale.max() <= 0.7


def test_tokens_are_taught_as_probabilities() -> None:
    torch.manual_seed(0)

    def made() -> FlowHead:
        net = DiT(24, 1, 2, feedforward=2.0, position_kernel=0)
        return FlowHead(TwoTimes(net), {"text": TokenPort(7, 8, 24)})

    teacher, head = made(), made()
    nn.init.normal_(teacher.ports["text"].bias, std=2.0)  # type: ignore[union-attr, arg-type]
    head.objective = FlowMap(teacher)
    x1 = head.ports["text"].table(torch.randint(0, 7, (32, 3)))  # type: ignore[union-attr, operator]
    losses = []
    optimizer = torch.optim.AdamW(head.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(head.loss(x1.detach(), MASK, Cond(), "text", torch.Generator().manual_seed(1)))
        losses[-1].backward()
        optimizer.step()
    assert 0 <= losses[-1] < 0.5 * losses[0]
    assert not any(p.grad is not None for p in teacher.parameters()), "the teacher is not taught"
    for of_mels in (Steps(teacher), Ways(teacher)):
        head.objective = of_mels
        with pytest.raises(FmAudioError, match="distil tokens by FlowMap or Reflow"):
            head.loss(x1, MASK, Cond(), "text")
    head.path, head.objective = VariancePreservingPath(), FlowMap(teacher)
    with pytest.raises(FmAudioError, match="joined on a straight path alone; distil by Reflow"):
        head.loss(x1, MASK, Cond(), "text")


def test_a_teacher_is_followed_with_its_interval_and_rescaling() -> None:
    asked: list[Sampling] = []

    class Asked(Exact):
        def field(self, mask: Tensor, cond: Cond, sampling: Sampling, port: str, null: Cond | None) -> Any:
            asked.append(sampling)
            return super().field(mask, cond, sampling, port, null)

    own = Sampling(steps=9, guidance=2.0, guidance_interval=(0.0, 0.5), guidance_rescale=0.7, temperature=0.3, solver="rk4")
    kept = Sampling(guidance=2.0, guidance_interval=(0.0, 0.5), guidance_rescale=0.7)
    for make in (FlowMap, Steps, Reflow, Ways):
        head = student(make in (FlowMap, Ways))
        head.objective = make(Asked(), own)  # type: ignore[arg-type]
        head.loss(torch.randn(32, 3, 2), MASK, Cond())
    assert asked == [kept] * 4 and head.objective is not None and head.objective.guidance == 2.0


@pytest.mark.parametrize(
    "made",
    [
        lambda: FlowMap(Exact(), diagonal=1.0),
        lambda: Steps(Exact(), longest=0.0),
        lambda: Reflow(Exact(), steps=0),
        lambda: Ways(Exact(), steps=6),
        lambda: Ways(Exact(), draws=0),
    ],
)
def test_objectives_that_teach_nothing_are_refused(made: Any) -> None:
    with pytest.raises(FmAudioError, match="give"):
        made()
