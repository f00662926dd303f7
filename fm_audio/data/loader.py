"""Loaders that go on where a run was stopped: the order of batches is a function of the epoch, and those done are passed over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader, Dataset

log = logging.getLogger(__name__)

Position = Callable[[], tuple[int, int]]  # the epoch, and how many of its batches are done


def position_of(trainer: Any) -> tuple[int, int]:
    """Where a Lightning trainer stands; at the start without one."""
    if trainer is None:
        return 0, 0
    return trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.processed


class Batches:
    """What a DataLoader takes as its sampler: lists of items, from where the position says."""

    def __init__(self, epoch: Callable[[int], Iterable[Any]], position: Position) -> None:
        self.epoch, self.position = epoch, position

    def __iter__(self) -> Iterator[Any]:
        epoch, done = self.position()
        return islice(iter(self.epoch(epoch)), done, None)


class Loader:
    """Batches of the epoch at hand, from the first that is not done. The position is asked for at the first batch, not before,
    because a trainer that resumes settles its counters only then."""

    def __init__(self, dataset: Dataset, batches: Batches, workers: int, identity: dict[str, Any]) -> None:
        self.identity = identity
        self.dataset, self.batches = dataset, batches
        self._loader = DataLoader(
            dataset,
            sampler=batches,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,  # type: ignore[arg-type]
        )

    def __iter__(self) -> Iterator[Any]:
        yield from self._loader

    @property
    def _iterator(self) -> Any:
        """Where Lightning looks, by this name, for workers to end with the run; the garbage collector waits 5 s for each."""
        return self._loader._iterator

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        self._loader._iterator = iterator

    def state_dict(self) -> dict[str, Any]:
        """What must not change if a resumed run is to see the same batches."""
        return dict(self.identity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        changed = {k: (state.get(k), v) for k, v in self.identity.items() if state.get(k) != v}
        if changed:
            log.warning("the corpus or its batching changed since the checkpoint, batches will differ (then, now): %s", changed)


class SizedLoader(Loader):
    """With a known number of batches in each epoch; streamed corpora have none."""

    def __init__(self, dataset: Dataset, batches: Batches, workers: int, identity: dict[str, Any]) -> None:
        super().__init__(dataset, batches, workers, identity)
        self._length = int(identity["batches"])

    def __len__(self) -> int:
        return self._length
