"""Tokens as points: evidence is the posterior, projection is exact where nothing is in doubt, a port's flow ends on tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fm_audio.decoders.nearest import NearestToken
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import LinearPath, Path, VariancePreservingPath
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.settling import sample_tokens
from fm_audio.flow.token_port import TokenPort
from fm_audio.tokens import METRICS, TokenTable, decided_at, evidence, project, smoothed
from fm_audio.types import Cond, FmAudioError, length_mask
from tests.maths.toys import TOKENS, VECTOR, PointwiseBackbone


def table(tokens: int = 40, channels: int = 64) -> TokenTable:
    torch.manual_seed(5)
    return TokenTable(tokens, channels)


def no_cond(b: int) -> Cond:
    return Cond(None, torch.zeros(b, 1, TOKENS), torch.ones(b, 1, dtype=torch.bool), torch.zeros(b, VECTOR))


def head(prediction: str = "logits", tokens: int = 6, channels: int = 8, **given: float) -> FlowHead:
    torch.manual_seed(2)
    port = TokenPort(tokens, channels, 16, prediction=prediction, **given)  # type: ignore[arg-type]
    return FlowHead(PointwiseBackbone(), {"text": port})


@pytest.mark.parametrize("path", [LinearPath(), VariancePreservingPath()])
@pytest.mark.parametrize("t", [0.05, 0.4, 0.8])
def test_evidence_is_the_posterior(path: Path, t: float) -> None:
    rows = torch.randn(7, 5, dtype=torch.float64)  # of different lengths
    x, time = torch.randn(2, 3, 5, dtype=torch.float64), torch.full((2,), t, dtype=torch.float64)
    c = path.coefficients(time)
    squares = (x[:, :, None] - c.alpha[0] * rows).square().sum(-1)  # of a Gaussian about each row
    posterior = torch.softmax(-0.5 * squares / c.sigma[0] ** 2, -1)
    torch.testing.assert_close(evidence(x, rows, c.alpha, c.sigma).softmax(-1), posterior, rtol=1e-9, atol=1e-12)


def test_rows_are_of_one_length_whatever_the_weights() -> None:
    t = table()
    with torch.no_grad():
        t.weight.mul_(torch.rand(40, 1) * 100)
    torch.testing.assert_close(t.rows.norm(dim=-1), torch.full((40,), 8.0))


@pytest.mark.parametrize("metric", METRICS)
def test_projection_of_clean_embeddings_is_exact(metric: str) -> None:
    t, ids = table(), torch.arange(40)[None]
    assert project(t(ids), t.rows, metric).equal(ids)
    assert t.project(0.01 * t(ids), "cosine").equal(ids)  # whatever the length


def test_metrics_agree_on_rows_of_one_length_and_not_on_others() -> None:
    t, x = table(), torch.randn(4, 50, 64)
    for at in (0.1, 0.5, 1.0):
        assert project(x, t.rows, "bayes", at).equal(project(x, t.rows, "cosine")) and at
    uneven = t.rows * torch.linspace(0.2, 3, 40)[:, None]
    assert not project(x, uneven, "l2").equal(project(x, uneven, "cosine"))
    assert project(x, uneven, "bayes", 1.0).equal(project(x, uneven, "l2"))


def test_bayes_beats_the_nearest_row_under_noise() -> None:
    rows = table().rows * torch.linspace(0.3, 2, 40)[:, None]
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(40, (8, 500), generator=g)
    x = 0.3 * rows[ids] + 0.7 * torch.randn(8, 500, 64, generator=g)
    right = {metric: float((project(x, rows, metric, 0.3) == ids).float().mean()) for metric in METRICS}
    assert right["bayes"] > right["l2"] + 0.05 and right["bayes"] > right["cosine"] + 0.01, right


@pytest.mark.parametrize("tokens,channels", [(40, 64), (1000, 64), (1000, 256)])
def test_tokens_are_decided_about_t_star(tokens: int, channels: int) -> None:
    rows, star = TokenTable(tokens, channels).rows.detach(), decided_at(tokens, channels)
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(tokens, (1, 2000), generator=g)

    def right(t: float) -> float:
        x = t * rows[ids] + (1 - t) * torch.randn(1, 2000, channels, generator=g)
        return float((project(x, rows, "bayes", t) == ids).float().mean())

    assert right(0.6 * star) < 0.5 and right(star) > 0.5 and right(min(0.95, 1.5 * star)) > 0.95


def test_bad_projections_are_refused() -> None:
    for given in ({"metric": "euclid"}, {"t": 1.5}, {"noise": -1.0}):
        with pytest.raises(FmAudioError, match="give"):
            project(torch.zeros(1, 1, 64), table().rows, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [LinearPath(), VariancePreservingPath()])
def test_a_port_that_learnt_nothing_knows_tokens_without_context(path: Path) -> None:
    """Its evidence is the exact field of tokens that are equally likely and independent: samples are rows, each as often."""
    model = head()
    model.path = path
    mask = torch.ones(8, 500, dtype=torch.bool)
    x = model.sample(mask, no_cond(8), Sampling(steps=40), list(range(8)), "text")
    port = model.ports["text"]
    ids = NearestToken(port.table).decode(x, mask)  # type: ignore[arg-type]
    assert float((x - port.table(ids)).norm(dim=-1).detach().median()) < 0.05 * math.sqrt(8)  # type: ignore[operator]
    shares = torch.bincount(ids.flatten(), minlength=6) / 4000
    assert float((shares - 1 / 6).abs().max()) < 0.03, shares


def test_nothing_is_projected_past_the_end() -> None:
    mask = length_mask(torch.tensor([2, 4]))
    assert NearestToken(table()).decode(torch.randn(2, 4, 64), mask)[0].tolist()[2:] == [-1, -1]


@pytest.mark.parametrize("prediction", ["logits", "velocity"])
def test_padding_neither_matters_nor_is_read(prediction: str) -> None:
    model = head(prediction)
    nn.init.normal_(model.ports["text"].out.weight)  # type: ignore[arg-type]
    port, mask = model.ports["text"], length_mask(torch.tensor([3, 6]))
    x1 = port.table(torch.randint(6, (2, 6))).masked_fill(~mask[..., None], float("nan"))  # type: ignore[operator]
    assert torch.isfinite(model.loss(x1, mask, no_cond(2), "text", torch.Generator().manual_seed(0)))
    sampling = Sampling(steps=3)
    both = model.sample(mask, no_cond(2), sampling, [1, 2], "text")
    alone = model.sample(mask[:1, :3], no_cond(1), sampling, [1], "text")
    torch.testing.assert_close(both[:1, :3], alone, rtol=1e-5, atol=1e-6)


def test_guidance_is_on_logits() -> None:
    model = head()
    nn.init.normal_(model.ports["text"].out.weight)  # type: ignore[arg-type]
    mask, x, t = torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 3, 8), torch.tensor([0.2, 0.6])
    cond = Cond(None, torch.randn(2, 1, TOKENS), torch.ones(2, 1, dtype=torch.bool), torch.randn(2, VECTOR))
    logits, null = (model.predict(x, t, mask, c, "text") for c in (cond, cond.null()))
    expected = model.ports["text"].velocity(null + 2.5 * (logits - null), x, t, model.path)  # type: ignore[operator]
    guided = model.field(mask, cond, Sampling(guidance=2.5), "text")(x, t)
    torch.testing.assert_close(guided, expected)
    pointed_at = x + (1 - t)[:, None, None] * guided
    longest = model.ports["text"].table.rows.norm(dim=-1).max()  # type: ignore[union-attr]
    assert (pointed_at.norm(dim=-1) <= longest * 1.0001).all()  # inside the hull, however strong the guidance is


@pytest.mark.parametrize("prediction", ["logits", "velocity"])
def test_a_head_learns_to_name_what_it_is_told(prediction: str) -> None:
    """One token, said by the vector: after some steps of a plain loop it is generated, from any noise, in few steps."""
    model = head(prediction)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    g = torch.Generator().manual_seed(0)
    told = torch.randn(6, VECTOR, generator=g)
    mask = torch.ones(64, 1, dtype=torch.bool)

    def cond(ids: torch.Tensor) -> Cond:
        b = len(ids)
        return Cond(None, torch.zeros(b, 1, TOKENS), torch.ones(b, 1, dtype=torch.bool), told[ids])

    for _ in range(400):
        ids = torch.randint(6, (64,), generator=g)
        loss = model.loss(model.ports["text"].table(ids[:, None]), mask, cond(ids), "text", g)  # type: ignore[operator]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ids = torch.arange(64) % 6
    x = model.sample(mask, cond(ids), Sampling(steps=8), list(range(64)), "text")
    named = model.ports["text"].table.project(x)[:, 0]  # type: ignore[union-attr, operator]
    read = sample_tokens(model, mask, cond(ids), Sampling(steps=8), list(range(64))).ids[:, 0]
    for found in (named, read):
        assert float((found == ids).float().mean()) > (0.95 if prediction == "logits" else 0.8)


def test_labels_are_smoothed_as_far_as_x_leaves_them_open() -> None:
    g = torch.Generator().manual_seed(0)
    ids, logits = torch.randint(6, (2, 5), generator=g), torch.randn(2, 5, 6, generator=g)
    nothing = smoothed(ids, 0.3, torch.zeros(2, 5, 6))
    ordinary = F.cross_entropy(logits.mT, ids, reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(F.cross_entropy(logits.mT, nothing.mT, reduction="none"), ordinary)
    seen = F.one_hot(ids, 6).double()
    torch.testing.assert_close(smoothed(ids, 0.3, 60.0 * (seen - 1.0)), seen)
    some = torch.randn(2, 5, 6, generator=g, dtype=torch.float64)
    labels = (smoothed(ids, 0.3, some).log() - some).softmax(-1)  # without what x shows
    torch.testing.assert_close(labels, smoothed(ids, 0.3, torch.zeros_like(some)))


def test_smoothed_labels_ask_for_nothing_against_what_x_shows() -> None:
    """Where a place is decided by its point, a network that adds nothing is right: its loss is flat."""

    def slope(t: float) -> float:
        torch.manual_seed(4)
        port = TokenPort(6, 64, 16, label_smoothing=0.3)
        x1 = port.table(torch.randint(6, (4, 9))).detach()
        mask = torch.ones(4, 9, dtype=torch.bool)
        port.loss(torch.randn(4, 9, 16), torch.randn_like(x1), x1, torch.full((4,), t), LinearPath(), mask).backward()
        assert port.out.weight.grad is not None
        return float(port.out.weight.grad.norm())

    assert slope(0.0) > 0.01 and slope(0.8) < 1e-5


def test_the_tables_scale_cannot_be_learnt() -> None:
    """Else a model would make its task easy by spreading its tokens: the loss does not change with the weights' length."""
    model, ids, mask = head(), torch.randint(6, (3, 5)), torch.ones(3, 5, dtype=torch.bool)
    port = model.ports["text"]

    def loss() -> torch.Tensor:
        return model.loss(port.table(ids), mask, no_cond(3), "text", torch.Generator().manual_seed(4))  # type: ignore[operator]

    before = loss()
    with torch.no_grad():
        port.table.weight.mul_(10.0)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(loss(), before)


def test_unknown_predictions_are_refused() -> None:
    with pytest.raises(FmAudioError, match="logits, velocity"):
        TokenPort(5, 8, 16, prediction="epsilon")
    with pytest.raises(FmAudioError, match="at least 2"):
        TokenTable(1, 8)
