"""When each symbol of a new voice's recordings is said, found by the base before anything is learned.

Training could search for itself, but it knows neither room nor speaker at first, and nothing of durations: many a plosive then
lasts a frame, and what is learned from it is heard as other words. `Aligner` takes the difference of rooms away and expects
durations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from fm_audio.bandwidth import fill_above
from fm_audio.data.cuts import wave_of_cut
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner, Sentence

if TYPE_CHECKING:
    from lhotse.cut import Cut

LISTENED_TO = 8  # clips by which the most alike speaker is chosen


def align(cuts: Sequence[Cut], model: AlignedTTS, fill_above_hz: float | None = None) -> int:
    """Writes the model's alignment into each cut that has none, as durations of its front-end's symbols; returns how many.

    Cuts that cannot be aligned (unreadable, too short for their text) are left as they are: training says why.
    """
    without = [cut for cut in cuts if not (cut.supervisions[0].alignment or {}).get("phone")]
    heard = [(cut, *found) for cut in without if (found := _heard(cut, model, fill_above_hz)) is not None]
    if not heard:
        return 0
    aligner = Aligner(model)
    speaker = aligner.nearest([(mel, [sentence]) for _, mel, sentence in heard[:LISTENED_TO]])
    for cut, mel, sentence in heard:
        _write(cut, aligner.of_speaker(mel, [sentence], speaker), model)
    return len(heard)


def _heard(cut: Cut, model: AlignedTTS, fill_above_hz: float | None) -> tuple[torch.Tensor, Sentence] | None:
    """The mel (n bands) of a clip and its text, where the one can hold the other."""
    try:
        ids = model.frontend.encode(cut.supervisions[0].text).ids
        wave = torch.from_numpy(wave_of_cut(cut, model.spec.sample_rate))
    except FmAudioError:
        return None
    mel = fill_above(model.spec.log_mel(wave[None].to(model.speaker.weight.device))[0], model.spec, fill_above_hz)
    return (mel, Sentence(ids, [])) if len(mel) >= len(ids) else None


def _write(cut: Cut, durations: torch.Tensor, model: AlignedTTS) -> None:
    from lhotse.supervision import AlignmentItem

    symbols = model.frontend.encode(cut.supervisions[0].text).symbols
    seconds = [model.spec.seconds_of_frames(int(d)) for d in durations]
    starts = [sum(seconds[:i]) for i in range(len(seconds))]
    items = [AlignmentItem(s, at, d) for s, at, d in zip(symbols, starts, seconds, strict=True)]
    cut.supervisions[0].alignment = {**(cut.supervisions[0].alignment or {}), "phone": items}
