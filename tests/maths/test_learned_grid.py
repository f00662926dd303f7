"""A learnt grid is the best there is by its own measure, and better than even steps where the way bends in one place."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from fm_audio.flow import grid as grids
from fm_audio.flow.learned_grid import Recorder, learned_times
from fm_audio.flow.solver import Euler
from fm_audio.types import FmAudioError
from tests.maths.toys import MixtureField


def test_no_other_choice_of_times_costs_less() -> None:
    cost = torch.rand(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times = grids.Uniform()(7)

    def total(inner: tuple[int, ...]) -> float:
        way = [0, *inner, 7]
        return sum(float(cost[i, j]) for i, j in zip(way, way[1:], strict=False))

    for steps in range(1, 8):
        found = learned_times(cost, times, steps)
        chosen = tuple(int(torch.argmin((times - t).abs())) for t in found[1:-1])
        assert total(chosen) == pytest.approx(min(total(c) for c in combinations(range(1, 7), steps - 1)))
        assert found[0] == 0.0 and found[-1] == 1.0 and len(found) == steps + 1
    with pytest.raises(FmAudioError, match="8 steps of 7 fine ones"):
        learned_times(cost, times, 8)
    with pytest.raises(FmAudioError, match="nothing was generated"):
        Recorder().cost  # noqa: B018


def test_the_second_way_is_told_nothing_of_the_first() -> None:
    """A self-conditioned field is told its last estimate, which is none where a way begins."""

    class Told:
        previous: Tensor | None = None

        def __init__(self) -> None:
            self.begun: list[bool] = []

        def forget(self) -> None:
            self.previous = None

        def __call__(self, x: Tensor, t: Tensor) -> Tensor:
            if float(t[0]) == 0.0:
                self.begun.append(self.previous is None)
            self.previous = x
            return MixtureField()(x, t)

    field = Told()
    Recorder()(field, torch.randn(3, 2, 4), grids.Uniform()(6))
    assert field.begun == [True, True]


def size(x: Tensor) -> Tensor:
    return x.square().mean((1, 2)).sqrt()


def test_costs_are_those_of_the_steps_they_stand_for() -> None:
    recorder, grid = Recorder(), grids.Uniform()(6)
    x0 = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    x1 = recorder(MixtureField(), x0, grid)
    torch.testing.assert_close(x1, Euler()(MixtureField(), x0, grid))
    middle = Euler()(MixtureField(), x0, grid[:3])
    far = middle + (grid[5] - grid[2]) * MixtureField()(middle, torch.full((3,), float(grid[2])))
    aside = x0 + 0.01 * x0.flip(-1)
    apart = [Euler()(MixtureField(), aside, g) - Euler()(MixtureField(), x0, g) for g in (grid[:6], grid)]
    grown = size(apart[1]) / size(apart[0])
    off = grown * size(far - Euler()(MixtureField(), x0, grid[:6])) / size(x1)
    assert float(recorder.cost[2, 5]) == pytest.approx(float(off.mean()), rel=1e-3)
    assert float(recorder.cost[3, 4]) == pytest.approx(0.0, abs=1e-6), "fine steps are the measure themselves"


def test_it_steps_where_the_way_bends() -> None:
    """x' = -a(t) x with a a bump at 0.7: nearly all that happens, happens there, and that is where the times go."""

    def bending(x: Tensor, t: Tensor) -> Tensor:
        return -20 * torch.exp(-(((t - 0.7) / 0.05) ** 2)).view(-1, 1, 1).to(x) * x

    x0 = torch.randn(4, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    recorder = Recorder()
    recorder(bending, x0, grids.Uniform()(64))
    true = Euler()(bending, x0, grids.Uniform()(2000))
    for steps in (6, 10):
        times = learned_times(recorder.cost, recorder.times, steps)  # type: ignore[arg-type]
        assert sum(0.55 < t < 0.85 for t in times) >= steps - 3
        learned, even = (
            float((Euler()(bending, x0, grid) - true).square().mean())
            for grid in (torch.tensor(times, dtype=torch.float64), grids.Uniform()(steps))
        )
        assert learned < 0.3 * even
