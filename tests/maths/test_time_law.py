"""What a law draws is distributed as its quantile function says."""

from __future__ import annotations

import pytest
import torch

from fm_audio.flow.time_law import Density, LogitNormal, TimeLaw, Undecided, Uniform
from fm_audio.types import FmAudioError

LAWS: list[tuple[type, dict]] = [
    (Uniform, {}),
    (LogitNormal, {"mean": -0.4, "std": 1.3}),
    (Undecided, {"tokens": 40, "channels": 64}),
    (Density, {"shares": [1.0, 0.0, 3.0], "edges": [0.0, 0.2, 0.5, 1.0]}),
]


def _ks_distance(law: TimeLaw, t: torch.Tensor) -> float:
    """Largest gap between the drawn times, sorted, and the law's quantiles, measured in probability by a fine table."""
    u = torch.linspace(0, 1, 20001, dtype=torch.float64)
    drawn = torch.searchsorted(t.double().sort().values, law.quantile(u), right=True) / len(t)
    return float((drawn - u)[1:-1].abs().max())


@pytest.mark.parametrize("kind,given", LAWS)
@pytest.mark.parametrize("stratified", [True, False])
def test_samples_follow_the_quantiles(kind: type, given: dict, stratified: bool) -> None:
    law = kind(**given, stratified=stratified)
    t = law.sample(4000, torch.Generator().manual_seed(1))
    assert t.dtype == torch.float32 and t.shape == (4000,) and t.min() >= 0 and t.max() <= 1
    assert _ks_distance(law, t) < (0.002 if stratified else 1.63 / 4000**0.5)  # the second: 1 % level of Kolmogorov-Smirnov


@pytest.mark.parametrize("kind,given", LAWS)
def test_stratified_times_fill_every_stratum_in_no_order(kind: type, given: dict) -> None:
    law = kind(**given)
    t = law.sample(16, torch.Generator().manual_seed(3)).double()
    edges = law.quantile(torch.linspace(0, 1, 17, dtype=torch.float64))
    ordered = t.sort().values
    assert (ordered >= edges[:-1] - 1e-6).all() and (ordered <= edges[1:] + 1e-6).all()
    assert not torch.equal(t, ordered)


def test_the_same_generator_gives_the_same_times() -> None:
    a, b = (Uniform().sample(9, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(a, b)


def test_logit_normal_moments() -> None:
    u = (torch.arange(10000, dtype=torch.float64) + 0.5) / 10000
    z = torch.logit(LogitNormal(0.7, 1.2).quantile(u))
    assert abs(float(z.mean()) - 0.7) < 1e-3 and abs(float(z.std()) - 1.2) < 5e-3


def test_a_density_puts_its_shares_into_its_cells() -> None:
    t = Density([1.0, 0.0, 3.0], [0.0, 0.2, 0.5, 1.0]).sample(4000)
    assert abs(float((t < 0.2).float().mean()) - 0.25) < 1e-3
    assert not ((t > 0.2001) & (t < 0.4999)).any()


def test_a_density_reaches_its_last_cell_that_has_any() -> None:
    ends = Density([0.0, 1.0, 0.0, 0.0]).quantile(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    torch.testing.assert_close(ends, torch.tensor([0.25, 0.375, 0.5], dtype=torch.float64))


@pytest.mark.parametrize(
    "shares,edges", [([], None), ([0.0], None), ([-1.0, 2.0], None), ([1.0], [0.0, 0.5]), ([1.0, 1.0], [0.0, 0.0, 1.0])]
)
def test_what_is_no_density_is_refused(shares: list[float], edges: list[float] | None) -> None:
    with pytest.raises(FmAudioError, match="Density"):
        Density(shares, edges)


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(FmAudioError, match="std > 0"):
        LogitNormal(0.0, 0.0)
