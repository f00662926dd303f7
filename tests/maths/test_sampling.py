"""What a request may ask of sampling, and what it is told when it asks for something else."""

from __future__ import annotations

import pytest

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
