"""Which clips make which batch: buckets of like duration, a cost that grows with its square, the same for ever for (seed, epoch).

    cost(d) = d + d² / quadratic_duration_seconds      (as in Lhotse's samplers)      batch size = ⌊budget / cost(longest)⌋

An epoch is a list that can be sliced, so a run that was killed goes on in the middle without touching the audio before it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from fm_audio.types import FmAudioError


@dataclass(frozen=True)
class BucketPlan:
    """`seconds[i]` is the duration of clip i. Every epoch has the same number of batches, on every rank.

    With several ranks a batch is `world_size` times as large and each rank takes its share, so ranks see clips of like length.
    """

    seconds: tuple[float, ...]
    batch_seconds: float
    quadratic_duration_seconds: float | None = None
    buckets: int = 10
    seed: int = 0
    world_size: int = 1
    shuffle: bool = True

    def __post_init__(self) -> None:
        if not self.seconds:
            raise FmAudioError("no clips to make batches of; see the report of what was left out")
        if self.batch_seconds <= 0 or self.buckets < 1:
            raise FmAudioError(f"batch_seconds={self.batch_seconds}, buckets={self.buckets}: both must be above zero")

    def cost(self, seconds: float) -> float:
        """What a clip of that length takes of the budget, in seconds."""
        q = self.quadratic_duration_seconds
        return seconds if q is None else seconds + seconds**2 / q

    def __len__(self) -> int:
        """Batches in an epoch, on each rank."""
        return sum(math.ceil(len(b) / self._size(b)) for b in self._buckets())

    def epoch(self, epoch: int, rank: int = 0) -> list[list[int]]:
        """The batches of one epoch as clip indices: a pure function of the arguments and the fields."""
        rng = random.Random(f"{self.seed}/{epoch}")
        whole = []
        for bucket in self._buckets():
            order = list(bucket)
            if self.shuffle:
                rng.shuffle(order)
            size = self._size(bucket)
            whole += [order[i : i + size] for i in range(0, len(order), size)]
        if self.shuffle:
            rng.shuffle(whole)
        return [self._share(batch, rank) for batch in whole]

    def _share(self, batch: list[int], rank: int) -> list[int]:
        """Every rank gets something: a batch with fewer clips than ranks repeats its first ones."""
        short = max(0, self.world_size - len(batch))
        full = batch + [batch[i % len(batch)] for i in range(short)]
        return full[rank :: self.world_size]

    def _size(self, bucket: Sequence[int]) -> int:
        longest = max(self.seconds[i] for i in bucket)
        return self.world_size * max(1, int(self.batch_seconds // self.cost(longest)))

    def _buckets(self) -> list[list[int]]:
        """Clips by length, cut where a bucket holds its share of the cost."""
        order = sorted(range(len(self.seconds)), key=lambda i: (self.seconds[i], i))
        share = sum(self.cost(s) for s in self.seconds) / self.buckets
        out: list[list[int]] = [[]]
        filled = 0.0
        for i in order:
            if filled >= share and len(out) < self.buckets:
                out.append([])
                filled = 0.0
            out[-1].append(i)
            filled += self.cost(self.seconds[i])
        return out
