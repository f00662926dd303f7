"""Rest: what does not move any more is not asked about, comes out as it would have, and that is each item's own affair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fm_audio.flow import solver as solvers
from fm_audio.flow.grid import Uniform
from fm_audio.flow.path import LinearPath, VariancePreservingPath, point, velocity
from fm_audio.flow.resting import RestingField
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.settling import sample_tokens
from fm_audio.types import FmAudioError
from tests.maths.toys import GaussianField, toy_batch, toy_head

FIXED = [solvers.Euler(), solvers.Midpoint(), solvers.Heun(), solvers.AdamsBashforth2(), solvers.RK4(), solvers.DPMSolverPP2M()]


class Turning:
    """Each item's data estimate moves along a circle until its own time, and stays there from then on."""

    def __init__(self, until: list[float]) -> None:
        self.until = torch.tensor(until)
        self.forwards = torch.zeros(len(until), dtype=torch.long)

    def __call__(self, x: Tensor, t: Tensor, items: Tensor | None = None) -> Tensor:
        items = torch.arange(len(self.until)) if items is None else items
        self.forwards[items] += 1
        angle = 3 * torch.minimum(t, self.until[items])
        x1 = torch.stack([angle.cos(), angle.sin()], -1).view(-1, 1, 2)
        return (x1 - x) / (1 - t).clamp(min=0.02).view(-1, 1, 1)

    def of_items(self, items: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, t: self(x, t, items)


@pytest.mark.parametrize("solver", FIXED)
def test_of_one_point_two_looks_are_enough(solver: solvers.Solver) -> None:
    """Where noise and data are known from the start, nothing but forwards changes."""
    path, x0, x1 = LinearPath(), torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    calls: list[int] = []

    def field(x: Tensor, t: Tensor) -> Tensor:
        calls.append(len(x))
        return velocity(path, x0[: len(x)], x1[: len(x)], t)

    plain = solver(field, x0, Uniform()(12))
    before = len(calls)
    rested = solver(RestingField(field, path, 1e-3), x0, Uniform()(12))
    torch.testing.assert_close(rested, plain, rtol=1e-4, atol=1e-4)
    assert before >= 12 and len(calls) - before == 2


@pytest.mark.parametrize("solver", FIXED)
def test_items_rest_each_in_its_own_time_and_are_the_same_alone(solver: solvers.Solver) -> None:
    until, x0 = [0.2, 0.6, 2.0], torch.randn(3, 1, 2)
    together = Turning(until)
    x = solver(RestingField(together, LinearPath(), 0.05), x0, Uniform()(20))
    assert together.forwards[0] < together.forwards[1] < together.forwards[2]
    for i, when in enumerate(until):
        alone = Turning([when])
        rested = solver(RestingField(alone, LinearPath(), 0.05), x0[i : i + 1], Uniform()(20))
        torch.testing.assert_close(x[i : i + 1], rested, rtol=1e-5, atol=1e-6)
        assert int(alone.forwards) == int(together.forwards[i])
    true = solver(Turning([2.0, 2.0, 2.0]), x0, Uniform()(20))
    torch.testing.assert_close(x[2], true[2], rtol=0.0, atol=0.08)
    assert (x[0] - true[0]).norm() > 0.5


def test_the_threshold_is_about_the_error_that_is_made() -> None:
    x0 = torch.randn(50, 4, 3)
    exact = solvers.RK4()(GaussianField(), x0, Uniform()(64))
    off, asked = [], []
    for threshold in (0.3, 0.1, 0.03):
        calls: list[int] = []

        def field(x: Tensor, t: Tensor, calls: list[int] = calls) -> Tensor:
            calls.append(len(x))
            return GaussianField()(x, t)

        x = solvers.RK4()(RestingField(field, LinearPath(), threshold), x0, Uniform()(64))
        off.append(float((x - exact).norm() / exact.norm()))
        asked.append(sum(calls))
        assert off[-1] < 2 * threshold
    assert off[0] > off[1] > off[2] and asked[0] < asked[1] < asked[2] < 50 * 4 * 64


def test_short_steps_do_not_look_like_rest() -> None:
    fields = [Turning([2.0]) for _ in range(2)]
    for field, steps in zip(fields, (10, 1000), strict=True):
        solvers.Euler()(RestingField(field, LinearPath(), 0.1), torch.randn(1, 1, 2), Uniform()(steps))
    assert int(fields[1].forwards) > 80 * int(fields[0].forwards)


def test_a_head_rests_where_it_is_asked_to() -> None:
    head, (mask, cond) = toy_head(), toy_batch([5, 7, 3])

    def sampled(rest: float) -> tuple[Tensor, int]:
        head.backbone.batches.clear()
        return head.sample(mask, cond, Sampling(steps=30, rest=rest, guidance=2.0), [0, 1, 2]), sum(head.backbone.batches)

    plain, all_rows = sampled(0.0)
    rested, rows = sampled(0.2)
    assert all_rows == 30 * 6 and 0 < rows < all_rows
    assert float((rested - plain).norm() / plain.norm()) < 0.4
    assert torch.equal(sampled(1e-9)[0], plain)
    assert head.forwards(Sampling(rest=0.1)) is None


def test_tokens_have_a_rest_of_their_own() -> None:
    head, (mask, cond) = toy_head(), toy_batch([5])
    with pytest.raises(FmAudioError, match="rest by patience"):
        sample_tokens(head, mask, cond, Sampling(rest=0.1), [0])


def test_on_the_path_between_two_points_the_estimate_is_the_point() -> None:
    """The rest of a way that is no straight line ends where the estimate said, too."""
    path, x0, x1 = VariancePreservingPath(), torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    field = RestingField(lambda x, t: velocity(path, x0, x1, t), path, 1e-3)
    x = solvers.DDIM(path)(field, x0, Uniform()(5))
    torch.testing.assert_close(x, point(path, x0, x1, torch.ones(1)), rtol=1e-4, atol=1e-4)
    assert field.resting is not None and field.resting.all()
