"""Every grid rises from 0 to 1, and is dense where it says."""

from __future__ import annotations

import math

import pytest
import torch

from fm_audio.flow import grid as grids
from fm_audio.flow.time_law import LogitNormal, Undecided
from fm_audio.types import FmAudioError

ANY_STEPS = [grids.Uniform(), grids.Sway(), grids.Sway(0.8), grids.Shifted(), grids.Shifted(0.3), grids.Cosine()]
ANY_STEPS += [grids.Quantile(LogitNormal(-1.0)), grids.Quantile(Undecided(40, 64))]


@pytest.mark.parametrize("grid", ANY_STEPS)
@pytest.mark.parametrize("steps", [1, 2, 7, 64])
def test_rises_from_0_to_1(grid: grids.Grid, steps: int) -> None:
    t = grid(steps)
    assert t.shape == (steps + 1,) and t[0] == 0.0 and t[-1] == 1.0 and (t.diff() > 0).all()


@pytest.mark.parametrize("grid", [grids.Sway(-1.0), grids.Sway(-0.5), grids.Shifted(3.0)])
def test_moves_towards_noise(grid: grids.Grid) -> None:
    assert (grid(8)[1:-1] < grids.Uniform()(8)[1:-1]).all()


@pytest.mark.parametrize("grid", [grids.Sway(1.0), grids.Shifted(0.5)])
def test_moves_towards_data(grid: grids.Grid) -> None:
    assert (grid(8)[1:-1] > grids.Uniform()(8)[1:-1]).all()


def test_off_is_uniform() -> None:
    torch.testing.assert_close(grids.Sway(0.0)(8), grids.Uniform()(8))
    torch.testing.assert_close(grids.Shifted(1.0)(8), grids.Uniform()(8))


def test_a_shift_is_undone_by_its_inverse() -> None:
    t, alpha = grids.Shifted(3.0)(8), 3.0
    torch.testing.assert_close(alpha * t / (1 + (alpha - 1) * t), grids.Uniform()(8))


def test_full_sway_is_one_less_cosine() -> None:
    torch.testing.assert_close(grids.Sway(-1.0)(8), 1 - torch.cos(math.pi / 2 * grids.Uniform()(8)))


def test_cosine_is_the_same_from_both_ends() -> None:
    t = grids.Cosine()(9)
    torch.testing.assert_close(t, 1 - t.flip(0))
    assert t.diff()[0] < t.diff()[4]


@pytest.mark.parametrize("steps", [5, 6, 7, 10, 12, 16])
def test_epss_takes_its_steps_out_of_32(steps: int) -> None:
    t = grids.EPSS(sway=0.0)(steps)
    assert t.shape == (steps + 1,) and t[0] == 0.0 and t[-1] == 1.0 and (t.diff() > 0).all()
    assert torch.equal(t * 32, (t * 32).round())
    assert (t.diff().diff() >= 0).all()  # steps only grow
    swayed = grids.EPSS()(steps)
    torch.testing.assert_close(swayed, 1 - torch.cos(math.pi / 2 * t))


def test_the_published_seven() -> None:
    assert (grids.EPSS(sway=0.0)(7) * 32).tolist() == [0, 2, 4, 6, 8, 16, 24, 32]


def test_epss_has_no_table_for_eight() -> None:
    with pytest.raises(FmAudioError, match="5, 6, 7, 10, 12, 16"):
        grids.EPSS()(8)


def test_custom_gives_back_its_times() -> None:
    assert grids.Custom([0.0, 0.1, 1.0])(2).tolist() == pytest.approx([0.0, 0.1, 1.0])
    with pytest.raises(FmAudioError, match="set steps to 2"):
        grids.Custom([0.0, 0.1, 1.0])(8)


@pytest.mark.parametrize("times", [[], [0.0], [0.0, 0.5], [0.1, 1.0], [0.0, 0.6, 0.4, 1.0], [0.0, float("nan"), 1.0]])
def test_times_that_do_not_rise_from_0_to_1_are_refused(times: list[float]) -> None:
    with pytest.raises(FmAudioError, match="first 0 and last 1"):
        grids.Custom(times)


@pytest.mark.parametrize("coef", [-1.1, 2.0])
def test_a_sway_that_would_fall_is_refused(coef: float) -> None:
    with pytest.raises(FmAudioError, match="sway coefficient"):
        grids.Sway(coef)
