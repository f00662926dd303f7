"""A solver's error falls with its order, and the exact field carries noise to the data's own distribution."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fm_audio.flow import grid as grids
from fm_audio.flow import solver as solvers
from fm_audio.flow.dopri5 import Dopri5
from fm_audio.flow.embedded import BogackiShampine, HeunEuler
from fm_audio.flow.path import LinearPath, Path, VariancePreservingPath, point, velocity
from tests.maths.toys import GaussianField, MixtureField

FIXED = [(solvers.Euler(), 1), (solvers.Midpoint(), 2), (solvers.Heun(), 2), (solvers.AdamsBashforth2(), 2), (solvers.RK4(), 4)]
ALL = [solver for solver, _ in FIXED] + [Dopri5(rtol=1e-6, atol=1e-7), BogackiShampine(1e-4), HeunEuler(1e-4)]


def _wide(t: Tensor, x: Tensor) -> Tensor:
    return t.to(x.dtype).view(-1, 1)


def _logistic(x: Tensor, t: Tensor) -> Tensor:
    return 3 * x * (1 - x)


def _logistic_at_1(x0: Tensor) -> Tensor:
    return x0 * math.e**3 / (1 - x0 + x0 * math.e**3)


def _moving(x: Tensor, t: Tensor) -> Tensor:
    """x' = -2 t x^2, so x(1) = x0 / (1 + x0)."""
    return -2 * _wide(t, x) * x**2


ODES = [(_logistic, _logistic_at_1), (_moving, lambda x0: x0 / (1 + x0))]
X0 = torch.tensor([[0.2], [0.5], [0.9]], dtype=torch.float64)


class Counted:
    def __init__(self, field: solvers.Field) -> None:
        self.field, self.calls = field, 0

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        assert t.shape == (x.shape[0],)
        return self.field(x, t)


def _error(solver: solvers.Solver, ode: tuple, grid: Tensor) -> float:
    field, solution = ode
    return float((solver(field, X0, grid) - solution(X0)).abs().max())


@pytest.mark.parametrize("ode", ODES)
@pytest.mark.parametrize("solver,order", FIXED)
def test_error_falls_with_the_order(solver: solvers.Solver, order: int, ode: tuple) -> None:
    n = 8 if order == 4 else 64
    coarse, fine = (_error(solver, ode, grids.Uniform()(steps)) for steps in (n, 2 * n))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35)


@pytest.mark.parametrize("grid", [grids.Sway(), grids.Shifted(), grids.Cosine()])
def test_adams_bashforth_keeps_its_order_on_uneven_steps(grid: grids.Grid) -> None:
    for ode in ODES:
        coarse, fine = (_error(solvers.AdamsBashforth2(), ode, grid(steps)) for steps in (64, 128))
        assert math.log2(coarse / fine) > 1.7


