"""When each symbol of a new voice's recordings is said, found by the base before anything is learned.

Training could search for itself, but it knows neither room nor speaker at first, and nothing of durations: many a plosive then
lasts a frame, and what is learned from it is heard as other words. `Aligner` takes the difference of rooms away and expects
durations. A text in another language is laid along as what the base would take it for (`fm_audio.adapt.likening`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fm_audio.adapt.batches import Endless, Once
from fm_audio.adapt.likening import Likened, likened, shared_out
from fm_audio.bandwidth import fill_above
from fm_audio.data.clips import SpeechClip
from fm_audio.data.cuts import wave_of_cut
from fm_audio.data.text.extended import Extended
from fm_audio.data.text.frontend import Encoded, FrontEnd
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner, Sentence

if TYPE_CHECKING:
    from lhotse.cut import Cut

LEARNING_WEIGHT = 10.0
LISTENED_TO = 8  # clips by which the most alike speaker is chosen


@dataclass(frozen=True)
class _Heard:
    """A clip, its mel (n bands), its text as it will be learned and, in another language, as the base takes it."""

    cut: Cut
    mel: Tensor
    encoded: Encoded
    taken: Likened | None

    @property
    def sentence(self) -> Sentence:
        return Sentence((self.taken.encoded if self.taken else self.encoded).ids, [])


def align(
    cuts: Sequence[Cut], model: AlignedTTS, reads: FrontEnd | None = None, fill_above_hz: float | None = None
) -> list[Likened]:
    """Writes the model's alignment into each cut that has none, as durations of the symbols that `reads` (the model's own
    front-end, or one for another language) has for its text. Returns what texts in another language were taken for.

    Cuts that cannot be aligned (unreadable, too short for their text) are left as they are: training says why.
    """
    without = [cut for cut in cuts if not (cut.supervisions[0].alignment or {}).get("phone")]
    heard = [found for cut in without if (found := _heard(cut, model, reads, fill_above_hz)) is not None]
    if not heard:
        return []
    aligner = Aligner(model)
    speaker = aligner.nearest([(h.mel, [h.sentence]) for h in heard[:LISTENED_TO]])
    for h in heard:
        durations = aligner.of_speaker(h.mel, [h.sentence], speaker)
        _write(h, durations if h.taken is None else shared_out(h.taken, durations), model)
    return [h.taken for h in heard if h.taken is not None]


def align_again(batches: Sequence[Endless | Once], model: AlignedTTS, speaker: str) -> None:
    """Every clip by what the model has learned of this speaker so far. A text in another language begins with the frames of its
    words shared out evenly among their letters; durations weigh less until they are learned."""
    aligner, row = Aligner(model, LEARNING_WEIGHT), model.speakers[speaker]

    def durations(clip: SpeechClip) -> Tensor:
        mel = clip.mel.float().to(model.speaker.weight.device)
        return aligner.of_speaker(mel, [Sentence(clip.symbols.tolist(), [])], row).cpu().clone()

    for source in batches:
        source.align_again(durations)


def _heard(cut: Cut, model: AlignedTTS, reads: FrontEnd | None, fill_above_hz: float | None) -> _Heard | None:
    """The clip, where it can hold its text."""
    stand_ins = reads.stand_ins if isinstance(reads, Extended) else None
    text = cut.supervisions[0].text
    try:
        encoded = (reads or model.frontend).encode(text)
        taken = None if reads is None else likened(encoded, model.frontend, stand_ins)
        wave = torch.from_numpy(wave_of_cut(cut, model.spec.sample_rate))
    except FmAudioError:
        return None
    mel = fill_above(model.spec.log_mel(wave[None].to(model.speaker.weight.device))[0], model.spec, fill_above_hz)
    heard = _Heard(cut, mel, encoded, taken)
    return heard if len(mel) >= max(len(encoded.ids), len(heard.sentence.ids)) else None


def _write(heard: _Heard, durations: Tensor, model: AlignedTTS) -> None:
    from lhotse.supervision import AlignmentItem

    seconds = [model.spec.seconds_of_frames(int(d)) for d in durations]
    starts = [sum(seconds[:i]) for i in range(len(seconds))]
    items = [AlignmentItem(s, at, d) for s, at, d in zip(heard.encoded.symbols, starts, seconds, strict=True)]
    supervision = heard.cut.supervisions[0]
    supervision.alignment = {**(supervision.alignment or {}), "phone": items}
