"""Tokens that settle: resting changes no answer that had settled, costs nothing, and is each item's own affair."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fm_audio.flow.grid import Quantile
from fm_audio.flow.head import FlowHead
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.settling import SURE, Settled, sample_tokens
from fm_audio.flow.time_law import LogitNormal, Undecided
from fm_audio.flow.token_port import TokenPort
from fm_audio.types import Cond, FmAudioError, length_mask
from tests.maths.toys import TOKENS, VECTOR, PointwiseBackbone

LENGTHS = torch.tensor([3, 6, 1, 5])


def head(self_conditioning: float = 0.0) -> FlowHead:
    torch.manual_seed(2)
    port = TokenPort(6, 8, 16, self_conditioning=self_conditioning)
    nn.init.normal_(port.out.weight, std=2.0)
    if port.earlier is not None:
        nn.init.normal_(port.earlier.weight, std=0.3)
    return FlowHead(PointwiseBackbone(), {"text": port}, time_law=Undecided(6, 8))


def cond(b: int) -> Cond:
    g = torch.Generator().manual_seed(3)
    tokens, vector = torch.randn(b, 1, TOKENS, generator=g), torch.randn(b, VECTOR, generator=g)
    return Cond(None, tokens, torch.ones(b, 1, dtype=torch.bool), vector)


def settled(model: FlowHead, sampling: Sampling, patience: int | None, rows: list[int] | None = None) -> Settled:
    rows = rows or list(range(len(LENGTHS)))
    c = cond(len(LENGTHS)).rows(torch.tensor(rows))
    return sample_tokens(model, length_mask(LENGTHS[rows]), c, sampling, rows, patience=patience)


@pytest.mark.parametrize("solver", ["euler", "ab2", "heun"])
def test_the_answer_is_what_the_logits_said_last(solver: str) -> None:
    model, sampling = head(), Sampling(steps=5, solver=solver, grid="quantile")
    mask = length_mask(LENGTHS)
    field = model.field(mask, cond(4), sampling, "text")
    model.solve(field, model.start(mask, sampling, range(4), "text"), sampling, "text")
    found = settled(model, sampling, None)
    assert field.prediction is not None
    assert found.ids.equal(field.prediction.argmax(-1).masked_fill(~mask, 0))
    expected = field.prediction.log_softmax(-1).amax(-1).masked_fill(~mask, 0.0)
    torch.testing.assert_close(found.log_probability, expected)
    assert found.forwards.equal(field.forwards)


def test_items_rest_each_in_its_own_time() -> None:
    sampling = Sampling(steps=40, guidance=1.5)
    found, never = settled(head(), sampling, 3), settled(head(), sampling, None)
    assert never.forwards.tolist() == [80] * 4
    assert (found.forwards < 80).any() and (found.forwards >= 8).all() and len(set(found.forwards.tolist())) > 1
    rested = found.forwards < 80
    assert found.ids[rested].equal(never.ids[rested])
    kept = length_mask(LENGTHS)[rested]
    assert (found.log_probability[rested][kept] >= math.log(SURE)).all()


def test_short_steps_do_not_look_like_rest() -> None:
    """Early on nothing changes from step to step, and nothing is decided either."""
    assert (settled(head(), Sampling(steps=1000), 2).forwards > 100).all()


def test_what_stands_after_the_end_does_not_keep_an_item_awake() -> None:
    model, sampling = head(), Sampling(steps=40)
    c, mask = cond(4), length_mask(LENGTHS)
    plain, ended = (sample_tokens(model, mask, c, sampling, range(4), patience=2, ends=ends) for ends in ((), range(6)))
    assert (ended.forwards <= plain.forwards).all() and (ended.forwards < plain.forwards).any()


@pytest.mark.parametrize("self_conditioning", [0.0, 0.5])
def test_they_are_the_same_alone(self_conditioning: float) -> None:
    model, sampling = head(self_conditioning), Sampling(steps=12, temperature=0.7, guidance=1.5)
    together = settled(model, sampling, 2)
    for i, n in enumerate(LENGTHS.tolist()):
        alone = settled(model, sampling, 2, [i])
        assert alone.ids[0].equal(together.ids[i, :n]) and int(alone.forwards[0]) == int(together.forwards[i])
        torch.testing.assert_close(alone.log_probability[0], together.log_probability[i, :n], rtol=1e-5, atol=1e-6)


def test_without_noise_the_seed_does_not_matter() -> None:
    model, mask = head(), length_mask(LENGTHS)
    one, other = (sample_tokens(model, mask, cond(4), Sampling(4, temperature=0.0), seeds) for seeds in ([0] * 4, [9] * 4))
    assert one.ids.equal(other.ids)


def test_the_quantile_grid_is_the_heads_own() -> None:
    law = LogitNormal(-1.0, 0.7)
    sampling = Sampling(steps=6, grid="quantile")
    torch.testing.assert_close(sampling.times(law), Quantile(law)(6))
    model = FlowHead(PointwiseBackbone(), {"text": TokenPort(6, 8, 16)}, time_law=law)
    assert model.forwards(sampling) == 6
    with pytest.raises(FmAudioError, match="time law"):
        sampling.times()
    with pytest.raises(FmAudioError, match="Did you mean 'quantile'"):
        Sampling(grid="quantiles")
