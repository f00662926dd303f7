"""What states spell: paths against all paths counted one by one, symbols held, runs and silence taken away."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from fm_audio.encoders.spelling import Spelling, collapsed, likeliest_path
from fm_audio.types import Cond, length_mask

NONE, A, B = 0, 2, 3


@pytest.mark.parametrize("ids", [[A], [A, B], [A, A], [B, A, A], [A, A, A]], ids=str)
@pytest.mark.parametrize("states", [3, 5])
def test_the_likeliest_path_is_the_best_of_all(ids: list[int], states: int) -> None:
    log_p = torch.randn(1, states, 4, generator=torch.Generator().manual_seed(states)).log_softmax(-1)
    paths = [p for p in product((NONE, A, B), repeat=states) if collapsed(list(p)) == ids]
    places, possible = likeliest_path(log_p, torch.tensor([states]), torch.tensor([ids]), torch.tensor([len(ids)]))
    assert bool(possible) == bool(paths)
    if paths:
        best = max(paths, key=lambda p: sum(float(log_p[0, j, c]) for j, c in enumerate(p)))
        labels = [NONE if s % 2 == 0 else ids[s // 2] for s in places[0].tolist()]
        assert tuple(labels) == best


def test_paths_are_the_same_in_company() -> None:
    g = torch.Generator().manual_seed(0)
    log_p = torch.randn(3, 9, 5, generator=g).log_softmax(-1)
    states, symbols = torch.tensor([9, 4, 6]), torch.tensor([3, 2, 1])
    ids = torch.randint(2, 5, (3, 3), generator=g) * length_mask(symbols, 3)
    together, possible = likeliest_path(log_p, states, ids, symbols)
    assert possible.all()
    for i, (m, n) in enumerate(zip(states.tolist(), symbols.tolist(), strict=True)):
        alone, _ = likeliest_path(log_p[i : i + 1, :m], states[i : i + 1], ids[i : i + 1, :n], symbols[i : i + 1])
        assert alone[0].tolist() == together[i, :m].tolist()


def spelled(row: list[int]) -> tuple[Spelling, Cond]:
    """States that are sure of those symbols."""
    spelling = Spelling(4, 4)
    with torch.no_grad():
        spelling.weight.copy_(40 * torch.eye(4))
        spelling.bias.zero_()
    return spelling, Cond(tokens=torch.eye(4)[torch.tensor([row])], tokens_mask=torch.ones(1, len(row), dtype=torch.bool))


def test_symbols_hold_until_the_next_begins() -> None:
    spelling, cond = spelled([0, 2, 0, 0, 2, 0, 3, 0, 0])
    held, possible = spelling.held(cond, torch.tensor([[2, 2, 3]]), torch.ones(1, 3, dtype=torch.bool))
    assert held.tolist() == [[0, 2, 0, 0, 2, 2, 3, 0, 0]] and possible.all()
    assert collapsed(held[0].tolist()) == [2, 2, 3] == spelling.greedy(cond)[0]
    _, possible = spelling.held(cond, torch.full((1, 6), 2), torch.ones(1, 6, dtype=torch.bool))
    assert not possible.any(), "six that are the same need eleven states"


def test_a_transcript_costs_what_all_its_paths_are_worth() -> None:
    log_p = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    spelling = Spelling(4, 4)
    with torch.no_grad():
        spelling.weight.copy_(torch.eye(4))
        spelling.bias.zero_()
    cond = Cond(tokens=log_p, tokens_mask=torch.ones(1, 4, dtype=torch.bool))
    paths = [p for p in product(range(4), repeat=4) if collapsed(list(p)) == [A, B]]
    every = [sum(float(log_p[0, j, c]) for j, c in enumerate(p)) for p in paths]
    whole, three = -float(torch.tensor(every).logsumexp(0)) / 2, torch.ones(1, 3, dtype=torch.bool)
    assert float(spelling.loss(cond, torch.tensor([[A, B]]), three[:, :2]).detach()) == pytest.approx(whole, rel=1e-5)
    spelling, cond = spelled([0, 2, 2, 0, 2, 3, 0])
    right, wrong = (float(spelling.loss(cond, torch.tensor([ids]), three).detach()) for ids in ([2, 2, 3], [2, 3, 3]))
    assert right < 0.01 < wrong
