"""A path's velocity is its derivative, its ends are noise and data, and its conversions undo each other."""

from __future__ import annotations

import pytest
import torch

from fm_audio.flow import path as paths
from fm_audio.types import FmAudioError
from tests.maths.toys import GaussianField

PATHS = [paths.LinearPath(), paths.LinearPath(sigma_min=0.1), paths.VariancePreservingPath()]
T = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)


def _ends() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(7, 3, 2, dtype=torch.float64), torch.randn(7, 3, 2, dtype=torch.float64)


@pytest.mark.parametrize("path", PATHS)
def test_velocity_is_the_derivative_of_the_point(path: paths.Path) -> None:
    x0, x1 = _ends()
    e = 1e-5
    slope = (paths.point(path, x0, x1, T + e) - paths.point(path, x0, x1, T - e)) / (2 * e)
    torch.testing.assert_close(paths.velocity(path, x0, x1, T), slope, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("path", PATHS)
def test_begins_at_noise_and_ends_at_data(path: paths.Path) -> None:
    x0, x1 = _ends()
    left = getattr(path, "sigma_min", 0.0)
    torch.testing.assert_close(paths.point(path, x0, x1, torch.zeros_like(T)), x0)
    torch.testing.assert_close(paths.point(path, x0, x1, torch.ones_like(T)), x1 + left * x0)


def test_the_linear_velocity_is_data_less_noise() -> None:
    x0, x1 = _ends()
    torch.testing.assert_close(paths.velocity(paths.LinearPath(), x0, x1, T), x1 - x0)
    torch.testing.assert_close(paths.velocity(paths.LinearPath(0.2), x0, x1, T), x1 - 0.8 * x0)


def test_the_variance_preserving_path_keeps_variance() -> None:
    c = paths.VariancePreservingPath().coefficients(T)
    torch.testing.assert_close(c.alpha**2 + c.sigma**2, torch.ones_like(T))


@pytest.mark.parametrize("path", PATHS)
def test_predictions_convert_into_each_other(path: paths.Path) -> None:
    x0, x1 = _ends()
    x_t, v = paths.point(path, x0, x1, T), paths.velocity(path, x0, x1, T)
    torch.testing.assert_close(paths.data_from_velocity(path, v, x_t, T), x1)
    torch.testing.assert_close(paths.noise_from_velocity(path, v, x_t, T), x0)
    torch.testing.assert_close(paths.velocity_from_data(path, x1, x_t, T), v)
    torch.testing.assert_close(paths.velocity_from_noise(path, x0, x_t, T), v)


@pytest.mark.parametrize("path", PATHS)
def test_data_and_noise_are_found_at_both_very_ends(path: paths.Path) -> None:
    x0, x1 = _ends()
    for t in (torch.zeros_like(T), torch.ones_like(T)):
        x_t, v = paths.point(path, x0, x1, t), paths.velocity(path, x0, x1, t)
        torch.testing.assert_close(paths.data_from_velocity(path, v, x_t, t), x1)
        torch.testing.assert_close(paths.noise_from_velocity(path, v, x_t, t), x0)


@pytest.mark.parametrize("path", PATHS)
def test_score_is_the_gradient_of_log_density(path: paths.Path) -> None:
    exact = GaussianField(path)
    x = torch.randn(7, 4, dtype=torch.float64)
    torch.testing.assert_close(paths.score_from_velocity(path, exact(x, T), x, T), exact.score(x, T))


def test_sigma_min_outside_of_its_range_is_refused() -> None:
    with pytest.raises(FmAudioError, match="sigma_min is 1.0"):
        paths.LinearPath(1.0)
