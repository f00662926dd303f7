"""Batches are a function of seed and epoch, respect the budget, hold every clip once and split evenly between ranks."""

from __future__ import annotations

import random

import pytest

from fm_audio.data.sampling import BucketPlan
from fm_audio.types import FmAudioError

SECONDS = tuple(random.Random(1).uniform(0.5, 15.0) for _ in range(203))
PLAN = BucketPlan(SECONDS, batch_seconds=40, quadratic_duration_seconds=20, buckets=7)


@pytest.mark.parametrize("epoch", [0, 1, 17])
def test_every_clip_once_and_as_many_batches_in_every_epoch(epoch):
    batches = PLAN.epoch(epoch)
    assert sorted(i for b in batches for i in b) == list(range(len(SECONDS)))
    assert len(batches) == len(PLAN)


def test_no_batch_costs_more_than_the_budget_unless_it_is_one_clip():
    for batch in PLAN.epoch(3):
        assert len(batch) == 1 or len(batch) * max(PLAN.cost(SECONDS[i]) for i in batch) <= PLAN.batch_seconds
    assert PLAN.cost(20.0) == 40.0 and BucketPlan((1.0,), 5.0).cost(3.0) == 3.0


def test_same_seed_and_epoch_same_batches_and_others_differ():
    assert PLAN.epoch(4) == BucketPlan(SECONDS, 40, 20, 7).epoch(4)
    assert PLAN.epoch(4) != PLAN.epoch(5) != BucketPlan(SECONDS, 40, 20, 7, seed=1).epoch(5)


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_partition_the_data_with_as_many_batches_each(world_size):
    plan = BucketPlan(SECONDS, 40, 20, 7, world_size=world_size)
    ranks = [plan.epoch(2, rank) for rank in range(world_size)]
    assert {len(r) for r in ranks} == {len(plan)}
    assert all(batch for rank in ranks for batch in rank)
    seen = sorted(i for rank in ranks for batch in rank for i in batch)
    assert sorted(set(seen)) == list(range(len(SECONDS)))
    assert len(seen) - len(SECONDS) < world_size * plan.buckets  # what is repeated fills the last batch of a bucket at most


def test_like_lengths_stand_together():
    spread = [max(SECONDS[i] for i in b) - min(SECONDS[i] for i in b) for b in PLAN.epoch(0)]
    assert sum(spread) / len(spread) < 2.0


def test_without_shuffling_the_order_is_that_of_length():
    plan = BucketPlan(SECONDS, 40, 20, 7, shuffle=False)
    flat = [SECONDS[i] for b in plan.epoch(9) for i in b]
    assert flat == sorted(flat)


def test_nothing_to_sample_is_refused():
    with pytest.raises(FmAudioError, match="no clips"):
        BucketPlan((), 10.0)
    with pytest.raises(FmAudioError, match="batch_seconds"):
        BucketPlan((1.0,), 0.0)
