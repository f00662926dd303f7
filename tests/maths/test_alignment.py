"""Alignment: the best monotonic path against every path there is, and durations whose sums are exact."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from fm_audio.encoders.alignment import alignment_log_likelihood, expand, fit_total, frames_of, monotonic_alignment
from fm_audio.types import FmAudioError, length_mask


def all_durations(m: int, n: int) -> Tensor:
    """Every way to cut n frames into m parts of at least one."""
    cuts = [(0, *inner, n) for inner in combinations(range(1, n), m - 1)]
    return torch.tensor(cuts).diff(dim=1)


def best_by_trying(scores: Tensor) -> Tensor:
    """The best durations of one (m n) table; of equals, the one whose reversed durations are lexicographically greatest."""
    m, n = scores.shape
    tries = all_durations(m, n)
    owner = [torch.repeat_interleave(torch.arange(m), d) for d in tries]
    sums = torch.stack([scores[o, torch.arange(n)].sum() for o in owner])
    equals = tries[sums == sums.max()]
    return max(equals, key=lambda d: d.flip(0).tolist())


def align_one(scores: Tensor) -> Tensor:
    m, n = scores.shape
    return monotonic_alignment(scores[None], torch.ones(1, m, dtype=torch.bool), torch.ones(1, n, dtype=torch.bool))[0]


@pytest.mark.parametrize("levels", [1, 2, 3, 1000])
def test_equals_brute_force_with_the_stated_choice_among_equals(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    for n in range(1, 8):
        for m in range(1, n + 1):
            for _ in range(4):
                scores = torch.randint(-levels, levels, (m, n), generator=generator).double()
                assert align_one(scores).tolist() == best_by_trying(scores).tolist()


def test_all_equal_gives_the_frames_to_the_last_symbol() -> None:
    assert align_one(torch.zeros(3, 7)).tolist() == [1, 1, 5]


def test_impossible_frames_still_give_a_whole_path() -> None:
    durations = align_one(torch.full((4, 6), -torch.inf))
    assert durations.sum() == 6 and durations.min() >= 1


def test_padded_batch_equals_its_rows_whatever_stands_in_the_padding() -> None:
    symbols, frames = torch.tensor([5, 1, 9, 9]), torch.tensor([20, 7, 9, 31])
    scores = torch.randn(4, 11, 33)
    symbols_mask, mask = length_mask(symbols, 11), length_mask(frames, 33)
    rows = [align_one(scores[k, :m, :n]) for k, (m, n) in enumerate(zip(symbols.tolist(), frames.tolist(), strict=True))]
    for padding in (torch.nan, torch.inf, -torch.inf, 1e9):
        batch = monotonic_alignment(
            scores.masked_fill(~(symbols_mask[:, :, None] & mask[:, None, :]), padding), symbols_mask, mask
        )
        assert batch.dtype == torch.int64
        for k, row in enumerate(rows):
            assert batch[k, : symbols[k]].tolist() == row.tolist()
            assert batch[k, symbols[k] :].sum() == 0
        assert batch.sum(1).tolist() == frames.tolist()


def test_finds_the_durations_that_made_the_frames() -> None:
    durations = torch.tensor([[3, 1, 4, 2], [2, 2, 0, 0]])
    mean = torch.randn(2, 4, 16) * 3
    x = expand(mean, durations, 10) + 0.1 * torch.randn(2, 10, 16)
    found = monotonic_alignment(alignment_log_likelihood(mean, x), durations > 0, length_mask(durations.sum(1), 10))
    assert found.tolist() == durations.tolist()


def test_fewer_frames_than_symbols_is_refused() -> None:
    with pytest.raises(FmAudioError, match="item 1 .* 2 frames for 3 symbols"):
        monotonic_alignment(torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool), length_mask(torch.tensor([4, 2]), 4))
    with pytest.raises(FmAudioError, match="0 symbols"):
        monotonic_alignment(torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool))


def test_log_likelihood_is_that_of_a_unit_normal() -> None:
    mean, x = torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    normal = torch.distributions.Normal(mean[:, :, None], 1.0)
    torch.testing.assert_close(alignment_log_likelihood(mean, x), normal.log_prob(x[:, None]).sum(-1))


def test_expand_repeats_and_counting_undoes_it() -> None:
    durations = torch.tensor([[2, 0, 3, 1], [1, 1, 0, 0]])
    values = torch.randn(2, 4, 3)
    wide = expand(values, durations, 8)
    for k in range(2):
        expected = torch.repeat_interleave(values[k], durations[k], dim=0)
        assert torch.equal(wide[k, : len(expected)], expected)
        assert not wide[k, len(expected) :].any()
    numbers = torch.arange(1.0, 5.0).view(1, 4, 1).expand(2, 4, 1)
    counted = torch.nn.functional.one_hot(expand(numbers, durations, 8)[..., 0].long(), 5).sum(1)[:, 1:]
    assert torch.equal(counted, durations)


def test_expand_reads_no_symbol_of_zero_frames_forward_or_backward() -> None:
    values = torch.randn(1, 3, 2)
    values[0, 2] = torch.nan
    values.requires_grad_()
    wide = expand(values, torch.tensor([[2, 1, 0]]), 6)
    wide.sum().backward()
    assert wide.isfinite().all()
    assert values.grad is not None
    assert values.grad.tolist() == [[[2, 2], [1, 1], [0, 0]]]


def test_whole_frames_keep_the_sum_and_stay_near_every_end() -> None:
    durations = torch.rand(40, 30) * 4 + 1
    mask = length_mask(torch.randint(1, 31, (40,)), 30)
    whole = frames_of(durations.masked_fill(~mask, torch.nan), mask)
    exact = durations.double().masked_fill(~mask, 0.0)
    assert torch.equal(whole.sum(1), (exact.sum(1) + 0.5).floor().long())
    assert (whole[mask] >= 1).all() and (whole[~mask] == 0).all()
    assert ((whole.cumsum(1) - exact.cumsum(1)).abs() <= 0.5).all()


def test_whole_frames_give_short_symbols_one_each() -> None:
    mask = torch.tensor([[True, True, True, False]])
    assert frames_of(torch.tensor([[0.1, 0.1, 0.1, 9.0]]), mask).tolist() == [[1, 1, 1, 0]]
    assert frames_of(torch.tensor([[5.0, 0.1, 0.1, 9.0]]), mask).tolist() == [[3, 1, 1, 0]]
    assert frames_of(torch.tensor([[-2.0, 0.1, 4.9, 9.0]]), mask).tolist() == [[1, 1, 3, 0]]


def test_whole_frames_of_whole_durations_are_themselves() -> None:
    durations = torch.randint(1, 9, (4, 12))
    assert torch.equal(frames_of(durations.double(), torch.ones_like(durations, dtype=torch.bool)), durations)


def test_fit_total_is_exact_and_leaves_fixed_symbols_alone() -> None:
    durations = torch.randint(1, 12, (16, 10)) * length_mask(torch.randint(4, 11, (16,)), 10)
    fixed = torch.zeros_like(durations, dtype=torch.bool)
    fixed[:, 2] = True
    for total in (37, 60, 113, 500):
        fitted = fit_total(durations, torch.full((16,), total), fixed)
        assert (fitted.sum(1) == total).all()
        assert torch.equal(fitted[fixed], durations[fixed])
        assert torch.equal(fitted > 0, durations > 0)
    assert torch.equal(fit_total(durations, durations.sum(1)), durations)


def test_fit_total_refuses_what_cannot_be() -> None:
    durations, fixed = torch.tensor([[4, 9, 2]]), torch.tensor([[False, True, False]])
    assert fit_total(durations, torch.tensor([11]), fixed).tolist() == [[1, 9, 1]]
    with pytest.raises(FmAudioError, match="10 frames, of which 9 are fixed"):
        fit_total(durations, torch.tensor([10]), fixed)
    with pytest.raises(FmAudioError):
        fit_total(durations, torch.tensor([20]), torch.ones_like(fixed))
