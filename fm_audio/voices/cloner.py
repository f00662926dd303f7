"""Cloning: text in, sound out, in the voice of a short recording whose words are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import Audio, AudioSpec, require_numbers
from fm_audio.bandwidth import fill_above, spectrum_end_hz
from fm_audio.checkpoint import CONFIG, load_model, read_config
from fm_audio.data.text.frontend import Break, FrontEnd, split_markup
from fm_audio.data.text.sentences import split_sentences
from fm_audio.encoders.length import Length
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_requests import InfillRequest, spoken_symbols
from fm_audio.tasks.infill_tts import InfillTTS
from fm_audio.types import FmAudioError
from fm_audio.voices.adapted import Wardrobe
from fm_audio.voices.adapter import read_adapter, read_another, require_base
from fm_audio.voices.find import SHIPPED, device_named, load_vocoder
from fm_audio.voices.presets import sampling_of
from fm_audio.voices.reference import Reference, loud_enough, own_reference, require_pace, require_reference

KIND = "infill_tts"
SHIPPED_CLONER = "english_cloner"  # what the command line takes too
SPAN_SECONDS = 22.0  # reference and answer together, about what models are trained on (F5-TTS)
FADE_SECONDS = 0.15


@dataclass(frozen=True)
class _Part:
    """A stretch of the answer: a text, or a pause of so many seconds."""

    text: str = ""
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class Draw:
    """How to draw readings of a part: (seed, factor on the steps, factor on the length) -> its sound.

    `length` is what factor 1 stands for, and how sure it is; None where exact seconds were asked for.
    """

    reading: Callable[[int, float, float], Audio]
    length: Length | None

    def __call__(self, seed: int, more_steps: float = 1.0, longer: float = 1.0) -> Audio:
        return self.reading(seed, more_steps, longer)


Keep = Callable[[str, int, Draw], Audio]
"""Who chooses among readings: (text of the part, the seed it is drawn with first, how to draw it) -> the one to keep."""


class Cloner:
    """An `InfillTTS` with its vocoder. `load_cloner` makes one.

    `fills_bands` says whether upper bands that a recording lacks are filled before the model sees it (`fm_audio.bandwidth`).
    Models that were converted see what those who published them show them. `references` are what the model's voices hear
    unless they are given another recording: that of the model itself, under its own `name`, and those of adapters. `voice`
    is the one that answers unless another is asked for. `folder` is where the model came from; adapters are held against it.
    """

    def __init__(
        self,
        name: str,
        model: InfillTTS,
        vocoder: Any,
        sampling: Sampling,
        fills_bands: bool = True,
        folder: Path | None = None,
        references: Mapping[str, Reference] | None = None,
    ):
        self.name, self.model, self.vocoder, self.sampling, self.fills_bands = name, model, vocoder, sampling, fills_bands
        self.folder, self.references, self.voice = folder, dict(references or {}), name
        self.wardrobe = Wardrobe(model)

    @property
    def spec(self) -> AudioSpec:
        return self.model.spec

    @property
    def voices(self) -> list[str]:
        """The model as it is, under its own name, the adapters that are on, and whoever else has a reference of their own."""
        return list(dict.fromkeys([self.name, *self.references, *self.wardrobe.worn]))

    def add_adapter(self, folder: str | os.PathLike[str]) -> str:
        """One more voice, from a folder that `fm-audio adapt` wrote; its name comes back and may be given as `voice` from now on.

        The model's own answers stay exactly as they are. Raises FmAudioError on an adapter that was made for other weights and on
        a name that is taken.
        """
        adapter = read_another(folder, self.folder, self.voices)
        self.wardrobe.put_on(adapter)
        if adapter.reference is not None:
            self.references[adapter.voice] = adapter.reference
        return adapter.voice

    def remove_adapter(self, name: str) -> None:
        """Take a voice that came as an adapter away again. Raises FmAudioError when there is none of that name."""
        self.wardrobe.take_off(name)
        self.references.pop(name, None)
        if self.voice == name:
            self.voice = self.name

    @torch.inference_mode()
    def say(
        self,
        text: str,
        reference: Audio | None = None,
        reference_text: str = "",
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        speed: float = 1.0,
        seconds: float | None = None,
        progress: Callable[[float], None] | None = None,
        keep: Keep | None = None,
        length: str | None = None,
        voice: str | None = None,
    ) -> Audio:
        """Text of any length in the reference's voice. `reference_text` is what the reference says, word for word. Without one
        the voice's own is heard, where it has one; `voice` is one of `voices`.

        Long texts are spoken in pieces that cross-fade; `<break 750ms>` is a silence of exactly that length; `seconds` asks for
        an exact total, otherwise `length` names the rule ("rate" or "learned", as in `InfillRequest`). `keep` may draw each piece
        several times, as `fm_audio.evaluation.guard` does. Raises FmAudioError on bad references and unreadable texts.
        """
        sampling = self.sampling.changed(steps=steps, guidance=guidance, temperature=temperature)
        voice = self.known(self.voice if voice is None else voice)
        if reference is None:
            known = self.reference(voice)
            reference, reference_text = known.recording(self.spec.sample_rate), known.text
        if not 0.25 <= speed <= 4 or (seconds is not None and speed != 1):
            raise FmAudioError(f"speed: given {speed}; allowed is 0.25 to 4, and only 1 together with seconds")
        samples, gain = self.prepared(reference)
        mel = self.seen(samples)
        reads = self.model.reads(voice)
        require_pace(reads, reference_text, reference.seconds)
        parts = self._parts(text, reference_text, len(mel))
        asked = InfillRequest("", mel, reference_text, speed=speed, length=length, voice=voice)
        lengths = self._lengths(parts, asked) if seconds is None else self._shares(parts, seconds, reads)
        waves: list[np.ndarray] = []
        for i, (part, found) in enumerate(zip(parts, lengths, strict=True)):
            if not part.text:
                waves.append(np.zeros(self.spec.samples_of_seconds(part.pause_seconds), np.float32))
            else:
                request = replace(asked, text=part.text, seed=seed_of_part(seed, i), frames=found.frames)
                draw = Draw(partial(self._draw, request, sampling, gain), found if seconds is None else None)
                waves.append((keep(part.text, request.seed, draw) if keep else draw(request.seed)).samples)
            if progress is not None:
                progress((i + 1) / len(parts))
        wave = self._joined(parts, waves)
        if seconds is not None:
            exact = self.spec.samples_of_seconds(seconds)
            wave = np.pad(wave, (0, max(0, exact - len(wave))))[:exact]
        return Audio(np.clip(wave, -1, 1).astype(np.float32), self.spec.sample_rate)

    def known(self, voice: str) -> str:
        """The same name. Raises FmAudioError where no voice has it."""
        if voice not in self.voices:
            raise FmAudioError(f"unknown voice {voice!r}; there are {', '.join(self.voices)}")
        return voice

    def reference(self, voice: str | None = None) -> Reference:
        """What a voice, by default the one that answers, hears when it is given no recording. Raises FmAudioError where it has
        nothing of its own."""
        found = self.references.get(self.known(voice or self.voice))
        if found is None:
            raise FmAudioError(
                "reference: there is none; give a recording of 1 to 20 s and what it says, or an adapter that has its own"
            )
        return found

    def seen(self, samples: np.ndarray) -> Tensor:
        """What the model sees of a recording (s,) at its rate: log-mel (n bands)."""
        mel = self.spec.log_mel(torch.from_numpy(samples)[None].to(self.device))[0]
        return fill_above(mel, self.spec, spectrum_end_hz(mel, self.spec)) if self.fills_bands else mel

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _draw(
        self, request: InfillRequest, sampling: Sampling, gain: float, seed: int, more_steps: float, longer: float
    ) -> Audio:
        """One reading of a part, as loud as the reference was."""
        assert request.frames is not None
        request = replace(request, seed=seed, frames=max(1, round(request.frames * longer)))
        [answer] = self.model.generate([request], replace(sampling, steps=max(1, round(sampling.steps * more_steps))))
        whole = torch.ones(1, len(answer), dtype=torch.bool, device=answer.device)
        wave = require_numbers(self.vocoder.decode(answer[None], whole)[0].cpu().numpy(), "cloner")
        return Audio(wave / gain, self.spec.sample_rate)

    def prepared(self, reference: Audio) -> tuple[np.ndarray, float]:
        """The reference at the model's rate and loud enough, and the gain that made it so."""
        require_reference(reference)
        return loud_enough(reference, self.spec.sample_rate, "reference")

    def _parts(self, text: str, reference_text: str, reference_frames: int) -> list[_Part]:
        seen_seconds = self.spec.seconds_of_frames(reference_frames)
        characters = int(len(reference_text) / seen_seconds * max(5.0, SPAN_SECONDS - seen_seconds))
        parts = []
        for piece in split_markup(text):
            if isinstance(piece, Break):
                parts.append(_Part(pause_seconds=piece.seconds))
            elif piece.strip():
                parts += [_Part(p) for p in split_sentences(piece, max(40, characters))]
        if not any(p.text for p in parts):
            raise FmAudioError(f"text: {text[:40]!r} has no words to say; write a sentence")
        return parts

    def _lengths(self, parts: list[_Part], asked: InfillRequest) -> list[Length]:
        """Of each part's answer, by the rule that is asked for; none of pauses."""
        return [self.model.length(replace(asked, text=p.text)) if p.text else Length(0, 0.0) for p in parts]

    def _shares(self, parts: list[_Part], seconds: float, reads: FrontEnd) -> list[Length]:
        """Frames of each part by its symbols; together with pauses and cross-fades they make `seconds`."""
        symbols = np.array([spoken_symbols(reads, p.text) if p.text else 0 for p in parts])
        spoken = seconds - sum(p.pause_seconds for p in parts) + FADE_SECONDS * self._fades(parts)
        total = self.spec.frames_of_seconds(spoken)
        if total < symbols.sum():
            raise FmAudioError(f"seconds: given {seconds}; that leaves {spoken:.2f} s for {symbols.sum()} symbols; ask for more")
        ends = np.round(np.cumsum(symbols) / symbols.sum() * total).astype(int)
        return [Length(frames, 0.0) for frames in np.diff(ends, prepend=0).tolist()]

    @staticmethod
    def _fades(parts: list[_Part]) -> int:
        return sum(bool(a.text and b.text) for a, b in zip(parts, parts[1:], strict=False))

    def _joined(self, parts: list[_Part], waves: list[np.ndarray]) -> np.ndarray:
        """Neighbouring texts overlap in a linear cross-fade; pauses stay exactly as long as they are."""
        wave = waves[0]
        for before, part, new in zip(parts, parts[1:], waves[1:], strict=False):
            n = self.spec.samples_of_seconds(FADE_SECONDS) if before.text and part.text else 0
            n = min(n, len(wave), len(new))
            rise = np.linspace(0, 1, n, dtype=np.float32)
            wave = np.concatenate([wave[: len(wave) - n], wave[len(wave) - n :] * (1 - rise) + new[:n] * rise, new[n:]])
        return wave


