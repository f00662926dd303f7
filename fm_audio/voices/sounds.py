"""Sounds from sentences: a text-to-audio model with its vocoder, and how a sound is varied, extended or filled in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import Audio, AudioSpec, require_numbers, resample
from fm_audio.checkpoint import CONFIG, load_model, read_config
from fm_audio.codecs import frames_of
from fm_audio.data.clips import FOUND_SECONDS
from fm_audio.data.sound_bank import Found, SoundBank
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.text_to_audio import TextToAudio
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import read_adapter, require_base, require_layers, whole
from fm_audio.voices.find import SHIPPED, device_named, load_vocoder
from fm_audio.voices.presets import sampling_of

KIND = "text_to_audio"
DEFAULT_MODEL = "made_sounds"
DEFAULT_SECONDS = 4.0
NEAREST = 3  # clips of a bank that are shown
FADE_SECONDS = 0.02
PEAK = 0.98


class SoundMaker:
    """A `TextToAudio` with its vocoder. `load_sounds` makes one."""

    def __init__(self, name: str, model: TextToAudio, vocoder: Any, sampling: Sampling):
        self.name, self.model, self.vocoder, self.sampling = name, model, vocoder, sampling

    @property
    def spec(self) -> AudioSpec:
        return self.model.spec

    @torch.inference_mode()
    def make(
        self,
        prompts: Sequence[str],
        seconds: float,
        seed: int = 0,
        negative: str = "",
        start: Audio | None = None,
        strength: float = 1.0,
        sampling: Sampling | None = None,
        progress: Callable[[float], None] | None = None,
        found: Sequence[Audio] = (),
    ) -> list[Audio]:
        """A sound of `seconds` for each prompt; number i takes seed + i. Exactly so long, to the sample.

        found: sounds like what is asked for (`from_bank`), from which a model that was trained so takes what it can use.

        With `start` each begins with that sound, `strength` (0 to 1) of which gives way to noise; it is cut or filled up with
        silence to the length. Raises FmAudioError on what `SoundRequest` and `TextToAudio.generate` refuse.
        """
        begin = None if start is None else self._mel(self._fitted(start, seconds), seconds)
        near = self._seen(found)
        asked = [SoundRequest(p, seconds, seed + i, negative, begin, strength, found=near) for i, p in enumerate(prompts)]
        mels = self.model.generate(asked, sampling or self.sampling, progress)
        return [Audio(self._heard(mel, seconds), self.spec.sample_rate) for mel in mels]

    @torch.inference_mode()
    def fill(
        self,
        prompt: str,
        sound: Audio,
        start_seconds: float,
        end_seconds: float,
        seed: int = 0,
        negative: str = "",
        sampling: Sampling | None = None,
        found: Sequence[Audio] = (),
    ) -> Audio:
        """The sound with what lies between the two times made anew, in company of the rest. `end_seconds` behind its end extends
        it. Outside of the two times and a short fade it stays as it is, to the sample.

        Raises FmAudioError for times that are not in that order or lie before or wholly behind the sound.
        """
        samples = resample(sound.samples.astype(np.float32), sound.sample_rate, self.spec.sample_rate)
        own = len(samples) / self.spec.sample_rate
        if not 0.0 <= start_seconds < end_seconds or start_seconds > own:
            raise FmAudioError(
                f"from {start_seconds:g} to {end_seconds:g} s: give two times in order, the first within the sound, which "
                f"lasts {own:.2f} s"
            )
        seconds = max(own, end_seconds)
        frames = self.spec.frames_of_seconds(seconds)
        first, last = (round(t * self.spec.frame_hz) for t in (start_seconds, min(end_seconds, seconds)))
        at = torch.arange(frames)
        kept = (at < first) | (at >= max(last, first + 1))
        if end_seconds >= own:
            kept = at < min(first, frames - 1)
        whole = np.pad(samples, (0, max(0, self.spec.samples_of_seconds(seconds) - len(samples))))
        mel = self._mel(whole, seconds)
        asked = SoundRequest(prompt, seconds, seed, negative, given=mel, kept=kept, found=self._seen(found))
        made = self._heard(self.model.generate([asked], sampling or self.sampling)[0], seconds)
        return Audio(self._joined(whole, made, start_seconds, end_seconds, own), self.spec.sample_rate)

    @torch.inference_mode()
    def copy(self, sound: Audio) -> Audio:
        """A sound through frames and vocoder, without the model: as good as what it makes can be."""
        samples = resample(sound.samples.astype(np.float32), sound.sample_rate, self.spec.sample_rate)
        seconds = len(samples) / self.spec.sample_rate
        return Audio(self._heard(self._mel(samples, seconds), seconds), self.spec.sample_rate)

    def from_bank(self, bank: SoundBank, prompt: str, count: int) -> tuple[list[Found], list[Audio]]:
        """Clips of a bank that are nearest to a prompt, and their sounds. Raises FmAudioError for models that look at none."""
        if self.model.clips is None:
            raise FmAudioError(f"the model {self.name} does not look at other clips; give one trained with retrieval: true")
        found = bank.nearest(prompt, count)
        return found, [bank.sound(f.index, self.spec.sample_rate) for f in found]

    def _seen(self, found: Sequence[Audio]) -> tuple[Tensor, ...]:
        """Log-mels of the beginnings of clips, as long as in training."""
        rate = self.spec.sample_rate
        most = round(FOUND_SECONDS * rate)
        waves = [resample(sound.samples.astype(np.float32), sound.sample_rate, rate)[:most] for sound in found]
        return tuple(frames_of(self.spec, torch.from_numpy(wave)[None])[0] for wave in waves)

    def _joined(self, whole: np.ndarray, made: np.ndarray, start: float, end: float, own: float) -> np.ndarray:
        """`made` between the two times, with a fade at each joint that lies within the sound, `whole` elsewhere."""
        rate, fade = self.spec.sample_rate, FADE_SECONDS
        t = np.arange(len(made)) / rate
        into = np.clip((t - start) / fade, 0, 1) if start > 0 else np.ones(len(t))
        out = np.clip((end - t) / fade, 0, 1) if end < own else np.ones(len(t))
        share = np.minimum(into, out).astype(np.float32)
        return made * share + np.pad(whole, (0, max(0, len(made) - len(whole))))[: len(made)] * (1 - share)

    def _fitted(self, sound: Audio, seconds: float) -> np.ndarray:
        samples = resample(sound.samples.astype(np.float32), sound.sample_rate, self.spec.sample_rate)
        n = self.spec.samples_of_seconds(seconds)
        return np.pad(samples[:n], (0, max(0, n - len(samples))))

    def _mel(self, samples: np.ndarray, seconds: float) -> Tensor:
        """Log-mel of exactly the frames of so many seconds."""
        frames = self.spec.frames_of_seconds(seconds)
        mel = frames_of(self.spec, torch.from_numpy(samples)[None])[0][:frames]
        return torch.cat([mel, mel.new_full((frames - len(mel), self.spec.bands), self.spec.floor)])

    def _heard(self, mel: Tensor, seconds: float) -> np.ndarray:
        wave = self.vocoder.decode(mel[None], torch.ones(1, len(mel), dtype=torch.bool, device=mel.device))[0].cpu().numpy()
        n = self.spec.samples_of_seconds(seconds)
        wave = np.pad(require_numbers(wave, "sound model")[:n], (0, max(0, n - len(wave)))).astype(np.float32)
        return wave * min(1.0, PEAK / (float(np.abs(wave).max()) + 1e-9))


def kind_of(name: str | os.PathLike[str]) -> str | None:
    """The kind of model that a folder or a shipped name means; None where there is none."""
    for folder in (Path(name), SHIPPED / name):
        if (folder / CONFIG).is_file():
            return read_config(folder).get("kind")
    return None


def sounds_folder(name: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a sound model: a path, the name of one that ships, or the default. Raises FmAudioError for another kind."""
    folder = SHIPPED / DEFAULT_MODEL if name is None else Path(name)
    if not (folder / CONFIG).is_file() and (SHIPPED / folder / CONFIG).is_file():
        folder = SHIPPED / folder
    config = read_config(folder)
    if config.get("kind") != KIND:
        raise FmAudioError(f"{folder / CONFIG}: kind {config.get('kind')!r} makes no sounds; give a model of kind {KIND!r}")
    return folder


def load_sounds(
    name: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    adapter: str | os.PathLike[str] | None = None,
    preset: str | None = None,
    precision: str = "fp32",
    compile: bool = False,
) -> SoundMaker:
    """The sound maker of a model folder, or the default one that ships; `adapter`, a folder of `fm-audio adapt`, bends it.

    `preset`, `precision` and `compile` are those of `load`. Raises FmAudioError when the folder holds another kind of model, and
    for an adapter of another one.
    """
    where = device_named(device)
    learned = None if adapter is None else read_adapter(adapter)
    folder = sounds_folder(learned.base if learned is not None and name is None else name)
    config = read_config(folder)
    model, vocoder = load_model(folder), load_vocoder(folder, config)
    assert isinstance(model, TextToAudio)
    model.spec.require_same(vocoder.spec, f"the model in {folder.name}", f"its vocoder {config['vocoder']}")
    if learned is not None:
        require_base(learned, folder)
        require_layers(learned, model)
        model.load_state_dict(whole(learned, model.state_dict()))
    sampling = sampling_of(folder, config, preset, model.default_sampling())
    model.to(where).head.hasten(precision, compile)
    return SoundMaker(folder.name if learned is None else learned.voice, model, vocoder.to(where), sampling)
