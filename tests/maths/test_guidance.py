"""Guidance is what its formula says, costs what it says, and means by "no condition" what training meant."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from fm_audio.flow.guidance import GuidedField, Null, drop_conditions, rescaled
from fm_audio.flow.path import LinearPath, Path, VariancePreservingPath, data_from_velocity
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond, length_mask
from tests.maths.toys import BANDS, toy_batch, toy_head

LENGTHS = [5, 7]


def _parts() -> tuple:
    head = toy_head()
    mask, cond = toy_batch(LENGTHS)
    x = torch.randn(2, 7, BANDS).masked_fill(~mask[..., None], 0.0)
    return head, mask, cond, x


def _t(t: float) -> Tensor:
    return torch.full((2,), t)


def test_one_is_the_conditional_field_in_one_forward() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=1.0, guidance_rescale=0.7))
    assert torch.equal(field(x, _t(0.3)), head.velocity(x, _t(0.3), mask, cond))
    assert field.forwards.tolist() == [1, 1] and head.backbone.batches[0] == 2


def test_nought_is_the_null_field() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=0.0))
    torch.testing.assert_close(field(x, _t(0.3)), head.velocity(x, _t(0.3), mask, cond.null()))


def test_packed_rows_are_two_calls() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=2.5))
    v = field(x, _t(0.3))
    assert field.forwards.tolist() == [2, 2] and head.backbone.batches == [4]
    given, null = head.velocity(x, _t(0.3), mask, cond), head.velocity(x, _t(0.3), mask, cond.null())
    assert not torch.allclose(given, null)
    torch.testing.assert_close(v, null + 2.5 * (given - null))


def test_outside_of_the_interval_guidance_is_off_and_free() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=2.5, guidance_interval=(0.2, 0.6)))
    assert torch.equal(field(x, _t(0.7)), head.velocity(x, _t(0.7), mask, cond))
    assert field.forwards.tolist() == [1, 1]
    inside = head.field(mask, cond, Sampling(guidance=2.5))
    torch.testing.assert_close(field(x, _t(0.5)), inside(x, _t(0.5)))
    assert field.forwards.tolist() == [3, 3]


def test_items_at_different_times_are_guided_each_by_its_own() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=2.5, guidance_interval=(0.0, 0.5)))
    t = torch.tensor([0.4, 0.8])
    v = field(x, t)
    torch.testing.assert_close(v[1], head.velocity(x, t, mask, cond)[1])
    torch.testing.assert_close(v[0], head.field(mask, cond, Sampling(guidance=2.5))(x, t)[0])


@pytest.mark.parametrize("path", [LinearPath(), VariancePreservingPath()])
def test_rescale_keeps_the_conditional_spread_over_kept_frames(path: Path) -> None:
    mask = length_mask(torch.tensor(LENGTHS))
    x, v_cond, v = (torch.randn(2, 7, BANDS) for _ in range(3))
    t = torch.tensor([0.2, 0.6])
    new = rescaled(v, v_cond, x, t, mask, path, 1.0)
    for i, n in enumerate(LENGTHS):
        ours, plain = (data_from_velocity(path, u, x, t)[i, :n].std() for u in (new, v_cond))
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert (new[0, 5:] == 0).all()


def test_rescale_by_nought_changes_nothing() -> None:
    mask = torch.ones(2, 7, dtype=torch.bool)
    x, v_cond, v = (torch.randn(2, 7, BANDS) for _ in range(3))
    torch.testing.assert_close(rescaled(v, v_cond, x, _t(0.5), mask, LinearPath(), 0.0), v)


def test_rescale_does_not_see_padding() -> None:
    mask = length_mask(torch.tensor(LENGTHS), 9)
    x, v_cond, v = (torch.randn(2, 9, BANDS) for _ in range(3))
    a = rescaled(v, v_cond, x, _t(0.5), mask, LinearPath(), 0.8)
    dirty = v.masked_fill(~mask[..., None], 1e3)
    torch.testing.assert_close(rescaled(dirty, v_cond, x, _t(0.5), mask, LinearPath(), 0.8), a)


def test_rescale_is_finite_at_both_ends_of_time() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=3.0, guidance_rescale=1.0))
    for t in (0.0, 1.0):
        v = field(x, _t(t))
        assert v.isfinite().all() and v.abs().max() < 100


def _same(a: Cond, b: Cond, row: int) -> bool:
    return all(torch.equal(getattr(a, f.name)[row], getattr(b, f.name)[row]) for f in fields(Cond))


def test_a_dropped_item_has_the_null_condition_that_sampling_uses() -> None:
    _, cond = toy_batch([3, 4, 5, 6, 7, 8, 9, 10])
    dropped = drop_conditions(cond, 8, 0.5, torch.device("cpu"), torch.Generator().manual_seed(0))
    null = cond.null()
    whole = [_same(dropped, cond, i) for i in range(8)]
    gone = [_same(dropped, null, i) for i in range(8)]
    assert all(w != g for w, g in zip(whole, gone, strict=True)) and any(whole) and any(gone)


def test_nothing_is_dropped_at_probability_nought() -> None:
    _, cond = toy_batch(LENGTHS)
    assert drop_conditions(cond, 2, 0.0, torch.device("cpu")) is cond


def test_items_are_dropped_as_often_as_asked() -> None:
    cond = Cond(vector=torch.ones(4000, 1))
    kept = drop_conditions(cond, 4000, 0.3, torch.device("cpu"), torch.Generator().manual_seed(0)).vector
    assert kept is not None and float(kept.mean()) == pytest.approx(0.7, abs=0.03)


def test_a_null_condition_leaves_one_token_to_look_at() -> None:
    _, cond = toy_batch(LENGTHS)
    null = cond.null()
    assert null.tokens_mask is not None and null.tokens_mask.sum(1).tolist() == [1, 1]
    assert null.tokens is not None and not null.tokens.any()


def test_guidance_with_nothing_to_drop_changes_nothing() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    field = GuidedField(lambda x, t, m, c: x + 1, mask, Cond(), Sampling(guidance=3.0), LinearPath())
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(field(x, _t(0.1)), x + 1)


def test_several_nulls_hold_each_up_to_its_time_and_with_its_strength() -> None:
    head, mask, cond, x = _parts()
    early = Cond(cond.frames, cond.tokens, cond.tokens_mask, torch.zeros_like(cond.vector))
    field = head.field(mask, cond, Sampling(guidance=2.5), null=[Null(early, 0.5, 2.0), Null(cond.null())])
    t = torch.tensor([0.5, 0.6])
    v, given = field(x, t), head.velocity(x, t, mask, cond)
    first, second = head.velocity(x, t, mask, early), head.velocity(x, t, mask, cond.null())
    torch.testing.assert_close(v[0], (first + 4.0 * (given - first))[0])
    torch.testing.assert_close(v[1], (second + 2.5 * (given - second))[1])
    assert not torch.allclose(first, second) and field.forwards.tolist() == [2, 2]


def _alike(threshold: float) -> tuple:
    """A field whose null velocity turns from a right angle to the conditional one's direction as t goes to 1, item 0 at twice the
    pace; the sizes of the batches that were asked."""
    mask, batches = torch.ones(2, 3, dtype=torch.bool), []

    def predict(x: Tensor, t: Tensor, m: Tensor, c: Cond) -> Tensor:
        batches.append(len(x))
        assert c.vector is not None
        null, pace = c.vector[:, 1] == 0, c.vector[:, 0]
        angle = torch.where(null, (torch.pi / 2 * (1 - t * pace)).clamp(min=0.0), 0.0)
        return torch.stack([angle.cos(), angle.sin()], -1)[:, None].expand(-1, 3, -1)

    cond, null = (Cond(vector=torch.tensor([[2.0, told], [1.0, told]])) for told in (1.0, 0.0))
    sampling = Sampling(guidance=3.0, guidance_alike=threshold)
    return GuidedField(predict, mask, cond, sampling, LinearPath(), null), batches


def test_an_item_is_guided_until_both_velocities_are_alike_and_then_no_more() -> None:
    field, batches = _alike(0.9)
    x = torch.zeros(2, 3, 2)
    for t in (0.0, 0.3, 0.45, 0.5, 0.9, 0.0):
        v = field(x, _t(t))
    assert batches == [4, 4, 4, 3, 3, 2], "alike at 0.45 and 0.9; guided there still, and never again"
    assert field.forwards.tolist() == [6 + 3, 6 + 5]
    torch.testing.assert_close(v, torch.tensor([1.0, 0.0]).expand(2, 3, 2))


def test_guidance_of_some_items_alone_is_theirs() -> None:
    field, _ = _alike(0.9)
    plain, _ = _alike(1.0)
    x = torch.zeros(2, 3, 2)
    field(x, torch.tensor([0.45, 0.1]))
    v, guided = field(x, _t(0.2)), plain(x, _t(0.2))
    torch.testing.assert_close(v[1], guided[1])
    torch.testing.assert_close(v[0], torch.tensor([1.0, 0.0]).expand(3, 2))
    assert not torch.allclose(guided[0], v[0]) and plain.forwards.tolist() == [2, 2]


def test_a_field_of_some_items_is_that_of_the_whole() -> None:
    head, mask, cond, x = _parts()
    sampling = Sampling(guidance=2.5, guidance_rescale=0.5, guidance_interval=(0.0, 0.5))
    whole, parted = head.field(mask, cond, sampling), head.field(mask, cond, sampling)
    t = torch.tensor([0.4, 0.8])
    v = whole(x, t)
    for i in (1, 0):
        row = torch.tensor([i])
        torch.testing.assert_close(parted.of_items(row)(x[row], t[row])[0], v[i])
    assert parted.forwards.tolist() == whole.forwards.tolist() == [2, 1]


def test_becoming_alike_to_one_null_says_nothing_of_the_next() -> None:
    head, mask, cond, x = _parts()
    field = head.field(mask, cond, Sampling(guidance=2.5, guidance_alike=0.5), null=[Null(cond, 0.5), Null(cond.null())])
    field(x, _t(0.1))
    field(x, _t(0.2))
    assert field.forwards.tolist() == [3, 3], "the first null is the condition itself"
    field(x, _t(0.6))
    assert field.forwards.tolist() == [5, 5]
