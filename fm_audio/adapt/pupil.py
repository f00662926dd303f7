"""Who learns: a voice that speaks, or a model that clones. All that sets the two apart while they are adapted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fm_audio.adapt.batches import Endless, Once
from fm_audio.adapt.likening import Likened
from fm_audio.adapt.recordings import Recordings
from fm_audio.audio import Audio
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.cuts import load_cuts
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.voices.adapter import Adapter

if TYPE_CHECKING:
    from lhotse.cut import Cut

Says = Callable[[Sequence[str]], list[Audio]]


class Pupil(ABC):
    """A base, on its way to a new voice called `name`. `how` are arguments of what speaks."""

    folder: Path  # of the base
    base_name: str
    model: Any  # the task: AlignedTTS or InfillTTS
    fills_bands = True  # above where recordings end
    who_before: str  # who says the sentences before anything is learned
    who_kept: str  # who may be forgotten when all weights move

    def __init__(self, name: str, how: Mapping[str, Any]):
        self.name, self.how = name, dict(how)

    @abstractmethod
    def require_free(self) -> None:
        """Refuse a name that the base has already."""

    @abstractmethod
    def require_whole(self) -> None:
        """Refuse a base of which no whole voice can be made."""

    @abstractmethod
    def hears(
        self, recordings: Recordings, reads: FrontEnd | None, end_hz: float | None, replay: Sequence[Cut]
    ) -> list[Likened]:
        """What is found in the recordings, in place, before anything is learned; returns what texts of another language were
        taken for."""

    @abstractmethod
    def grown(self) -> None:
        """Told when the model has rows for what is new."""

    @abstractmethod
    def start(self, batch: SpeechBatch, seed: int) -> str:
        """Where the new voice begins, by a batch of its recordings; in words that follow "It began …"."""

    @abstractmethod
    def say(self, texts: Sequence[str]) -> list[Audio]:
        """Each text said alone, text i with seed i: as the new voice, or as the base would until there is one."""

    @abstractmethod
    def say_as_base(self, texts: Sequence[str]) -> list[Audio] | None:
        """The same as somebody whom the base knows, to hear what is forgotten; None where there is nobody."""

    @abstractmethod
    def kept_before(self, texts: Sequence[str]) -> list[Audio] | None:
        """What `say_as_base` says before training, where `say` does not say that already."""

    @abstractmethod
    def again(self, sources: Sequence[Endless | Once], by_phones: bool) -> tuple[Sequence[int], Callable[[], None]] | None:
        """After which steps to align another language again, and how; None where training does so by itself."""

    @abstractmethod
    def known(self, path: Path, max_seconds: float) -> list[Cut]:
        """Cuts to replay. Raises FmAudioError when there are none that the base knows."""

    @abstractmethod
    def adapter(self, base: str, fingerprint: str, reads: Mapping[str, Any] | None, facts: Any) -> Adapter:
        """What low-rank layers learned."""

    @abstractmethod
    def write_whole(self, folder: Path, reads: Mapping[str, Any] | None, facts: Any) -> None:
        """The model as it is, as a folder of its own."""

    @abstractmethod
    def loaded(self, folder: Path, full: bool) -> Says:
        """What was written, read back from the folder: whoever uses it hears this."""

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def usable_cuts(path: Path, max_seconds: float) -> list[Cut]:
    """Those of a manifest, or of a folder with one, that have one text and are not too long."""
    place = path / "cuts.jsonl.gz" if path.is_dir() else path
    return [c for c in load_cuts(place) if len(c.supervisions) == 1 and c.supervisions[0].text and c.duration <= max_seconds]
