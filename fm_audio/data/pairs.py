"""Pairs of texts to padded batches, pairs of like length together.

    files ─▶ [Pair] ─▶ ids of both vocabularies ─▶ BucketPlan (which pairs together) ─▶ TextBatch

The order of batches is a function of (seed, epoch) alone, and a resumed run goes on behind the batches that are done, as with
speech (`fm_audio.data.speech`). Pairs that a vocabulary refuses are counted and named in the log; if all are, that is an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from fm_audio.data.batches import TextBatch
from fm_audio.data.loader import Batches, Loader, Position, SizedLoader, position_of
from fm_audio.data.sampling import BucketPlan
from fm_audio.data.text.pairs import Pair, read_pairs
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.types import FmAudioError, length_mask

log = logging.getLogger(__name__)
SHOWN = 3  # refused pairs that the log names

EncodedPair = tuple[list[int], list[int]]  # ids of the source (none without one) and of the target


class PairsDataset(Dataset):
    """A list of encoded pairs in, a TextBatch out."""

    def __getitem__(self, batch: Sequence[EncodedPair]) -> TextBatch:
        target, target_mask = _padded([t for _, t in batch])
        if not batch[0][0]:
            return TextBatch(target, target_mask)
        return TextBatch(target, target_mask, *_padded([s for s, _ in batch]))


class PairsDataModule(lightning.LightningDataModule):
    """Pairs for training and validation.

    pairs, validation_pairs: .tsv or .jsonl files (`fm_audio.data.text.pairs`), made by data_prep. source None leaves sources
    unread. batch_tokens: padded ids of sources and targets in a batch on each rank. buckets: groups of like length that batches
    come from.
    """

    def __init__(
        self,
        pairs: list[str],
        validation_pairs: list[str],
        source: Vocabulary | None,
        target: Vocabulary,
        batch_tokens: int = 4096,
        buckets: int = 8,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not pairs:
            raise FmAudioError("data: pairs is empty; give at least one .tsv made by data_prep, such as data_prep.pronunciations")
        self.paths, self.validation_paths = list(pairs), list(validation_pairs)
        self.source, self.target, self.workers = source, target, workers
        self._plan = BucketPlan((1.0,), batch_tokens, None, buckets, seed)
        self._pairs: list[EncodedPair] = []
        self._validation: list[EncodedPair] = []

    def setup(self, stage: str | None = None) -> None:
        """Read and encode the files; count and name what the vocabularies refuse."""
        if not self._pairs:
            self._pairs = self._encoded(self.paths)
        if not self._validation and self.validation_paths:
            self._validation = self._encoded(self.validation_paths)

    def train_dataloader(self) -> SizedLoader:
        trainer = self._trainer()
        world_size, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        return self.loader(self._pairs, True, lambda: position_of(trainer), world_size, rank)

    def val_dataloader(self) -> Loader | list:
        if not self._validation:
            return []
        trainer = self._trainer()
        world_size, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        return self.loader(self._validation, False, lambda: (0, 0), world_size, rank)

    def endless(self) -> Iterator[TextBatch]:
        """Training batches epoch after epoch, each in an order of its own, for training loops without a trainer."""
        epoch = 0
        loader = self.loader(self._pairs, True, lambda: (epoch, 0))
        while True:
            yield from loader
            epoch += 1

    def loader(
        self, pairs: Sequence[EncodedPair], shuffle: bool, position: Position, world_size: int = 1, rank: int = 0
    ) -> SizedLoader:
        """A loader that starts at `position() -> (epoch, batches done)`; for training loops without a trainer."""
        # The plan counts seconds of clips; here what is long is a number of ids.
        plan = replace(
            self._plan, seconds=tuple(float(len(s) + len(t)) for s, t in pairs), shuffle=shuffle, world_size=world_size
        )
        identity = {"pairs": len(pairs), "tokens": int(sum(plan.seconds)), "batches": len(plan), "seed": plan.seed}

        def epoch(number: int) -> Iterator[list[EncodedPair]]:
            return ([pairs[i] for i in batch] for batch in plan.epoch(number, rank))

        return SizedLoader(PairsDataset(), Batches(epoch, position), self.workers, identity)

    def _trainer(self) -> Any:
        return getattr(self, "trainer", None)

    def _encoded(self, paths: Sequence[str]) -> list[EncodedPair]:
        pairs = [p for path in paths for p in read_pairs(path)]
        kept, refused = [], []
        for pair in pairs:
            try:
                kept.append(self._ids(pair))
            except FmAudioError as e:
                refused.append(str(e))
        if not kept:
            raise FmAudioError(f"pairs: none of {len(pairs)} of {', '.join(paths)} can be read; the first: {refused[0]}")
        if refused:
            log.warning("%d of %d pairs left out: %s", len(refused), len(pairs), "; ".join(refused[:SHOWN]))
        return kept

    def _ids(self, pair: Pair) -> EncodedPair:
        if self.source is None:
            return [], self.target.encode(pair.target)
        if pair.source is None:
            raise FmAudioError("a pair has no source; give files with two columns, or source: null to write freely")
        return self.source.encode(pair.source), self.target.encode(pair.target)


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    ids = pad_sequence([torch.tensor(row, dtype=torch.long) for row in rows], batch_first=True)
    return ids, length_mask(torch.tensor([len(row) for row in rows]))
