"""The share of each token in each state is what counting all ways gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fm_audio.encoders.occupancy import occupancy
from fm_audio.types import FmAudioError, length_mask
from tests.unit.tasks.test_phone_reader import ways


@pytest.mark.parametrize("seed", range(15))
def test_it_is_the_mean_over_all_ways(seed: int) -> None:
    log_p, optional, every = ways(seed)
    k, s = log_p.shape
    weight = np.exp([sum(log_p[j, state] for j, state in enumerate(p)) for p in every])
    expected = np.zeros((k, s))
    for way, w in zip(every, weight / weight.sum(), strict=True):
        expected[np.arange(k), way] += w
    ones = torch.ones(1, k, dtype=torch.bool), torch.ones(1, s, dtype=torch.bool)
    found = occupancy(torch.tensor(log_p)[None], ones[0], torch.tensor([optional]), ones[1])[0]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), rtol=1e-5, atol=1e-6)


def test_in_company_it_is_what_it_is_alone() -> None:
    torch.manual_seed(0)
    tokens, states = torch.tensor([9, 14]), torch.tensor([3, 7])
    log_p, optional = torch.randn(2, 14, 7), torch.tensor([[True, False] * 3 + [True]]).expand(2, -1)
    log_p[0, 9:], log_p[0, :, 3:] = torch.nan, torch.nan
    both = occupancy(log_p, length_mask(tokens), optional & length_mask(states), length_mask(states))
    alone = occupancy(log_p[:1, :9, :3], length_mask(tokens[:1]), optional[:1, :3], length_mask(states[:1]))
    torch.testing.assert_close(both[0, :9, :3], alone[0])
    assert not both[0, 9:].any() and not both[0, :, 3:].any()
    torch.testing.assert_close(both[1].sum(-1), torch.ones(14))


def test_what_does_not_fit_is_said() -> None:
    log_p, one = torch.zeros(1, 2, 3), torch.ones(1, 3, dtype=torch.bool)
    with pytest.raises(FmAudioError, match="3 phones do not fit into 2 tokens"):
        occupancy(log_p, one[:, :2], ~one, one)
