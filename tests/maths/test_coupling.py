"""A coupling may reorder noise; nothing else moves."""

from __future__ import annotations

from itertools import permutations

import torch

from fm_audio.flow.coupling import Independent, MinibatchOT, distances
from fm_audio.types import Cond, length_mask

MASK = length_mask(torch.tensor([6, 4, 5, 2]), 6)


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 6, 3), torch.randn(4, 6, 3)


def test_independent_leaves_noise_where_it_is() -> None:
    x0, x1 = _pair()
    assert Independent()(x0, x1, MASK, Cond()) is x0


def test_distance_is_the_mean_square_over_frames_both_keep() -> None:
    x0, x1 = _pair()
    cost = distances(x0, x1, MASK)
    for i, a in enumerate((6, 4, 5, 2)):
        for j, b in enumerate((6, 4, 5, 2)):
            n = min(a, b)
            torch.testing.assert_close(cost[i, j], (x0[i, :n] - x1[j, :n]).square().mean(), rtol=1e-5, atol=1e-6)


def test_transport_is_the_cheapest_of_all_orders() -> None:
    x0, x1 = _pair()
    moved = MinibatchOT(0.0)(x0, x1, MASK, Cond())
    cost = distances(x0, x1, MASK)
    best = min(permutations(range(4)), key=lambda order: sum(float(cost[i, j]) for j, i in enumerate(order)))
    torch.testing.assert_close(moved, x0[list(best)])


def test_a_heavy_condition_keeps_noise_at_home() -> None:
    x0, x1 = _pair()
    cond = Cond(vector=torch.eye(4))
    torch.testing.assert_close(MinibatchOT(1e6)(x0, x1, MASK, cond), x0)


def test_padding_is_no_part_of_a_condition() -> None:
    x0, x1 = _pair()
    lying = torch.ones(4, 6, 2).masked_fill(~MASK[..., None], float("nan"))
    same = Cond(frames=lying, vector=torch.ones(4, 1))
    torch.testing.assert_close(MinibatchOT(5.0)(x0, x1, MASK, same), MinibatchOT(0.0)(x0, x1, MASK, Cond()))


def test_alike_conditions_do_not_matter() -> None:
    x0, x1 = _pair()
    same = Cond(vector=torch.ones(4, 2), tokens=torch.ones(4, 3, 2))
    torch.testing.assert_close(MinibatchOT(5.0)(x0, x1, MASK, same), MinibatchOT(0.0)(x0, x1, MASK, Cond()))