def test_adams_bashforth_is_exact_where_the_slope_is_a_line_in_t() -> None:
    """After an Euler step that is exact because the slope begins level, x' = t - t_1 on [t_1, 1] must come out whole."""
    grid = torch.tensor([0.0, 0.25, 0.3, 0.7, 1.0], dtype=torch.float64)
    x1 = solvers.AdamsBashforth2()(lambda x, t: _wide(t, x).expand_as(x), X0, grid)
    after_euler = X0  # t = 0 has slope 0
    torch.testing.assert_close(x1, after_euler + (1.0 - 0.25**2) / 2, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("solver,_", FIXED)
def test_forwards_are_counted_right(solver: solvers.Solver, _: int) -> None:
    field = Counted(_logistic)
    solver(field, X0, grids.Uniform()(5))
    assert solver.forwards_per_step is not None and field.calls == 5 * solver.forwards_per_step


@pytest.mark.parametrize("path", [LinearPath(), LinearPath(0.05), VariancePreservingPath()])
@pytest.mark.parametrize("solver", ALL)
def test_gaussian_noise_becomes_gaussian_data(solver: solvers.Solver, path: Path) -> None:
    exact = GaussianField(path, mean=1.5, std=0.4)
    x0 = torch.special.ndtri((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000).view(40, 100)
    x1 = solver(exact, x0, grids.Uniform()(64))
    std = math.hypot(0.4, getattr(path, "sigma_min", 0.0))
    coarse = isinstance(solver, solvers.Euler)
    assert float(x1.mean()) == pytest.approx(1.5, abs=0.02 if coarse else 1e-3)
    assert float(x1.std()) == pytest.approx(std, rel=0.1 if coarse else 0.005)
    if not coarse:
        torch.testing.assert_close(x1, 1.5 + std * x0, rtol=0.0, atol=0.01)


@pytest.mark.parametrize("solver", ALL[1:])
def test_second_order_beats_euler_on_a_mixture(solver: solvers.Solver) -> None:
    x0 = torch.special.ndtri((torch.arange(400, dtype=torch.float64) + 0.5) / 400).view(4, 100)
    true = solvers.RK4()(MixtureField(), x0, grids.Uniform()(400))

    def rms(s: solvers.Solver, steps: int) -> float:
        return float((s(MixtureField(), x0, grids.Uniform()(steps)) - true).square().mean().sqrt())

    assert rms(solver, 8) < 0.75 * rms(solvers.Euler(), 8)


PATHS = [LinearPath(), LinearPath(0.05), VariancePreservingPath()]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", [solvers.DDIM, solvers.DPMSolverPP2M])
def test_diffusion_solvers_are_exact_where_the_data_are_one_point(kind: type, path: Path) -> None:
    """However few the steps: data and noise do not change on the way, and the path is followed, not its tangent."""
    x0, x1 = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)

    def field(x: Tensor, t: Tensor) -> Tensor:
        return velocity(path, x0, x1, t)

    end = point(path, x0, x1, torch.ones(3))
    for grid in (grids.Uniform()(1), grids.Shifted()(3)):
        torch.testing.assert_close(kind().along(path)(field, x0, grid), end, rtol=1e-5, atol=1e-5)
    off = float((solvers.Euler()(field, x0, grids.Uniform()(1)) - end).abs().max())
    assert off > 0.1 or isinstance(path, LinearPath)


def test_ddim_is_euler_on_a_straight_path() -> None:
    x0, grid = torch.randn(4, 3, dtype=torch.float64), grids.Cosine()(5)
    torch.testing.assert_close(solvers.DDIM()(MixtureField(), x0, grid), solvers.Euler()(MixtureField(), x0, grid))


@pytest.mark.parametrize("path", [LinearPath(0.05), VariancePreservingPath()])
def test_dpm_solver_is_of_second_order_and_ddim_of_first(path: Path) -> None:
    """Between 0.1 and 0.9, where log(alpha / sigma) is finite and no step is DDIM's but the first."""
    exact = GaussianField(path)
    noise = torch.special.ndtri((torch.arange(400, dtype=torch.float64) + 0.5) / 400).view(4, 100)

    def on_the_way(t: float) -> Tensor:
        c = path.coefficients(torch.tensor([t], dtype=torch.float64))
        return c.alpha * exact.mean + torch.hypot(c.alpha * exact.std, c.sigma) * noise

    def error(kind: type, steps: int) -> float:
        grid = 0.1 + 0.8 * grids.Uniform()(steps)
        return float((kind().along(path)(exact, on_the_way(0.1), grid) - on_the_way(0.9)).abs().max())

    assert math.log2(error(solvers.DDIM, 32) / error(solvers.DDIM, 64)) == pytest.approx(1, abs=0.3)
    assert math.log2(error(solvers.DPMSolverPP2M, 32) / error(solvers.DPMSolverPP2M, 64)) == pytest.approx(2, abs=0.4)
    assert error(solvers.DPMSolverPP2M, 8) < 0.5 * error(solvers.DDIM, 8)


@pytest.mark.parametrize("ode", ODES)
def test_dopri5_is_as_exact_as_asked(ode: tuple) -> None:
    loose, tight = (_error(Dopri5(rtol=tol, atol=tol), ode, grids.Uniform()(4)) for tol in (1e-3, 1e-6))
    assert loose < 1e-2 and tight < 1e-5


def test_dopri5_agrees_with_torchdiffeq() -> None:
    torchdiffeq = pytest.importorskip("torchdiffeq")
    theirs = torchdiffeq.odeint(
        lambda t, x: MixtureField()(x, t.expand(x.shape[0])), X0, torch.tensor([0.0, 1.0]), rtol=1e-7, atol=1e-8, method="dopri5"
    )[-1]
    ours = Dopri5(rtol=1e-6, atol=1e-7)(MixtureField(), X0, grids.Uniform()(4))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", ALL)
def test_a_constant_field_is_followed_exactly(solver: solvers.Solver) -> None:
    x1 = solver(lambda x, t: torch.full_like(x, 2.0), X0, grids.Sway()(3))
    torch.testing.assert_close(x1, X0 + 2.0)
