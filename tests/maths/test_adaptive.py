"""Adaptive solvers: errors follow the tolerance and the order, and an item's steps and forwards are its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fm_audio.flow.dopri5 import Dopri5
from fm_audio.flow.embedded import BogackiShampine, HeunEuler
from fm_audio.flow.grid import Uniform
from fm_audio.flow.solver import RK4, Solver
from fm_audio.types import FmAudioError
from tests.maths.toys import MixtureField

FAST = [HeunEuler, BogackiShampine]
KINDS = [*FAST, Dopri5]
X0 = torch.tensor([[0.2], [0.5], [0.9]], dtype=torch.float64)


def moving(x: Tensor, t: Tensor) -> Tensor:
    """x' = -2 t x^2, so x(t) = x0 / (1 + x0 t^2)."""
    return -2 * t.to(x.dtype).view(-1, 1) * x**2


@pytest.mark.parametrize("make", KINDS)
def test_the_start_stays_as_it_was_though_a_field_gives_it_back(make: Callable[[], Solver]) -> None:
    x0 = torch.rand(3, 2)
    before = x0.clone()
    x1 = make()(lambda x, t: x, x0, Uniform()(4))
    assert torch.equal(x0, before) and torch.allclose(x1, math.e * x0, rtol=1e-2)


class Rates:
    """x' = -rate (x - cos t), a rate for each item; counts what each was asked and how large the batches were."""

    def __init__(self, rates: list[float]) -> None:
        self.rates = torch.tensor(rates)
        self.forwards = torch.zeros(len(rates), dtype=torch.long)
        self.batches: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, items: Tensor | None = None) -> Tensor:
        items = torch.arange(len(self.rates)) if items is None else items
        assert len(x) == len(t) == len(items)
        self.forwards[items] += 1
        self.batches.append(len(items))
        return -self.rates[items, None] * (x - torch.cos(t)[:, None])

    def of_items(self, items: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda x, t: self(x, t, items)


def made(kind: type) -> Solver:
    return kind(1e-4, 1e-5) if kind is Dopri5 else kind(1e-3)


@pytest.mark.parametrize("kind,order", [(HeunEuler, 2), (BogackiShampine, 3), (Dopri5, 5)])
def test_a_single_step_has_the_order_of_its_method(kind: type, order: int) -> None:
    """Of a step that nothing forbids, the error falls with the width to the power of order + 1."""
    errors = []
    for h in (0.25, 0.125):
        x = kind().within(1e6)(moving, X0, torch.tensor([0.0, h], dtype=torch.float64))
        errors.append(float((x - X0 / (1 + X0 * h**2)).abs().max()))
    assert math.log2(errors[0] / errors[1]) > order + 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_follows_the_tolerance_and_the_forwards_the_other_way(kind: type) -> None:
    true = RK4()(MixtureField(), X0, Uniform()(400))
    errors, asked = [], []
    for tolerance in (1e-1, 1e-3, 1e-5):
        calls: list[int] = []

        def field(x: Tensor, t: Tensor, calls: list[int] = calls) -> Tensor:
            calls.append(len(x))
            return MixtureField()(x, t)

        errors.append(float((kind().within(tolerance)(field, X0, Uniform()(2)) - true).norm() / true.norm()))
        asked.append(sum(calls))
    assert errors[0] > errors[1] > errors[2] and errors[1] < 3e-2 and errors[2] < 1e-3
    assert asked[0] < asked[1] < asked[2]


@pytest.mark.parametrize("kind,name", [(HeunEuler, "adaptive_heun"), (BogackiShampine, "bosh3")])
def test_they_agree_with_torchdiffeq(kind: type, name: str) -> None:
    torchdiffeq = pytest.importorskip("torchdiffeq")
    theirs = torchdiffeq.odeint(
        lambda t, x: MixtureField()(x, t.expand(x.shape[0])), X0, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6, method=name
    )[-1]
    torch.testing.assert_close(kind(1e-4)(MixtureField(), X0, Uniform()(4)), theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_has_its_own_steps_whoever_is_beside_it(kind: type) -> None:
    rates, x0 = [1.0, 60.0, 8.0], torch.ones(3, 4)
    together = Rates(rates)
    x = made(kind)(together, x0, Uniform()(4))
    for i, rate in enumerate(rates):
        alone = Rates([rate])
        torch.testing.assert_close(x[i : i + 1], made(kind)(alone, x0[i : i + 1], Uniform()(4)), rtol=1e-5, atol=1e-6)
        assert int(alone.forwards) == int(together.forwards[i])
    assert together.forwards[0] < together.forwards[2] < together.forwards[1]
    assert sum(together.batches) == int(together.forwards.sum()) and together.batches[-1] == 1, "who has arrived has left"


@pytest.mark.parametrize("kind", FAST)
def test_padding_does_not_thin_the_error_out(kind: type) -> None:
    field = Rates([20.0])
    wide = torch.cat([torch.ones(1, 4), torch.zeros(1, 400)], 1)

    def padded(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([field(x[:, :4], t), torch.zeros_like(x[:, 4:])], 1)

    x = kind(0.01)(padded, wide, Uniform()(2))
    asked = int(field.forwards)
    torch.testing.assert_close(x[:, :4], kind(0.01)(field, wide[:, :4], Uniform()(2)))
    assert int(field.forwards) == 2 * asked


@pytest.mark.parametrize("kind", FAST)
def test_few_forwards_are_enough_where_little_happens(kind: type) -> None:
    """A line is one step for both: two forwards of Heun and Euler's, four of Bogacki and Shampine's."""
    field = Rates([0.0])
    torch.testing.assert_close(kind(0.1)(field, torch.ones(1, 2), Uniform()(1)), torch.ones(1, 2))
    assert int(field.forwards) == (2 if kind is HeunEuler else 4)


@pytest.mark.parametrize("kind", FAST)
def test_noise_of_nothing_is_no_trouble(kind: type) -> None:
    x = kind(0.01)(lambda x, t: torch.full_like(x, 2.0), torch.zeros(2, 3), Uniform()(4))
    torch.testing.assert_close(x, torch.full((2, 3), 2.0))
    assert not kind(0.01)(lambda x, t: x, torch.zeros(2, 3), Uniform()(4)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_meant_or_reached_is_refused(kind: type) -> None:
    with pytest.raises(FmAudioError, match="above 0"):
        kind().within(0.0)
    with pytest.raises(FmAudioError, match="3 steps were not enough"):
        kind(max_steps=3).within(1e-6)(lambda x, t: -1000 * x, X0, Uniform()(2))
    with pytest.raises(FmAudioError, match="not enough"):
        kind(max_steps=20)(lambda x, t: x * math.nan, X0, Uniform()(2))
