"""Speech corpora to padded batches: cuts are read, their log-mels kept in memory, their alignments carried onto symbols.

    cuts ─▶ BucketPlan (which clips together) ─▶ SpeechDataset (wave ─▶ log-mel, text ─▶ symbols) ─▶ SpeechBatch

The order of batches is a function of (seed, epoch) alone. A resumed run asks the trainer how many batches of the epoch are done
and goes on behind them without opening their audio. Clips that cannot be used are counted by reason and named in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import lightning

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.clips import SpeechDataset, key_of
from fm_audio.data.cuts import is_shar, load_cuts, source_of
from fm_audio.data.frozen_captions import FrozenCaptions
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.loader import Batches, Loader, Position, SizedLoader, position_of
from fm_audio.data.neighbours import Neighbours
from fm_audio.data.sampling import BucketPlan
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.types import FmAudioError

if TYPE_CHECKING:
    from lhotse.cut import Cut

log = logging.getLogger(__name__)
SPARE_CLIPS = 16  # one of these stands in when a whole batch is unreadable, so that no rank is left waiting


class SpeechDataModule(lightning.LightningDataModule):
    """Cuts for training and validation.

    cuts, validation_cuts: manifests made by data_prep, or one Shar folder (streamed: not cached, an epoch's length unknown).
    batch_seconds: speech in a batch on each rank, each clip counted as d + d²/quadratic_duration_seconds, padding included.
    buckets: groups of like duration that batches come from. Clips outside of [min_seconds, max_seconds] are left out.
    workers: processes that read ahead, each with a cache of its own; 0 reads in the training process.
    cache: keep log-mels in memory (float16, 67 MB an hour at 24 kHz and 100 bands). pitch: track F0 too, for tasks that read it.
    listener: a frozen speech encoder whose states of each clip go with it, for tasks that listen through one.
    fill_above_hz: where recordings end, when the mel contract goes higher: bands above are filled (`fm_audio.bandwidth`).
    captions: texts tell what is heard, they are not said in the clip.
    retrieve: so many training clips whose captions are nearest go with each clip, for tasks that look at them; never the clip
    itself or another cut of its recording. retrieve_by: the text encoder that compares captions; None compares words.
    """

    def __init__(
        self,
        cuts: list[str],
        validation_cuts: list[str],
        spec: AudioSpec,
        frontend: FrontEnd,
        batch_seconds: float = 90.0,
        quadratic_duration_seconds: float | None = 30.0,
        buckets: int = 12,
        max_seconds: float = 20.0,
        min_seconds: float = 0.3,
        workers: int = 0,
        seed: int = 0,
        cache: bool = True,
        pitch: bool = False,
        fill_above_hz: float | None = None,
        listener: FrozenListener | None = None,
        captions: bool = False,
        retrieve: int = 0,
        retrieve_by: FrozenCaptions | None = None,
    ) -> None:
        super().__init__()
        if not cuts:
            raise FmAudioError(
                "data: cuts is empty; give at least one cuts.jsonl.gz made by python -m data_prep.<corpus> RAW OUT"
            )
        if any(map(is_shar, cuts)) and len(cuts) > 1:
            raise FmAudioError(
                f"data: {cuts} mixes a Shar folder with other cuts; export them together with python -m data_prep.shar"
            )
        if retrieve and (any(map(is_shar, cuts)) or not cache):
            raise FmAudioError("data: retrieve looks among clips in memory; give cuts that are no Shar, and cache: true")
        self.cuts_paths, self.validation_paths = list(cuts), list(validation_cuts)
        self.captions, self.retrieve, self.retrieve_by = captions, retrieve, retrieve_by
        self._found: dict[tuple, list[Cut]] | None = None
        self.spec, self.frontend = spec, frontend
        self.min_seconds, self.max_seconds, self.workers = min_seconds, max_seconds, workers
        self.cache, self.pitch, self.fill_above_hz, self.listener = cache, pitch, fill_above_hz, listener
        self._plan = BucketPlan((1.0,), batch_seconds, quadratic_duration_seconds, buckets, seed)
        self._cuts: list[Cut] = []
        self._validation: list[Cut] = []

    def setup(self, stage: str | None = None) -> None:
        """Read the manifests; count and name what is too short or too long."""
        if not self._cuts and not self.streamed:
            self._cuts = self._fitting(self.cuts_paths)
        if not self._validation:
            self._validation = self._fitting(self.validation_paths)
        if self.retrieve and self._found is None:
            self._found = self._look_up()

    def _look_up(self) -> dict[tuple, list[Cut]]:
        """What goes with each clip."""
        among = Neighbours([c.supervisions[0].text for c in self._cuts], list(map(source_of, self._cuts)), self.retrieve_by)
        asking = [*self._cuts, *self._validation]
        rows = among.nearest([c.supervisions[0].text for c in asking], self.retrieve, [{source_of(c)} for c in asking])
        return {key_of(cut): [self._cuts[i] for i, _ in row] for cut, row in zip(asking, rows, strict=True)}

    @property
    def streamed(self) -> bool:
        return is_shar(self.cuts_paths[0])

    def train_dataloader(self) -> Loader:
        if self.streamed:
            return self._stream()
        trainer = self._trainer()
        return self.loader(
            self._cuts, True, self._position, trainer.world_size if trainer else 1, trainer.global_rank if trainer else 0
        )

    def val_dataloader(self) -> Loader | list:
        if not self._validation:
            return []
        trainer = self._trainer()
        return self.loader(
            self._validation, False, lambda: (0, 0), trainer.world_size if trainer else 1, trainer.global_rank if trainer else 0
        )

    def endless(self) -> Iterator[SpeechBatch]:
        """Training batches epoch after epoch, each in an order of its own, for training loops without a trainer."""
        epoch = 0
        loader = self.loader(self._cuts, True, lambda: (epoch, 0))
        while True:
            yield from loader
            epoch += 1

    def loader(self, cuts: Sequence[Cut], shuffle: bool, position: Position, world_size: int = 1, rank: int = 0) -> SizedLoader:
        """A loader that starts at `position() -> (epoch, batches done)`; for training loops without a trainer."""
        plan = replace(self._plan, seconds=tuple(c.duration for c in cuts), shuffle=shuffle, world_size=world_size)
        dataset = self._dataset(self.cache, cuts[:SPARE_CLIPS])
        identity = {"clips": len(cuts), "seconds": round(sum(plan.seconds), 3), "batches": len(plan), "seed": plan.seed}

        def epoch(number: int) -> Iterator[list[Cut]]:
            return ([cuts[i] for i in batch] for batch in plan.epoch(number, rank))

        return SizedLoader(dataset, Batches(epoch, position), self.workers, identity)

    def _stream(self) -> Loader:
        """Shar: Lhotse's own dynamic bucketing over the stream; done batches are drawn again but not decoded."""
        from lhotse.dataset import DynamicBucketingSampler

        trainer, plan = self._trainer(), self._plan
        cuts = load_cuts(self.cuts_paths[0]).filter(self._fits)

        def epoch(number: int) -> Iterable[Any]:
            sampler = DynamicBucketingSampler(
                cuts,
                max_duration=plan.batch_seconds,
                quadratic_duration=plan.quadratic_duration_seconds,
                num_buckets=plan.buckets,
                shuffle=True,
                seed=plan.seed,
                world_size=trainer.world_size if trainer else 1,
                rank=trainer.global_rank if trainer else 0,
            )
            sampler.set_epoch(number)
            return sampler

        dataset = self._dataset(False, list(islice(iter(cuts), SPARE_CLIPS)))
        return Loader(dataset, Batches(epoch, self._position), self.workers, {"shar": self.cuts_paths[0], "seed": plan.seed})

    def _dataset(self, cache: bool, spare: Sequence[Cut]) -> SpeechDataset:
        return SpeechDataset(
            self.spec,
            self.frontend,
            cache,
            spare=spare,
            pitch=self.pitch,
            fill_above_hz=self.fill_above_hz,
            listener=self.listener,
            captions=self.captions,
            found=self._found,
        )

    def _trainer(self) -> Any:
        return getattr(self, "trainer", None)

    def _position(self) -> tuple[int, int]:
        return position_of(self._trainer())

    def _fits(self, cut: Cut) -> bool:
        return self.min_seconds <= cut.duration <= self.max_seconds

    def _fitting(self, paths: list[str]) -> list[Cut]:
        """All cuts of the manifests with exactly one supervision and a fitting length."""
        cuts = [cut for path in paths for cut in load_cuts(path)]
        odd = [c.id for c in cuts if len(c.supervisions) != 1 or not c.supervisions[0].text]
        if odd:
            raise FmAudioError(
                f"cuts: {len(odd)} of {len(cuts)} have no text or several supervisions ({', '.join(odd[:5])}); "
                "use lhotse's trim_to_supervisions first"
            )
        unfit = [c.id for c in cuts if not self._fits(c)]
        if unfit:
            shown = ", ".join(unfit[:8])
            log.warning(
                "%d of %d clips outside of %g to %g s left out: %s",
                len(unfit),
                len(cuts),
                self.min_seconds,
                self.max_seconds,
                shown,
            )
        if cuts and len(unfit) == len(cuts):
            raise FmAudioError(f"cuts: no clip of {', '.join(paths)} lasts {self.min_seconds:g} to {self.max_seconds:g} s")
        return [c for c in cuts if self._fits(c)]
