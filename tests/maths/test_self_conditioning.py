"""Self-conditioning: off it is not there, untrained it changes nothing, and in sampling the last estimate is what is told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fm_audio.flow.head import EARLIER, FlowHead
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.token_port import TokenPort
from fm_audio.types import Cond, FmAudioError, length_mask
from tests.maths.toys import TOKENS, VECTOR, PointwiseBackbone


def head(share: float, prediction: str = "logits") -> FlowHead:
    torch.manual_seed(2)
    port = TokenPort(6, 8, 16, prediction=prediction, self_conditioning=share)
    nn.init.normal_(port.out.weight)
    return FlowHead(PointwiseBackbone(), {"text": port})


def cond(b: int) -> Cond:
    g = torch.Generator().manual_seed(3)
    tokens, vector = torch.randn(b, 1, TOKENS, generator=g), torch.randn(b, VECTOR, generator=g)
    return Cond(None, tokens, torch.ones(b, 1, dtype=torch.bool), vector)


def batch(model: FlowHead, b: int = 5, n: int = 4) -> tuple[Tensor, Tensor]:
    mask = length_mask(torch.arange(b) % n + 1, n)
    ids = torch.randint(6, (b, n), generator=torch.Generator().manual_seed(4))
    return model.ports["text"].table(ids), mask  # type: ignore[operator]


def test_off_nothing_is_drawn_or_held() -> None:
    model = head(0.0)
    x1, mask = batch(model)
    g = torch.Generator().manual_seed(0)
    loss = model.loss(x1, mask, cond(5), "text", g)
    by_hand = torch.Generator().manual_seed(0)
    model.time_law.sample(5, by_hand)
    torch.randn(x1.shape, generator=by_hand)
    assert torch.equal(g.get_state(), by_hand.get_state()) and loss.isfinite()
    assert not any("earlier" in key for key in model.state_dict())


@pytest.mark.parametrize("prediction", ["logits", "velocity"])
def test_untrained_it_changes_no_sample(prediction: str) -> None:
    """Its projection begins at zero."""
    plain, told = head(0.0, prediction), head(0.5, prediction)
    told.load_state_dict(plain.state_dict(), strict=False)
    mask, sampling = batch(plain)[1], Sampling(steps=3, guidance=2.0)
    one, other = (m.sample(mask, cond(5), sampling, list(range(5)), "text") for m in (plain, told))
    assert torch.equal(one, other)


@pytest.mark.parametrize("prediction", ["logits", "velocity"])
def test_training_is_told_an_estimate_of_the_same_items_from_before(prediction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = head(0.5, prediction)
    x1, mask = batch(model, 64)
    calls: list[tuple[Tensor, Tensor, Tensor | None, bool]] = []
    hidden = model._hidden

    def watched(x: Tensor, t: Tensor, m: Tensor, c: Cond, port: str, previous: Tensor | None = None) -> Tensor:
        calls.append((x, t, previous, torch.is_grad_enabled()))
        return hidden(x, t, m, c, port, previous)

    monkeypatch.setattr(model, "_hidden", watched)
    model.loss(x1, mask, cond(64), "text", torch.Generator().manual_seed(0)).backward()
    (_, before, nothing, learns), (_, t, previous, _) = calls
    assert nothing is None and not learns and previous is not None and not previous.requires_grad
    told = previous.abs().sum((1, 2)) > 0
    assert 0.25 < float(told.float().mean()) < 0.75 and int(told.sum()) == len(before)
    back = t[told] - before
    assert (back >= 0).all() and (back <= EARLIER).all() and back.max() > 0.05
    assert not previous[~mask].any()
    grads = model.ports["text"].earlier.weight.grad  # type: ignore[union-attr]
    assert grads is not None and grads.abs().sum() > 0


def trained_port(share: float = 0.5) -> FlowHead:
    model = head(share)
    nn.init.normal_(model.ports["text"].earlier.weight, std=0.5)  # type: ignore[union-attr, arg-type]
    return model


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_sampling_tells_the_last_guided_estimate(guidance: float) -> None:
    model = trained_port()
    mask, c = torch.ones(2, 3, dtype=torch.bool), cond(2)
    field = model.field(mask, c, Sampling(guidance=guidance), "text")
    x, t = torch.randn(2, 3, 8), torch.tensor([0.1, 0.4])
    first = field(x, t)
    logits, null = (model.predict(x, t, mask, k, "text", torch.zeros_like(x)) for k in (c, c.null()))
    estimate = model.ports["text"].estimate(null + guidance * (logits - null))  # type: ignore[operator]
    second = field(x, t)
    logits, null = (model.predict(x, t, mask, k, "text", estimate) for k in (c, c.null()))
    expected = model._to_velocity(null + guidance * (logits - null), x, t, mask, "text")
    torch.testing.assert_close(second, expected)
    assert not torch.allclose(first, second)


def test_an_item_is_told_its_own_estimate_in_any_company() -> None:
    model = trained_port()
    mask = length_mask(torch.tensor([3, 6]))
    both = model.sample(mask, cond(2), Sampling(steps=4, guidance=1.5), [1, 2], "text")
    alone = model.sample(mask[:1, :3], cond(2).rows(slice(0, 1)), Sampling(steps=4, guidance=1.5), [1], "text")
    torch.testing.assert_close(both[:1, :3], alone, rtol=1e-5, atol=1e-6)


def test_an_adaptive_solver_and_a_share_of_one_are_refused() -> None:
    with pytest.raises(FmAudioError, match="take 'euler'"):
        mask = torch.ones(1, 2, dtype=torch.bool)
        head(0.5).sample(mask, cond(1), Sampling(solver="dopri5"), [0], "text")
    with pytest.raises(FmAudioError, match="often 0.5"):
        TokenPort(6, 8, 16, self_conditioning=1.0)