def seed_of_part(seed: int, part: int) -> int:
    """A seed for each part of one request; the first part takes the request's."""
    return seed if part == 0 else int(np.random.SeedSequence([seed % 2**64, part]).generate_state(1)[0])


def cloner_folder(name: str | os.PathLike[str] = SHIPPED_CLONER) -> Path:
    """The folder of a model that clones: a path, or the name of one that ships. Raises FmAudioError for another kind."""
    folder = Path(name)
    if not folder.exists() and (SHIPPED / name / CONFIG).is_file():
        folder = SHIPPED / name
    if not folder.exists():
        lacks = f"no model of that name ships, and no folder has it; give {SHIPPED_CLONER} or the folder of a model"
        raise FmAudioError(f"{name}: {lacks}")
    config = read_config(folder)
    if config.get("kind") != KIND:
        raise FmAudioError(
            f"{folder / CONFIG}: kind {config.get('kind')!r} cannot clone; give the folder of a model of kind {KIND!r}"
        )
    return folder


def load_cloner(
    name: str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    preset: str | None = None,
    precision: str = "fp32",
    compile: bool = False,
    adapter: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
) -> Cloner:
    """The model that ships, or that of a folder of kind "infill_tts", as `fm-audio export` and `fm-audio convert` write it.

    With `adapter`, folders that `fm-audio adapt` wrote, the first of them answers, and the model it was made for is found by
    itself when no name is given. `preset`, `precision` and `compile` are those of `load`. Raises FmAudioError where the folder
    holds no such model, and for adapters of another one.
    """
    where = device_named(device)
    adapters = [] if adapter is None else [adapter] if isinstance(adapter, str | os.PathLike) else list(adapter)
    if name is None:
        name = read_adapter(adapters[0]).base if adapters else SHIPPED_CLONER
    folder = cloner_folder(name)
    for worn in adapters:  # before anything large is read
        require_base(read_adapter(worn), folder)
    config = read_config(folder)
    model, vocoder = load_model(folder), load_vocoder(folder, config)
    assert isinstance(model, InfillTTS)
    model.spec.require_same(vocoder.spec, f"the model in {folder.name}", f"its vocoder {config['vocoder']}")
    sampling = sampling_of(folder, config, preset)
    own = own_reference(folder, config)
    cloner = Cloner(
        folder.name, model.to(where), vocoder.to(where), sampling, "converted_from" not in config, folder,
        {} if own is None else {folder.name: own},
    )  # fmt: skip
    added = [cloner.add_adapter(worn) for worn in adapters]
    cloner.voice = added[0] if added else cloner.name
    model.head.hasten(precision, compile)
    return cloner
