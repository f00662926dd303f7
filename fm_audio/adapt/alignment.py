"""When each symbol of a new voice's recordings is said, found by the base before anything is learned.

Training could search for itself, but it knows neither room nor speaker at first, and nothing of durations: many a plosive then
lasts a frame, and what is learned from it is heard as other words. `Aligner` takes the difference of rooms away and expects
durations. A text in another language is laid along as what the base would take it for (`fm_audio.adapt.likening`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from fm_audio.encoders.timed_alignment import WEIGHT
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.infill_tts import InfillTTS
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner, Sentence, laid_along
from fm_audio.voices.expected import OfSeen

if TYPE_CHECKING:
    from lhotse.cut import Cut

LEARNING_WEIGHT = 10.0
LISTENED_TO = 8  # clips by which the most alike speaker is chosen
LETTERS_ALIGNED_AGAIN = (100, 200, 400, 800, 1600, 3200)  # steps after which another language is aligned by what was learned
PHONES_ALIGNED_AGAIN = (400, 1600)  # the same where stand-ins gave a good alignment before anything was learned


@dataclass(frozen=True)
class _Heard:
    """A clip, its mel (n bands), its text as it will be learned and, in another language, as the base takes it."""

    cut: Cut
    mel: Tensor
    encoded: Encoded
    taken: Likened | None

    @property
    def ids(self) -> list[int]:
        return (self.taken.encoded if self.taken else self.encoded).ids


Lays = Callable[[Tensor, Sequence[int]], Tensor]
"""How a base lays symbols (m,) along a mel (n bands): the frames of each (m,)."""


def of_nearest(model: AlignedTTS, heard: Sequence[tuple[Tensor, Sequence[int]]]) -> Lays:
    """As said by the speaker under whom these are likeliest."""
    aligner = Aligner(model)
    speaker = aligner.nearest([(mel, [Sentence(list(ids), [])]) for mel, ids in heard])
    return lambda mel, ids: aligner.of_speaker(mel, [Sentence(list(ids), [])], speaker)


def of_speaker(model: AlignedTTS, name: str) -> Lays:
    """As said by a speaker of whom not much is known yet: durations weigh less until they are learned."""
    aligner, row = Aligner(model, LEARNING_WEIGHT), model.speakers[name]
    return lambda mel, ids: aligner.of_speaker(mel, [Sentence(list(ids), [])], row)


def of_seen(model: InfillTTS, weight: float = WEIGHT) -> Lays:
    """As a model that clones, and lays text by durations, takes it from the voice of each recording."""

    @torch.inference_mode()
    def lays(mel: Tensor, ids: Sequence[int]) -> Tensor:
        return laid_along(mel, *OfSeen(model, mel)([Sentence(list(ids), [])]), weight).durations

    return lays


def align(
    cuts: Sequence[Cut],
    model: AlignedTTS | InfillTTS,
    as_said_by: Callable[[Sequence[tuple[Tensor, Sequence[int]]]], Lays],
    reads: FrontEnd | None = None,
    fill_above_hz: float | None = None,
) -> list[Likened]:
    """Writes the model's alignment into each cut that has none, as durations of the symbols that `reads` (the model's own
    front-end, or one for another language) has for its text. `as_said_by` is told some of the recordings and the symbols that
    they say. Returns what texts in another language were taken for.

    Cuts that cannot be aligned (unreadable, too short for their text) are left as they are: training says why.
    """
    without = [cut for cut in cuts if not (cut.supervisions[0].alignment or {}).get("phone")]
    heard = [found for cut in without if (found := _heard(cut, model, reads, fill_above_hz)) is not None]
    if not heard:
        return []
    lays = as_said_by([(h.mel, h.ids) for h in heard[:LISTENED_TO]])
    for h in heard:
        durations = lays(h.mel, h.ids)
        _write(h, durations if h.taken is None else shared_out(h.taken, durations), model)
    return [h.taken for h in heard if h.taken is not None]


def steps_to_align(by_phones: bool) -> Sequence[int]:
    """After which of them another language is aligned again."""
    return PHONES_ALIGNED_AGAIN if by_phones else LETTERS_ALIGNED_AGAIN


def align_again(batches: Sequence[Endless | Once], lays: Lays, device: torch.device) -> None:
    """Every clip by what the model has learned so far. A text in another language begins with the frames of its words shared out
    evenly among their letters."""

    def durations(clip: SpeechClip) -> Tensor:
        return lays(clip.mel.float().to(device), clip.symbols.tolist()).cpu().clone()

    for source in batches:
        source.align_again(durations)


def _heard(cut: Cut, model: AlignedTTS | InfillTTS, reads: FrontEnd | None, fill_above_hz: float | None) -> _Heard | None:
    """The clip, where it can hold its text."""
    stand_ins = reads.stand_ins if isinstance(reads, Extended) else None
    text = cut.supervisions[0].text
    try:
        encoded = (reads or model.frontend).encode(text)
        taken = None if reads is None else likened(encoded, model.frontend, stand_ins)
        wave = torch.from_numpy(wave_of_cut(cut, model.spec.sample_rate))
    except FmAudioError:
        return None
    mel = fill_above(model.spec.log_mel(wave[None].to(next(model.parameters()).device))[0], model.spec, fill_above_hz)
    heard = _Heard(cut, mel, encoded, taken)
    return heard if len(mel) >= max(len(encoded.ids), len(heard.ids)) else None


def _write(heard: _Heard, durations: Tensor, model: AlignedTTS | InfillTTS) -> None:
    from lhotse.supervision import AlignmentItem

    seconds = [model.spec.seconds_of_frames(int(d)) for d in durations]
    starts = [sum(seconds[:i]) for i in range(len(seconds))]
    items = [AlignmentItem(s, at, d) for s, at, d in zip(heard.encoded.symbols, starts, seconds, strict=True)]
    supervision = heard.cut.supervisions[0]
    supervision.alignment = {**(supervision.alignment or {}), "phone": items}
