"""The head: its loss is the formula, its samples are the flow, and no item knows who it travels with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import LinearPath, Path, VariancePreservingPath
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import SOLVERS, Sampling
from fm_audio.flow.time_law import Density
from fm_audio.types import Cond, FmAudioError
from tests.maths.toys import BANDS, GaussianField, toy_batch, toy_head

LENGTHS, SEEDS = [5, 9, 3], [11, 12, 13]
GUIDED = {"guidance": 2.0, "guidance_rescale": 0.5}
PARTLY = {**GUIDED, "guidance_interval": (0.0, 0.6)}
ADAPTIVE = [solver for solver in SOLVERS if Sampling(solver=solver).adaptive]
HOW = [(solver, how) for solver in SOLVERS for how in ({}, GUIDED, PARTLY) if not (solver in ADAPTIVE and how is PARTLY)]


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("solver,guided", HOW)
@pytest.mark.parametrize("p,prediction", [(1, "velocity"), (2, "data")])
def test_alone_padded_and_reordered_samples_are_the_same(solver: str, guided: dict, p: int, prediction: str) -> None:
    head = toy_head(p, prediction)
    sampling = Sampling(steps=4, solver=solver, grid="sway", **guided)
    x1 = head.sample(*toy_batch(LENGTHS, 13), sampling, SEEDS)
    turned = head.sample(*toy_batch(LENGTHS[::-1]), sampling, SEEDS[::-1])
    for i, (n, seed) in enumerate(zip(LENGTHS, SEEDS, strict=True)):
        alone = head.sample(*toy_batch([n]), sampling, [seed])[0]
        assert not x1[i, n:].any()
        assert _gap(x1[i, :n], alone) <= 1e-5
        assert _gap(turned[2 - i, :n], alone) <= 1e-5


class ExactBackbone(nn.Module):
    """With a port that lets x through, the exact velocity or data of a Gaussian."""

    width = BANDS

    def __init__(self, exact: GaussianField, prediction: str) -> None:
        super().__init__()
        self.predict = exact if prediction == "velocity" else exact.data

    def forward(self, h: Tensor, t: Tensor, mask: Tensor, cond: Cond) -> Tensor:
        return self.predict(h, t)


def _exact_head(prediction: str, path: Path, time_law: Density | None = None) -> FlowHead:
    port = MelPort(BANDS, BANDS, prediction=prediction)
    for layer in (port.into, port.out):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    return FlowHead(ExactBackbone(GaussianField(path), prediction), {"mel": port}, path=path, time_law=time_law)


PATHS = [LinearPath(), LinearPath(0.02), VariancePreservingPath()]


@pytest.mark.parametrize("path", PATHS)
def test_exact_data_and_exact_velocity_have_one_loss(path: Path) -> None:
    law = Density([1.0, 0.0], [0.0, 0.95, 1.0])
    x1, mask = 1.5 + 0.4 * torch.randn(6, 20, BANDS), torch.ones(6, 20, dtype=torch.bool)
    heads = [_exact_head(kind, path, law) for kind in ("velocity", "data")]
    a, b = (head.loss(x1, mask, Cond(), generator=torch.Generator().manual_seed(2)) for head in heads)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", ["euler", "midpoint", "ab2"])
def test_exact_data_and_exact_velocity_lead_to_one_sample(path: Path, solver: str) -> None:
    mask, sampling = torch.ones(2, 20, dtype=torch.bool), Sampling(steps=8, solver=solver)
    a, b = (_exact_head(kind, path).sample(mask, Cond(), sampling, [1, 2]) for kind in ("velocity", "data"))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ["heun", "rk4", "dopri5"])
def test_exact_data_serve_solvers_that_look_at_the_very_end(solver: str) -> None:
    """Sampling holds t at 0.95 for them, so both agree up to how much the field turns after that."""
    mask, sampling = torch.ones(2, 20, dtype=torch.bool), Sampling(steps=16, solver=solver)
    a, b = (_exact_head(kind, LinearPath()).sample(mask, Cond(), sampling, [1, 2]) for kind in ("velocity", "data"))
    torch.testing.assert_close(a, b, rtol=0.0, atol=0.03)


@pytest.mark.parametrize("solver", [s for s in SOLVERS if s not in ("euler", "ddim")])  # of first order
def test_an_exact_head_samples_the_data(solver: str) -> None:
    mask, tolerance = torch.ones(4, 500, dtype=torch.bool), 1e-3 if solver in ADAPTIVE else None
    sampling = Sampling(steps=32, solver=solver, tolerance=tolerance)
    x1 = _exact_head("velocity", LinearPath()).sample(mask, Cond(), sampling, [1, 2, 3, 4])
    assert float(x1.mean()) == pytest.approx(1.5, abs=0.02) and float(x1.std()) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("since", [0.0, 0.3, 0.8])
def test_a_way_that_begins_with_data_ends_where_the_exact_flow_does(since: float) -> None:
    """Of a Gaussian the flow keeps how many standard deviations a point is off: (x_t − m_t) / s_t is the same all the way."""
    head, mask = _exact_head("velocity", LinearPath()), torch.ones(2, 20, dtype=torch.bool)
    begin, sampling = torch.randn(2, 20, BANDS), Sampling(steps=32, solver="rk4")
    x_t = since * begin + (1 - since) * head.start(mask, sampling, [1, 2])
    spread = ((0.4 * since) ** 2 + (1 - since) ** 2) ** 0.5
    wanted = 1.5 + 0.4 * (x_t - 1.5 * since) / spread
    torch.testing.assert_close(
        head.sample(mask, Cond(), sampling, [1, 2], begin=begin, since=since), wanted, rtol=1e-4, atol=1e-4
    )


def test_no_model_beats_the_exact_one() -> None:
    """The loss of the exact field is the variance that no field can explain; the null model's is larger."""
    x1, mask = 1.5 + 0.4 * torch.randn(64, 30, BANDS), torch.ones(64, 30, dtype=torch.bool)
    exact = _exact_head("velocity", LinearPath())
    losses = []
    for scale in (0.9, 1.0, 1.1):
        nn.init.eye_(exact.ports["mel"].out.weight)
        exact.ports["mel"].out.weight.data *= scale
        losses.append(exact.loss(x1, mask, Cond(), generator=torch.Generator().manual_seed(0)).item())
    assert losses[1] < losses[0] and losses[1] < losses[2]


