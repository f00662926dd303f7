"""A model that clones learns one person well: it goes on infilling, on that person's recordings alone, and keeps one of them to
clone from when it is given no other.

What it does with that recording before anything is learned is what cloning is worth without an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fm_audio.adapt.alignment import LEARNING_WEIGHT, align, align_again, of_seen, steps_to_align
from fm_audio.adapt.batches import Endless, Once
from fm_audio.adapt.folders import write_cloner
from fm_audio.adapt.growth import collect, whole_state
from fm_audio.adapt.likening import Likened
from fm_audio.adapt.pupil import Pupil, Says, usable_cuts
from fm_audio.adapt.recordings import Recordings
from fm_audio.audio import Audio
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.cuts import wave_of_cut
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.encoders.timed_text import TimedText
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import Adapter
from fm_audio.voices.cloner import Cloner, load_cloner
from fm_audio.voices.reference import Reference, require_reference

if TYPE_CHECKING:
    from lhotse.cut import Cut

REFERENCE_SECONDS = 6.0  # about what is kept to clone from: long enough for a voice, short enough to be quick


class CloningPupil(Pupil):
    """A `Cloner`, which is shown a training clip of the person, before and after."""

    def __init__(self, folder: Path, name: str, how: Mapping[str, Any], device: str):
        super().__init__(name, how)
        self.cloner, self.folder = load_cloner(folder, device), folder
        self.model, self.base_name, self._answers = self.cloner.model, self.cloner.name, self.cloner.name
        self.fills_bands = self.cloner.fills_bands
        self.who_before = f"base {self.base_name}, cloning the same recording"
        self.who_kept = f"base {self.base_name}, cloning somebody of --replay"
        self.model.perturb = None  # it made other people of whom is learned
        self._stranger: Reference | None = None

    def require_free(self) -> None:
        if self.name in self.cloner.voices:
            raise FmAudioError(f"--name {self.name}: so the base is called; choose another")

    def require_whole(self) -> None:
        """There is nothing else in a model that clones."""

    def hears(
        self, recordings: Recordings, reads: FrontEnd | None, end_hz: float | None, replay: Sequence[Cut]
    ) -> list[Likened]:
        self.reference = self._reference(recordings.train)
        if replay:
            self._stranger = self._reference(replay)
        if not isinstance(self.model.text, TimedText):
            return []
        align(replay, self.model, lambda _: of_seen(self.model))
        cuts = [*recordings.train, *recordings.held_out]
        return align(cuts, self.model, lambda _: of_seen(self.model), reads, end_hz)

    def _reference(self, cuts: Sequence[Cut]) -> Reference:
        """The clip that is nearest to `REFERENCE_SECONDS`."""
        cut = min(cuts, key=lambda c: abs(c.duration - REFERENCE_SECONDS))
        sound = Audio(wave_of_cut(cut, self.cloner.spec.sample_rate), self.cloner.spec.sample_rate)
        require_reference(sound)
        return Reference(sound, " ".join(cut.supervisions[0].text.split()))

    def grown(self) -> None:
        self.cloner.references[self.name] = self.reference
        self._answers = self.name

    def start(self, batch: SpeechBatch, seed: int) -> str:
        assert isinstance(self.reference.sound, Audio)
        return f"shown {self.reference.sound.seconds:.1f} s of the recordings, which it keeps: “{self.reference.text}”"

    def say(self, texts: Sequence[str]) -> list[Audio]:
        return _cloned(self.cloner, texts, self.reference, self._answers, self.how)

    def say_as_base(self, texts: Sequence[str]) -> list[Audio] | None:
        return None if self._stranger is None else _cloned(self.cloner, texts, self._stranger, self.base_name, self.how)

    kept_before = say_as_base

    def again(self, sources: Sequence[Endless | Once], by_phones: bool) -> tuple[Sequence[int], Callable[[], None]] | None:
        if not isinstance(self.model.text, TimedText):
            return None
        return steps_to_align(by_phones), lambda: align_again(sources, of_seen(self.model, LEARNING_WEIGHT), self.device)

    def known(self, path: Path, max_seconds: float) -> list[Cut]:
        cuts = usable_cuts(path, max_seconds)
        if not cuts:
            raise FmAudioError(f"--replay {path}: has no cut of up to {max_seconds:g} s with one text; give speech of others")
        return cuts

    def adapter(self, base: str, fingerprint: str, reads: Mapping[str, Any] | None, facts: Any) -> Adapter:
        return replace(collect(self.model, self.name, base, fingerprint, facts, reads), reference=self.reference)

    def write_whole(self, folder: Path, reads: Mapping[str, Any] | None, facts: Any) -> None:
        write_cloner(folder, self.folder, whole_state(self.model), reads, facts, self.reference, half=True)

    def loaded(self, folder: Path, full: bool) -> Says:
        cloner = load_cloner(folder, self.device) if full else load_cloner(self.folder, self.device, adapter=folder)
        return lambda texts: _cloned(cloner, texts, cloner.reference(), cloner.voice, self.how)


def _cloned(cloner: Cloner, texts: Sequence[str], known: Reference, voice: str, how: dict[str, Any]) -> list[Audio]:
    recording = known.recording(cloner.spec.sample_rate)
    return [cloner.say(text, recording, known.text, seed=i, voice=voice, **how) for i, text in enumerate(texts)]
