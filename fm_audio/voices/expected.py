"""What a text would sound like in one voice, before anybody says it: the mean mel of each symbol, and about how long it lasts.

Of a speaker whom a voice knows (`OfSpeaker`), or of anybody of whom a model that clones is shown a recording (`OfSeen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from fm_audio.audio import AudioSpec
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.encoders.timed_text import TimedText
from fm_audio.tasks.infill_tts import InfillTTS
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner, Sentence


@runtime_checkable
class Expected(Protocol):
    """One voice. Sentences in, means (m bands) and the logarithms of frames (m,) of all their symbols out."""

    @property
    def spec(self) -> AudioSpec: ...

    @property
    def frontend(self) -> FrontEnd: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, sentences: Sequence[Sentence]) -> tuple[Tensor, Tensor]: ...


class OfSpeaker:
    """A speaker of an aligned voice, by name. Raises FmAudioError for strangers."""

    def __init__(self, aligner: Aligner, speaker: str):
        model = aligner.model
        self.aligner, self.number = aligner, int(model.speaker_index([speaker])[0])
        self.spec, self.device = model.spec, model.speaker.weight.device
        self.frontend = model.front_ends.get(speaker, model.frontend)

    def __call__(self, sentences: Sequence[Sentence]) -> tuple[Tensor, Tensor]:
        return self.aligner.expected(sentences, self.number)


class OfSeen:
    """Whoever is heard in a log-mel (n bands), by a model that clones and lays text by durations. Raises FmAudioError for
    others."""

    def __init__(self, model: InfillTTS, mel: Float[Tensor, "n bands"]):
        if not isinstance(model.text, TimedText) or model.voice is None:
            raise FmAudioError("this model lays no text by durations, so it expects none; take one with fill: aligned")
        self.spec, self.frontend, self.device = model.spec, model.frontend, mel.device
        self._encode = model.text.encode
        self._voice = model.voice(mel[None], torch.ones(1, len(mel), dtype=torch.bool, device=mel.device))

    def __call__(self, sentences: Sequence[Sentence]) -> tuple[Tensor, Tensor]:
        rows = [torch.tensor([sentence.ids], device=self.device) for sentence in sentences]
        encoded = [self._encode(ids, torch.ones_like(ids, dtype=torch.bool), self._voice) for ids in rows]
        return torch.cat([e.mean[0] for e in encoded]), torch.cat([e.log_durations[0] for e in encoded])
