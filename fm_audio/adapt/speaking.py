"""A voice that speaks learns another: a row in its table of speakers, its recordings aligned by what it knows already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fm_audio.adapt.alignment import align, align_again, of_nearest, of_speaker, steps_to_align
from fm_audio.adapt.batches import Endless, Once
from fm_audio.adapt.folders import require_alone, write_voice
from fm_audio.adapt.growth import collect, start_like, whole_state
from fm_audio.adapt.likening import Likened
from fm_audio.adapt.pupil import Pupil, Says, usable_cuts
from fm_audio.adapt.recordings import Recordings
from fm_audio.audio import Audio
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice, load
from fm_audio.voices.adapter import Adapter
from fm_audio.voices.find import Entry

if TYPE_CHECKING:
    from lhotse.cut import Cut



class SpeakingPupil(Pupil):
    """A `Voice`, called by the base's name until the new one is there."""

    def __init__(self, entry: Entry, name: str, how: Mapping[str, Any], device: str):
        super().__init__(name, how)
        self.entry, self.voice, self.folder = entry, load(entry.folder / entry.name, device), entry.folder
        self.model, self.base_name, self._speaks = self.voice.model, self.voice.name, self.voice.name
        self.who_before = f"base voice {self.base_name}, before"
        self.who_kept = f"base voice {self.base_name}"

    def require_free(self) -> None:
        if self.name in {*self.voice.speakers, *self.model.speakers}:
            raise FmAudioError(f"--name {self.name}: the base has a speaker of that name; choose another")

    def require_whole(self) -> None:
        require_alone(self.entry)

    def hears(
        self, recordings: Recordings, reads: FrontEnd | None, end_hz: float | None, replay: Sequence[Cut]
    ) -> list[Likened]:
        cuts = [*recordings.train, *recordings.held_out]
        return align(cuts, self.model, partial(of_nearest, self.model), reads, end_hz)

    def grown(self) -> None:
        self.voice.speakers[self.name] = self._speaks = self.name

    def start(self, batch: SpeechBatch, seed: int) -> str:
        return f"as the base's speaker `{start_like(self.model, self.name, batch, seed)}`"

    def say(self, texts: Sequence[str]) -> list[Audio]:
        return _spoken(self.voice, texts, self._speaks, self.how)

    def say_as_base(self, texts: Sequence[str]) -> list[Audio] | None:
        return _spoken(self.voice, texts, self.base_name, self.how)

    def kept_before(self, texts: Sequence[str]) -> list[Audio] | None:
        return None

    def again(self, sources: Sequence[Endless | Once], by_phones: bool) -> tuple[Sequence[int], Callable[[], None]] | None:
        return steps_to_align(by_phones), lambda: align_again(sources, of_speaker(self.model, self.name), self.device)

    def known(self, path: Path, max_seconds: float) -> list[Cut]:
        cuts = usable_cuts(path, max_seconds)
        known = [c for c in cuts if c.supervisions[0].speaker in self.model.speakers]
        if not known:
            named = ", ".join(sorted({str(c.supervisions[0].speaker) for c in cuts})[:8])
            raise FmAudioError(
                f"--replay {path}: its speakers {named} are none of the base's, which are {', '.join(self.model.speakers)}"
            )
        return known

    def adapter(self, base: str, fingerprint: str, reads: Mapping[str, Any] | None, facts: Any) -> Adapter:
        return collect(self.model, self.name, base, fingerprint, facts, reads)

    def write_whole(self, folder: Path, reads: Mapping[str, Any] | None, facts: Any) -> None:
        write_voice(folder, self.folder, whole_state(self.model), self.name, reads, facts, half=True)

    def loaded(self, folder: Path, full: bool) -> Says:
        voice = load(folder, self.device) if full else load(self.folder, self.device, adapter=folder)
        return lambda texts: _spoken(voice, texts, self.name, self.how)


def _spoken(voice: Voice, texts: Sequence[str], name: str, how: dict[str, Any]) -> list[Audio]:
    return [voice.say(text, seed=i, voice=name, **how) for i, text in enumerate(texts)]
