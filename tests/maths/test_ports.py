"""A port takes frames in and gives frames back, whatever lies in the padding."""

from __future__ import annotations

import pytest
import torch

from fm_audio.flow.path import (
    LinearPath,
    Path,
    VariancePreservingPath,
    angular,
    data_from_velocity,
    noise_from_velocity,
    point,
    velocity,
    velocity_from_angular,
    velocity_from_noise,
)
from fm_audio.flow.ports import FURTHEST, MelPort
from fm_audio.types import FmAudioError, length_mask

PATHS = [LinearPath(), LinearPath(0.1), VariancePreservingPath()]


def _port(p: int = 1, prediction: str = "velocity") -> MelPort:
    port = MelPort(5, 16, 3, p, prediction)
    torch.nn.init.normal_(port.out.weight)
    return port


def test_begins_by_predicting_nothing() -> None:
    port = MelPort(5, 16)
    assert not port.read(torch.randn(2, 7, 16), torch.randn(2, 7, 5), torch.rand(2), LinearPath()).any()


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("n", [6, 7])
def test_shapes_and_token_mask(p: int, n: int) -> None:
    mask = length_mask(torch.tensor([4, n]), n)
    h, token_mask = _port(p).embed(torch.randn(2, n, 5), torch.randn(2, n, 3), mask)
    assert h.shape == (2, -(-n // p), 16)
    assert token_mask.sum(1).tolist() == [-(-4 // p), -(-n // p)]
    assert _port(p).read(h, torch.randn(2, n, 5), torch.rand(2), LinearPath()).shape == (2, n, 5)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_padding_never_enters(p: int) -> None:
    port, mask = _port(p), length_mask(torch.tensor([4]), 9)
    x, frames = torch.randn(1, 9, 5), torch.randn(1, 9, 3)
    alone, alone_mask = port.embed(x[:, :4], frames[:, :4], mask[:, :4])
    x[:, 4:], frames[:, 4:] = float("nan"), float("inf")
    padded, token_mask = port.embed(x, frames, mask)
    torch.testing.assert_close(padded[token_mask], alone[alone_mask])


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("prediction", ["velocity", "data"])
def test_the_loss_of_a_padded_batch_is_the_mean_of_its_rows(p: int, prediction: str) -> None:
    port, lengths = _port(p, prediction), [4, 7]
    mask = length_mask(torch.tensor(lengths))
    h, x0, x1, t = torch.randn(2, -(-7 // p), 16), torch.randn(2, 7, 5), torch.randn(2, 7, 5), torch.tensor([0.3, 0.99])
    rows = []
    for i, n in enumerate(lengths):
        tokens, row = (slice(i, i + 1), slice(-(-n // p))), (slice(i, i + 1), slice(n))
        rows.append(port.loss(h[tokens], x0[row], x1[row], t[i : i + 1], LinearPath(), mask[row]))
    torch.testing.assert_close(port.loss(h, x0, x1, t, LinearPath(), mask), torch.stack(rows).mean())


@pytest.mark.parametrize("path", PATHS)
def test_a_data_prediction_reads_as_the_velocity_that_leads_there(path: Path) -> None:
    port, h, x, t = _port(1, "data"), torch.randn(3, 4, 16), torch.randn(3, 4, 5), torch.tensor([0.0, 0.5, 0.94])
    v = port.read(h, x, t, path)
    torch.testing.assert_close(data_from_velocity(path, v, x, t), port.out(h), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_the_data_loss_is_the_velocity_loss(path: Path) -> None:
    """Below t_last, squared error of x1 with its weight equals squared error of the velocity that it reads as."""
    port, t = _port(1, "data"), torch.tensor([0.1, 0.5, 0.94])
    h, x0, x1, mask = torch.randn(3, 4, 16), torch.randn(3, 4, 5), torch.randn(3, 4, 5), torch.ones(3, 4, dtype=torch.bool)
    v = port.read(h, point(path, x0, x1, t), t, path)
    expected = (v - velocity(path, x0, x1, t)).square().mean()
    torch.testing.assert_close(port.loss(h, x0, x1, t, path, mask), expected, rtol=1e-3, atol=1e-3)


def test_the_data_loss_stays_bounded_at_the_end() -> None:
    port, mask = _port(1, "data"), torch.ones(1, 4, dtype=torch.bool)
    h, x0, x1 = torch.randn(1, 4, 16), torch.randn(1, 4, 5), torch.randn(1, 4, 5)
    late, last = (port.loss(h, x0, x1, torch.tensor([t]), LinearPath(), mask) for t in (0.95, 1.0))
    torch.testing.assert_close(late, last)


@pytest.mark.parametrize("path", PATHS)
def test_a_noise_prediction_reads_as_the_velocity_that_comes_from_there(path: Path) -> None:
    port, h, t = _port(1, "noise"), torch.randn(3, 4, 16), torch.tensor([0.05, 0.5, 1.0])
    found, data, mask = port.out(h), torch.randn(3, 4, 5).clamp(-FURTHEST, FURTHEST), torch.ones(3, 4, dtype=torch.bool)
    x = point(path, found, data, t)
    v = port.read(h, x, t, path)
    torch.testing.assert_close(v, velocity(path, found, data, t), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(noise_from_velocity(path, v, x, t), found, rtol=1e-3, atol=1e-3)
    x0 = torch.randn(3, 4, 5)
    torch.testing.assert_close(port.loss(h, x0, x, t, path, mask), (found - x0).square().mean())


@pytest.mark.parametrize("path", PATHS)
def test_predicted_noise_means_no_data_that_cannot_be(path: Path) -> None:
    """Where there is hardly anything but noise, an error of it is divided by next to nothing."""
    port, h, t = _port(1, "noise"), torch.randn(3, 4, 16), torch.full((3,), 0.02)
    found, error = port.out(h), 0.5 * torch.randn(3, 4, 5)
    x = found + error
    meant = data_from_velocity(path, velocity_from_noise(path, found, x, t), x, t)
    assert meant.abs().max() > 5 * FURTHEST
    for at in (t, 0 * t):
        data = data_from_velocity(path, port.read(h, x, at, path), x, at)
        assert 0.9 * FURTHEST < data.abs().max() < FURTHEST + 1.01 * error.abs().max()


@pytest.mark.parametrize("path", PATHS)
def test_an_angular_prediction_is_what_x_t_does_not_tell(path: Path) -> None:
    """It reads as the velocity, and of noise and data of one variance it is uncorrelated with x_t."""
    port, h, x, t = _port(1, "angular"), torch.randn(3, 4, 16), torch.randn(3, 4, 5), torch.tensor([0.0, 0.5, 1.0])
    x0, mask = torch.randn(3, 4, 5), torch.ones(3, 4, dtype=torch.bool)
    torch.testing.assert_close(port.loss(h, x0, x, t, path, mask), (port.out(h) - angular(path, x0, x, t)).square().mean())
    told = velocity_from_angular(path, angular(path, x0, x, t), point(path, x0, x, t), t)
    torch.testing.assert_close(told, velocity(path, x0, x, t), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(port.read(h, x, t, path), velocity_from_angular(path, port.out(h), x, t))
    noise, data, at = *torch.randn(2, 1, 200_000), torch.tensor([0.3])
    both = torch.stack([angular(path, noise, data, at)[0], point(path, noise, data, at)[0]])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.01
    if isinstance(path, VariancePreservingPath):
        torch.testing.assert_close(velocity(path, x0, x, t), torch.pi / 2 * angular(path, x0, x, t))


@pytest.mark.parametrize("given", [{"prediction": "score"}, {"frames_per_token": 0}])
def test_what_a_port_cannot_be_is_refused(given: dict) -> None:
    with pytest.raises(FmAudioError, match="MelPort"):
        MelPort(5, 16, **given)