@pytest.mark.parametrize("prediction", ["velocity", "data"])
@pytest.mark.parametrize("p", [1, 2])
def test_nothing_in_padded_frames_reaches_loss_or_gradients(p: int, prediction: str) -> None:
    head = toy_head(p, prediction, condition_drop=0.3)
    mask, cond = toy_batch(LENGTHS)
    x1 = torch.randn(3, 9, BANDS).masked_fill(~mask[..., None], 0.0)
    results = []
    for dirt in (0.0, float("nan")):
        dirty = Cond(cond.frames.masked_fill(~mask[..., None], dirt), cond.tokens, cond.tokens_mask, cond.vector)  # type: ignore[union-attr]
        head.zero_grad()
        dirty_x1, mean = (x.masked_fill(~mask[..., None], dirt) for x in (x1, torch.zeros_like(x1)))
        loss = head.loss(dirty_x1, mask, dirty, generator=torch.Generator().manual_seed(4), x0_mean=mean)
        loss.backward()
        results.append([loss.detach()] + [q.grad.clone() for q in head.parameters() if q.grad is not None])
    assert all(r.isfinite().all() for r in results[1])
    for clean, dirty_result in zip(*results, strict=True):
        assert torch.equal(clean, dirty_result)


def test_the_loss_is_the_formula() -> None:
    head = toy_head()
    mask, cond = toy_batch([6, 6])
    x1 = torch.randn(2, 6, BANDS)
    loss = head.loss(x1, mask, cond, generator=torch.Generator().manual_seed(7))
    g = torch.Generator().manual_seed(7)
    t, x0 = head.time_law.sample(2, g), torch.randn(2, 6, BANDS, generator=g)
    x_t = (1 - t.view(-1, 1, 1)) * x0 + t.view(-1, 1, 1) * x1
    torch.testing.assert_close(loss, (head.velocity(x_t, t, mask, cond) - (x1 - x0)).square().mean())


