"""A voice: text in, sound out, through one acoustic model and its vocoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import Audio, AudioSpec, require_numbers
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.groups import groups
from fm_audio.tasks.speech_requests import GROUP_FRAMES, SpeechRequest
from fm_audio.types import FmAudioError, length_mask
from fm_audio.voices.adapted import Wardrobe
from fm_audio.voices.adapter import read_another


@dataclass(frozen=True)
class TimedWord:
    """A word as read, and when."""

    text: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Spoken:
    """What was said: the sound, when each word was, and how it was made (so that it can be made again)."""

    audio: Audio
    words: list[TimedWord]
    voice: str
    seed: int
    steps: int
    forwards: int | None  # network evaluations, guided ones counted twice; None where they depend on the item


class Voice:
    """A named speaker of an acoustic model with the vocoder that belongs to it. `fm_audio.load` makes one."""

    def __init__(
        self,
        name: str,
        model_name: str,
        model: AlignedTTS,
        vocoder: Any,
        speakers: Mapping[str, str],
        sampling: Sampling,
        folder: Path | None = None,
        cards: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        """`folder` is where the model came from; adapters are held against it. `cards` tells of each voice what its config does:
        licence, consent, whether it was recorded."""
        self.name, self.model_name, self.folder = name, model_name, folder
        self.model, self.vocoder, self.speakers, self.sampling = model, vocoder, dict(speakers), sampling
        self.cards = {name: dict(card) for name, card in (cards or {}).items()}
        self.wardrobe = Wardrobe(model)

    def add_adapter(self, folder: str | os.PathLike[str]) -> str:
        """One more voice, from a folder that `fm-audio adapt` wrote; its name comes back and may be given as `voice` from now on.

        The other voices stay exactly as they are, and all of them may share a batch. Raises FmAudioError on an adapter that was
        made for other weights and on a name that is taken.
        """
        adapter = read_another(folder, self.folder, self.speakers)
        self.wardrobe.put_on(adapter)
        self.speakers[adapter.voice], self.cards[adapter.voice] = adapter.voice, dict(adapter.facts)
        return adapter.voice

    def remove_adapter(self, name: str) -> None:
        """Take a voice that came as an adapter away again. Raises FmAudioError when there is none of that name."""
        self.wardrobe.take_off(name)
        del self.speakers[name], self.cards[name]
        if self.name == name:
            self.name = next(iter(self.speakers))

    @property
    def card(self) -> Mapping[str, Any]:
        """What is known of the voice that speaks unless another is asked for."""
        return self.cards.get(self.name, {})

    @property
    def spec(self) -> AudioSpec:
        return self.model.spec

    @overload
    def say(self, text: str, **how: Any) -> Audio: ...
    @overload
    def say(self, text: Sequence[str], **how: Any) -> list[Audio]: ...
    def say(self, text: str | Sequence[str], **how: Any) -> Audio | list[Audio]:
        """Text to sound; a list gives a list, made as one batch. Takes the arguments of `say_detailed`."""
        spoken = self.say_detailed(text, **how)
        return [s.audio for s in spoken] if isinstance(spoken, list) else spoken.audio

    @overload
    def say_detailed(self, text: str, **how: Any) -> Spoken: ...
    @overload
    def say_detailed(self, text: Sequence[str], **how: Any) -> list[Spoken]: ...
    @torch.inference_mode()  # type: ignore[misc]  # the overloads only tell apart what comes back
    def say_detailed(
        self,
        text: str | Sequence[str],
        seed: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance: float | None = None,
        speed: float | Sequence[float] = 1.0,
        seconds: float | Sequence[float | None] | None = None,
        temperature: float | None = None,
        voice: str | Sequence[str] | None = None,
        pitch: float | Sequence[float] = 0.0,
        progress: Callable[[float], None] | None = None,
    ) -> Spoken | list[Spoken]:
        """Text of any length to sound with word times.

        `steps`, `guidance` and `temperature` are the model's defaults unless given. `seed`, `speed` (2 is twice as fast),
        `seconds` (the exact total), `pitch` (semitones up) and `voice` (another of this model's) may be lists, one for each text.
        The same request gives the same sound alone and in any batch. `progress` hears the share that is done. Raises FmAudioError
        on what cannot be read or made.
        """
        texts = [text] if isinstance(text, str) else list(text)
        if not texts:
            raise FmAudioError("text: an empty list was given; give at least one text")
        asked = {"seed": seed, "speed": speed, "seconds": seconds, "pitch": pitch, "voice": voice}
        each = {name: _for_each(value, len(texts), name) for name, value in asked.items()}
        names = [self.name if v is None else v for v in each["voice"]]
        requests = [
            SpeechRequest(t, self._speaker(v), *how)
            for t, v, *how in zip(texts, names, each["seed"], each["speed"], each["seconds"], each["pitch"], strict=True)
        ]
        sampling = self.sampling.changed(steps=steps, guidance=guidance, temperature=temperature)
        forwards = self.model.head.forwards(sampling)
        generated = self.model.generate(requests, sampling, progress)
        waves = self._decode([g.mel for g in generated])
        spoken = [
            Spoken(
                Audio(wave, self.spec.sample_rate),
                [TimedWord(w.text, self._seconds(w.start_frames), self._seconds(w.end_frames)) for w in g.words],
                name,
                request.seed,
                sampling.steps,
                forwards,
            )
            for g, wave, name, request in zip(generated, waves, names, requests, strict=True)
        ]
        return spoken[0] if isinstance(text, str) else spoken

    def _speaker(self, voice: str) -> str:
        if voice not in self.speakers:
            near = get_close_matches(voice, list(self.speakers), n=3)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise FmAudioError(f"unknown voice {voice!r}; {hint}{self.model_name} speaks as {', '.join(self.speakers)}")
        return self.speakers[voice]

    def _seconds(self, frames: int) -> float:
        return round(self.spec.seconds_of_frames(frames), 4)

    def _decode(self, mels: Sequence[Tensor]) -> list[np.ndarray]:
        """Log-mels (n bands) to waves (s,), batched with others of about their length."""
        waves: list[np.ndarray] = [np.empty(0, np.float32)] * len(mels)
        for group in groups([len(m) for m in mels], GROUP_FRAMES):
            lengths = torch.tensor([len(mels[i]) for i in group])
            x = torch.nn.utils.rnn.pad_sequence([mels[i] for i in group], batch_first=True, padding_value=self.spec.floor)
            wave = self.vocoder.decode(x, length_mask(lengths).to(x.device)).clamp(-1, 1).cpu().numpy()
            for i, row in zip(group, require_numbers(wave, self.model_name), strict=True):
                waves[i] = row[: self.spec.samples_of_frames(len(mels[i]))]
        return waves


def _for_each(value: Any, count: int, name: str) -> list[Any]:
    """One value for all, or a list with one for each."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise FmAudioError(f"{name}: {len(value)} given for {count} texts; give one, or one for each text")
    return list(value)
