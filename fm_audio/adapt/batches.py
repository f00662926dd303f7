"""What an adaptation trains on: batches without end, those of the new voice and, now and then, of voices the base knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from torch import Tensor

from fm_audio.data.batches import SpeechBatch
from fm_audio.data.clips import SpeechClip, SpeechDataset
from fm_audio.data.speech import SpeechDataModule
from fm_audio.data.text.frontend import FrontEnd

if TYPE_CHECKING:
    from lhotse.cut import Cut

BUCKETS = 12


class Endless:
    """Epoch after epoch of the same cuts, each in an order of its own."""

    def __init__(
        self,
        cuts: Sequence[Cut],
        model: Any,
        reads: FrontEnd,
        batch_seconds: float,
        seed: int,
        fill_above_hz: float | None = None,
    ):
        self.epoch = 0
        buckets = max(1, min(BUCKETS, int(sum(c.duration for c in cuts) / batch_seconds)))
        pitch = getattr(model, "pitch", None) is not None  # what clones is told no pitch
        data = SpeechDataModule(
            ["given"], [], model.spec, reads, batch_seconds, buckets=buckets, seed=seed, pitch=pitch,
            fill_above_hz=fill_above_hz,
        )  # fmt: skip
        self.loader = data.loader(cuts, True, lambda: (self.epoch, 0))

    def __iter__(self) -> Iterator[SpeechBatch]:
        while True:
            yield from self.loader
            self.epoch += 1

    def align_again(self, durations: Callable[[SpeechClip], Tensor]) -> None:
        """Other durations for the clips that were met so far; `durations` sees each and says how long its symbols last."""
        assert isinstance(self.loader.dataset, SpeechDataset)
        self.loader.dataset.align_again(durations)


class WithReplay:
    """A share of the batches from another source, evenly spread."""

    def __init__(self, mine: Iterable[Any], other: Iterable[Any], share: float):
        self.mine, self.other, self.share = mine, other, share

    def __iter__(self) -> Iterator[SpeechBatch]:
        mine, other = iter(self.mine), iter(self.other)
        for i in count():
            yield next(other if int((i + 1) * self.share) > int(i * self.share) else mine)


class Once(list[SpeechBatch]):
    """Every cut once, to look at."""

    def __init__(
        self, cuts: Sequence[Cut], model: Any, reads: FrontEnd, batch_seconds: float, fill_above_hz: float | None = None
    ):
        self._endless = Endless(cuts, model, reads, batch_seconds, 0, fill_above_hz)
        super().__init__(self._endless.loader)

    def align_again(self, durations: Callable[[SpeechClip], Tensor]) -> None:
        """The same clips with other durations."""
        self._endless.align_again(durations)
        self[:] = self._endless.loader
