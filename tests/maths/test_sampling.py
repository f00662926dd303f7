"""What a request may ask of sampling, and what it is told when it asks for something else."""

from __future__ import annotations

import pytest

from fm_audio.flow.dopri5 import Dopri5
from fm_audio.flow.grid import Custom
from fm_audio.flow.sampling import GRIDS, SOLVERS, Sampling
from fm_audio.flow.solver import Heun
from fm_audio.types import FmAudioError


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_every_name_makes_its_object(solver: str, grid: str) -> None:
    sampling = Sampling(steps=10, solver=solver, grid=grid)
    assert isinstance(sampling.make_solver(), SOLVERS[solver]) and sampling.times().shape == (11,)


def test_objects_are_taken_as_they_are() -> None:
    heun = Heun()
    sampling = Sampling(steps=2, solver=heun, grid=Custom([0.0, 0.3, 1.0]))
    assert sampling.make_solver() is heun and len(sampling.times()) == 3


@pytest.mark.parametrize(
    "given,message",
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": True}, "whole number"),
        ({"solver": "eulr"}, "Did you mean 'euler'"),
        ({"grid": "swai"}, "Did you mean 'sway'"),
        ({"grid": "zzz"}, "there are uniform, sway"),
        ({"solver": 3}, "solver is 3"),
        ({"solver": Heun}, "an object"),
        ({"guidance": float("nan")}, "guidance is nan"),
        ({"guidance": float("inf")}, "guidance is inf"),
        ({"guidance_interval": (0.6, 0.2)}, "guidance_interval"),
        ({"guidance_interval": (-0.1, 0.2)}, "guidance_interval"),
        ({"solver": "dopri5", "guidance": 2.0, "guidance_interval": (0.0, 0.5)}, "cannot follow a field that jumps"),
        ({"solver": "bosh3", "guidance": 2.0, "guidance_alike": 0.9}, "guidance_alike is 0.9 with the adaptive solver"),
        ({"solver": "bosh3", "rest": 0.1}, "rest is 0.1 with the adaptive solver"),
        ({"solver": "adaptive_heun", "cache": 0.1}, "cache is 0.1 with the adaptive solver"),
        ({"tolerance": 0.1}, "tolerance is 0.1 with the solver 'euler'.*'bosh3'"),
        ({"solver": Heun(), "tolerance": 0.1}, "whose steps are the grid's"),
        ({"solver": "bosh3", "tolerance": 0.0}, "tolerance is 0.0"),
        ({"rest": -0.1}, "rest is -0.1"),
        ({"cache": float("inf")}, "cache is inf"),
        ({"guidance_alike": 1.1}, "guidance_alike is 1.1"),
        ({"guidance_rescale": 1.5}, "guidance_rescale is 1.5"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"steps": 8, "grid": "epss"}, "5, 6, 7, 10, 12, 16"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict, message: str) -> None:
    with pytest.raises(FmAudioError, match=message):
        Sampling(**given)


def test_wishes_change_what_they_name_and_are_checked_like_anything_else() -> None:
    base = Sampling(steps=4, temperature=0.6)
    assert base.changed(steps=None, guidance=2.0, temperature=None) == Sampling(steps=4, temperature=0.6, guidance=2.0)
    assert base.changed(temperature=0.0).temperature == 0.0
    with pytest.raises(FmAudioError, match="steps is 0"):
        base.changed(steps=0)


def test_a_tolerance_goes_to_the_solver_and_with_it() -> None:
    sampling = Sampling(solver="dopri5", tolerance=0.01)
    solver = sampling.make_solver()
    assert isinstance(solver, Dopri5) and (solver.rtol, solver.atol) == (0.01, 0.001)
    assert sampling.changed(solver="euler").tolerance is None and sampling.changed(steps=3).tolerance == 0.01
    assert sampling.changed(solver="bosh3", tolerance=0.2).tolerance == 0.2


def test_it_says_what_depends_on_the_item() -> None:
    assert not Sampling(guidance_alike=0.9).depends_on_item and not Sampling(guidance=2.0).depends_on_item
    for given in ({"solver": "bosh3"}, {"rest": 0.1}, {"cache": 0.1}, {"guidance": 2.0, "guidance_alike": 0.9}):
        assert Sampling(**given).depends_on_item
