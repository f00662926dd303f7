"""Speech and pairs of texts side by side: each step has a batch to speak, a batch to listen to and a batch to write.

    batch number g of a run:   of a corpus with n batches an epoch, batch g mod n of its epoch g div n

The joint epoch is as long as the longest of the three, so the others begin anew within it and are seen more often: directions are
balanced by steps, not by the size of their corpora. As in each of them, what a step sees is a function of (seed, g) alone, and a
resumed run goes on behind what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any

import lightning
from torch.utils.data import Dataset

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import JointBatch
from fm_audio.data.cuts import is_shar
from fm_audio.data.loader import Batches, Position, SizedLoader, position_of
from fm_audio.data.pairs import PairsDataModule
from fm_audio.data.speech import SpeechDataModule
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.types import FmAudioError


class JointDataset(Dataset):
    """Three lists, of cuts to speak, cuts to listen to and encoded pairs, in; a JointBatch out."""

    def __init__(self, parts: Sequence[Dataset]) -> None:
        self.parts = tuple(parts)

    def __getitem__(self, lists: Sequence[Any]) -> JointBatch:
        return JointBatch(*(part[items] for part, items in zip(self.parts, lists, strict=True)))


class JointDataModule(lightning.LightningDataModule):
    """Cuts that are spoken and listened to, pairs of texts that are answered.

    spec, frontend, source, target: those of the task. `pairs`, `batch_tokens` and `pair_buckets` are as in `PairsDataModule`, the
    others as in `SpeechDataModule`; a batch to speak has `batch_seconds`, one to listen to `listening_seconds`.
    validation_batches: how many joint batches to validate on, spread over the three corpora.
    """

    def __init__(
        self,
        cuts: list[str],
        validation_cuts: list[str],
        pairs: list[str],
        validation_pairs: list[str],
        spec: AudioSpec,
        frontend: FrontEnd,
        source: Vocabulary,
        target: Vocabulary,
        batch_seconds: float = 90.0,
        listening_seconds: float = 90.0,
        batch_tokens: int = 2048,
        validation_batches: int = 8,
        quadratic_duration_seconds: float | None = 30.0,
        buckets: int = 12,
        pair_buckets: int = 8,
        max_seconds: float = 20.0,
        min_seconds: float = 0.3,
        workers: int = 0,
        seed: int = 0,
        cache: bool = True,
        pitch: bool = False,
        fill_above_hz: float | None = None,
    ) -> None:
        super().__init__()
        streamed = [path for path in cuts if is_shar(path)]
        if streamed:
            raise FmAudioError(f"data: {streamed[0]} is a Shar folder, whose epochs have no length; give cuts.jsonl.gz")
        if not validation_cuts or not validation_pairs:
            raise FmAudioError("data: give validation_cuts and validation_pairs both; all directions are validated")
        if validation_batches < 1:
            raise FmAudioError(f"data: validation_batches is {validation_batches}; give 1 or more")
        self.workers, self.validation_batches = workers, validation_batches
        heard = (quadratic_duration_seconds, buckets, max_seconds, min_seconds, 0)
        # A seed of its own for each, so that a step does not speak the clips that it listens to.
        self.speech = SpeechDataModule(
            cuts, validation_cuts, spec, frontend, batch_seconds, *heard, seed, cache, pitch, fill_above_hz
        )
        self.listening = SpeechDataModule(
            cuts, validation_cuts, spec, Spelled(target), listening_seconds, *heard, seed + 1, cache, fill_above_hz=fill_above_hz
        )
        self.writing = PairsDataModule(pairs, validation_pairs, source, target, batch_tokens, pair_buckets, 0, seed + 2)

    def setup(self, stage: str | None = None) -> None:
        for part in self._parts():
            part.setup(stage)

    def train_dataloader(self) -> SizedLoader:
        return self.loader(lambda: position_of(self.trainer))

    def loader(self, position: Position) -> SizedLoader:
        """A loader that starts at `position() -> (joint epoch, batches done)`; for training loops without a trainer."""
        loaders = [part.train_dataloader() for part in self._parts()]
        length = max(map(len, loaders))

        def epoch(number: int) -> Iterator[tuple[Any, ...]]:
            return islice(zip(*(_batches_from(loader, number * length) for loader in loaders), strict=True), length)

        identity = {f"{key} {i}": v for i, loader in enumerate(loaders) for key, v in loader.identity.items()}
        dataset = JointDataset([loader.dataset for loader in loaders])
        return SizedLoader(dataset, Batches(epoch, position), self.workers, identity | {"batches": length})

    def val_dataloader(self) -> SizedLoader:
        loaders = [part.val_dataloader() for part in self._parts()]
        length = min(self.validation_batches, max(map(len, loaders)))

        def epoch(_: int) -> Iterator[tuple[Any, ...]]:
            return zip(*(_spread(list(loader.batches.epoch(0)), length) for loader in loaders), strict=True)

        dataset = JointDataset([loader.dataset for loader in loaders])
        return SizedLoader(dataset, Batches(epoch, lambda: (0, 0)), self.workers, {"batches": length})

    def _parts(self) -> list[Any]:
        parts: list[Any] = [self.speech, self.listening, self.writing]
        for part in parts:
            part.trainer = self.trainer  # which tells how many ranks there are
        return parts


def _batches_from(loader: SizedLoader, number: int) -> Iterator[Any]:
    """The lists of items of a corpus from batch `number` of its run on, through as many epochs as it takes."""
    done = number % len(loader)
    for epoch in count(number // len(loader)):
        yield from islice(loader.batches.epoch(epoch), done, None)
        done = 0


def _spread(batches: Sequence[Any], length: int) -> list[Any]:
    """`length` of the batches, which stand in the order of their lengths, at even distances; repeated where they are fewer."""
    return [batches[k * len(batches) // length] for k in range(length)]
