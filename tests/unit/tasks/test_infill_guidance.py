"""Rules of guidance: what each leaves out and when, what the network is told, and that a model with any of them trains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fm_audio.checkpoint import instantiate
from fm_audio.convert.zipvoice import FEATURE, STEPS, from_zipvoice
from fm_audio.data.batches import SpeechBatch
from fm_audio.flow.guidance import Null
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_guidance import Distilled, InfillGuidance, TextFirst, WithoutBoth
from fm_audio.types import Cond, FmAudioError, length_mask
from tests.parity.zipvoice_published import SMALL, TOKENS, weights


def told(show: bool, read: bool) -> Cond:
    return Cond(frames=torch.tensor([[[float(show), float(read)]]]))


def seen(cond: Cond) -> list[float]:
    assert cond.frames is not None
    return cond.frames[0, 0].tolist()


def test_each_rule_leaves_out_what_it_says() -> None:
    sampling = Sampling(guidance=3.0)
    plain = WithoutBoth().plan(told, sampling)
    assert isinstance(plain.null, Cond) and seen(plain.null) == [0, 0] and plain.sampling is sampling
    first = TextFirst(0.4, 2.5).plan(told, sampling)
    assert first.null is not None and not isinstance(first.null, Cond)
    early, late = first.null
    assert isinstance(early, Null) and (early.until, early.strength, seen(early.cond)) == (0.4, 2.5, [1, 0])
    assert (late.until, late.strength, seen(late.cond)) == (1.0, 1.0, [0, 0])
    distilled = Distilled(6).plan(told, sampling)
    assert distilled.null is None and distilled.sampling.guidance == 1.0
    assert all(seen(plan.cond) == [1, 1] for plan in (plain, first, distilled))


def test_a_distilled_network_is_told_the_strength_alone() -> None:
    rule = Distilled(6)

    def vector(cond: Cond) -> Tensor:
        assert cond.vector is not None and cond.vector.shape == (1, 6)
        return cond.vector

    two, three = (vector(rule.plan(told, Sampling(guidance=w)).cond) for w in (2.0, 3.0))
    assert two[0, 0] == pytest.approx(torch.tensor(1.0).cos()) and not torch.allclose(two, three)
    assert torch.equal(vector(rule.trained(told(True, True))), vector(rule.plan(told, Sampling(guidance=1.0)).cond))


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(FmAudioError, match="adaptive"):
        TextFirst().plan(told, Sampling(guidance=2.0, solver="dopri5"))
    assert TextFirst().plan(told, Sampling(solver="dopri5")).cond is not None
    with pytest.raises(FmAudioError, match="between 0 and 1"):
        TextFirst(until=1.0)
    assert all(isinstance(rule, InfillGuidance) for rule in (WithoutBoth(), TextFirst(), Distilled()))


@pytest.mark.parametrize("family", sorted(STEPS))
def test_a_converted_model_trains(family: str) -> None:
    state = weights(SMALL, family == "zipvoice-distill")
    converted = from_zipvoice(state, {"model": SMALL, "feature": FEATURE}, TOKENS, family)
    task = instantiate(converted.node)
    task.load_state_dict(converted.weights)
    frames, symbols = torch.tensor([40, 25, 31]), torch.tensor([9, 5, 7])
    mask, symbols_mask = length_mask(frames), length_mask(symbols)
    batch = SpeechBatch(
        ids=["a", "b", "c"], texts=["", "", ""], speakers=["x", "y", "z"],
        symbols=torch.randint(1, 30, (3, 9)) * symbols_mask, symbols_mask=symbols_mask,
        mel=torch.randn(3, 40, 100), mask=mask,
        durations_frames=torch.zeros(3, 9, dtype=torch.long), has_durations=torch.zeros(3, dtype=torch.bool),
    )  # fmt: skip
    task.loss(batch, torch.Generator().manual_seed(0))["loss"].backward()
    gradients = {name: p.grad for name, p in task.named_parameters()}
    assert [name for name, g in gradients.items() if g is None or not g.isfinite().all() or not g.any()] == []