def test_temperature_nought_starts_from_the_mean_whatever_the_seed() -> None:
    head, (mask, cond) = toy_head(), toy_batch(LENGTHS)
    cold = Sampling(steps=3, temperature=0.0)
    a, b = head.sample(mask, cond, cold, [1, 2, 3]), head.sample(mask, cond, cold, [4, 5, 6])
    assert torch.equal(a, b)
    mean = torch.full((3, 9, BANDS), 0.7)
    moved = head.sample(mask, cond, cold, [1, 2, 3], x0_mean=mean)
    assert not torch.allclose(moved, a) and not moved[~mask].any()


def test_x0_mean_moves_training_noise_too() -> None:
    """A head trained with x0_mean and one whose data are moved the other way see the same difference x1 - x0."""
    mask, x1 = torch.ones(3, 5, dtype=torch.bool), torch.randn(3, 5, BANDS)
    zero = FlowHead(ExactBackbone(GaussianField(), "velocity"), {"mel": MelPort(BANDS, BANDS)})
    a = zero.loss(x1, mask, Cond(), generator=torch.Generator().manual_seed(1), x0_mean=torch.full_like(x1, 2.0))
    b = zero.loss(x1 - 2.0, mask, Cond(), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("given", [{}, {"guidance": 3.0}, {"guidance": 3.0, "guidance_interval": (0.3, 0.6)}])
@pytest.mark.parametrize("solver", [s for s in SOLVERS if s not in ADAPTIVE])
def test_forwards_promised_are_forwards_made(solver: str, given: dict) -> None:
    head, (mask, cond) = toy_head(), toy_batch(LENGTHS)
    sampling = Sampling(steps=5, solver=solver, **given)
    head.sample(mask, cond, sampling, SEEDS)
    rows = sum(head.backbone.batches)
    assert head.forwards(sampling) == rows // len(LENGTHS)
    assert all(head.forwards(Sampling(solver=adaptive)) is None for adaptive in ADAPTIVE)


def test_path_and_loss_stay_in_float32_under_autocast() -> None:
    head, (mask, cond) = toy_head(), toy_batch(LENGTHS)
    seen = []
    head.backbone.register_forward_hook(lambda module, args, out: seen.append((args[0].dtype, args[1].dtype, out.dtype)))
    x1 = torch.randn(3, 9, BANDS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head.loss(x1, mask, cond, generator=torch.Generator().manual_seed(0))
        sample = head.sample(mask, cond, Sampling(steps=2), SEEDS)
    assert seen[0] == (torch.bfloat16, torch.float32, torch.bfloat16)
    assert loss.dtype == sample.dtype == torch.float32
    exact = head.loss(x1, mask, cond, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0.0)


def test_a_head_learns_a_gaussian_in_a_plain_loop() -> None:
    head = toy_head()
    nn.init.zeros_(head.ports["mel"].out.weight)
    optimiser, g = torch.optim.Adam(head.parameters(), 1e-2), torch.Generator().manual_seed(0)
    mask, cond = toy_batch([12] * 16)
    null = cond.null()
    losses = []
    for _ in range(150):
        loss = head.loss(2.0 + 0.3 * torch.randn(16, 12, BANDS, generator=g), mask, null, generator=g)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    x1 = head.sample(mask, null, Sampling(steps=8, solver="midpoint"), list(range(16)))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert float(x1.mean()) == pytest.approx(2.0, abs=0.2) and float(x1.std()) < 0.7


def test_a_certain_drop_is_refused() -> None:
    with pytest.raises(FmAudioError, match="condition_drop is 1.0"):
        toy_head(condition_drop=1.0)
