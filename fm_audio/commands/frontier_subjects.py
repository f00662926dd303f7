"""What `fm-audio frontier` measures: a voice that speaks, a model that clones, makes sounds, writes or listens."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from fm_audio.audio import load_audio
from fm_audio.checkpoint import CONFIG, load_model, read_config
from fm_audio.data.text.edits import edit_distance
from fm_audio.data.text.pairs import read_pairs
from fm_audio.evaluation.clips import manifest_lines
from fm_audio.evaluation.frontier import TWO_NULL, Distance, Generate
from fm_audio.evaluation.protocols import load_protocol
from fm_audio.flow.sampling import QUANTILE, Sampling
from fm_audio.tasks.infill_guidance import TextFirst, WithoutBoth
from fm_audio.tasks.infill_requests import InfillRequest
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_models import SHIPPED as TEXTS
from fm_audio.tasks.text_requests import TextRequest
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.tasks.transcription import TranscriptRequest
from fm_audio.types import FmAudioError
from fm_audio.voices.bank import VoiceBank, reference_of
from fm_audio.voices.cloner import KIND as CLONES
from fm_audio.voices.cloner import cloner_folder, load_cloner
from fm_audio.voices.find import device_named, find, load
from fm_audio.voices.presets import sampling_of
from fm_audio.voices.reference import Reference
from fm_audio.voices.sounds import KIND, kind_of, load_sounds, sounds_folder


@dataclass(frozen=True)
class Subject:
    """The model's folder and name, how it samples by itself, what makes an item, how many items there are, how far apart two
    answers are (None: mels), grids that it has beyond the usual ones, whether velocities may rest, what makes an item by ways
    of guidance that a `Sampling` cannot say, and whether adaptive solvers can follow the head."""

    folder: Path
    name: str
    own: Sampling
    generate: Generate
    items: int
    distance: Distance | None = None
    more_grids: Sequence[str] = ()
    rests: bool = True
    of_modes: Mapping[str, Generate] = field(default_factory=dict)
    adapts: bool = True


def subject_of(given: argparse.Namespace) -> Subject:
    """The model of a name or folder, asked the first `limit` lines of `data`; sounds last `seconds`, clones hear `reference`.

    Raises FmAudioError for no such model or data, for a text model that writes freely, which has nothing to be asked, and for a
    reference where nobody hears one, or none where one is needed.
    """
    model, data, limit, device = given.model, given.data, given.limit, given.device
    kind = kind_of(model)
    if kind != CLONES and (given.reference, given.reference_text) != (None, None):
        raise FmAudioError(f"--reference: {model} does not clone and hears none; leave it out")
    if (folder := _folder_of(model, TextToText, TextInPlace)) is not None:
        return _writing(folder, _texts(data, limit), device)
    if (folder := _folder_of(model, SpeechToText)) is not None:
        return _listening(folder, Path(data), limit, device)
    lines = _lines(data, limit)
    if kind == CLONES:
        return _cloning(given, lines)
    if kind == KIND:
        folder, maker = sounds_folder(model), load_sounds(model, device)

        def sound(item: int, seed: int, sampling: Sampling) -> torch.Tensor:
            return maker.model.generate([SoundRequest(lines[item], given.seconds, seed)], sampling)[0]

        return Subject(folder, folder.name, _measured_from(maker.sampling), sound, len(lines))
    entry = find(model)
    voice = load(model, device)

    def speech(item: int, seed: int, sampling: Sampling) -> torch.Tensor:
        return voice.model.generate([SpeechRequest(lines[item], entry.speaker, seed)], sampling)[0].mel

    name = f"{entry.folder.name}/{entry.name}"
    return Subject(entry.folder, name, _measured_from(voice.sampling), speech, len(lines))


def _cloning(given: argparse.Namespace, lines: Sequence[str]) -> Subject:
    """Each line is as long as the model finds by itself, without haste or with."""
    cloner = load_cloner(given.model, given.device)
    if given.reference is None:
        known = cloner.reference()
    else:
        audio, text, _ = reference_of(given.reference, given.reference_text, VoiceBank(None), None)
        known = Reference(audio, text)
    heard, _ = cloner.prepared(known.recording(cloner.spec.sample_rate))
    mel = cloner.seen(heard)
    asked = [InfillRequest(line, mel, known.text) for line in lines]
    asked = [replace(one, frames=cloner.model.length(one).frames) for one in asked]

    def speech(item: int, seed: int, sampling: Sampling) -> torch.Tensor:
        return cloner.model.generate([replace(asked[item], seed=seed)], sampling)[0]

    def by_two_nulls(item: int, seed: int, sampling: Sampling) -> torch.Tensor:
        own, cloner.model.guidance = cloner.model.guidance, TextFirst()
        try:
            return speech(item, seed, sampling)
        finally:
            cloner.model.guidance = own

    of_modes = {TWO_NULL: by_two_nulls} if isinstance(cloner.model.guidance, WithoutBoth) else {}
    own = _measured_from(cloner.sampling)
    return Subject(cloner_folder(given.model), cloner.name, own, speech, len(lines), of_modes=of_modes)


def _folder_of(model: str, *tasks: type) -> Path | None:
    """The folder of a model, if it is of one of these tasks."""
    for folder in (Path(model), TEXTS / model):
        if (folder / CONFIG).is_file():
            kind = str(read_config(folder)["model"].get("class_path", "")).rsplit(".", 1)[-1]
            return folder if kind in {task.__name__ for task in tasks} else None
    return None


def _writing(folder: Path, texts: Sequence[str], device: str) -> Subject:
    model = load_model(folder).eval().to(device_named(device))
    if getattr(model, "source", None) is None:
        raise FmAudioError(f"{folder}: writes freely, and frontier compares answers; give a model that answers a source")
    own = sampling_of(folder, read_config(folder), default=model.default_sampling())  # type: ignore[operator]
    to_the_end = replace(model.default_decoding(), patience=None)  # type: ignore[operator]

    def text(item: int, seed: int, sampling: Sampling) -> Sequence[int]:
        return model.generate([TextRequest(texts[item], seed)], sampling, to_the_end)[0].ids  # type: ignore[operator]

    return Subject(
        folder, folder.name, _measured_from(own), text, len(texts), edit_distance, (QUANTILE,), False, adapts=_adapts(model)
    )


def _listening(folder: Path, manifest: Path, limit: int, device: str) -> Subject:
    """Recordings are written down; answers differ in edits of letters."""
    model = load_model(folder).eval().to(device_named(device))
    assert isinstance(model, SpeechToText)
    heard = [load_audio(line.path, model.spec.sample_rate) for line in manifest_lines(manifest, limit=limit)]
    own = sampling_of(folder, read_config(folder), default=model.default_sampling())
    to_the_end = replace(model.default_decoding(), patience=None)

    def text(item: int, seed: int, sampling: Sampling) -> str:
        return model.generate([TranscriptRequest(heard[item], seed)], sampling, to_the_end)[0].text

    return Subject(
        folder, folder.name, _measured_from(own), text, len(heard), edit_distance, (QUANTILE,), False, adapts=_adapts(model)
    )


def _adapts(model: torch.nn.Module) -> bool:
    """Not where a head is told its last estimate, which trying a step again would change."""
    return not any(getattr(part, "self_conditioning", 0.0) for part in model.modules())


def _measured_from(sampling: Sampling) -> Sampling:
    """Without what an earlier preset chose of solver, grid and steps; guidance and temperature are the model's."""
    return Sampling(
        guidance=sampling.guidance,
        guidance_interval=sampling.guidance_interval,
        guidance_rescale=sampling.guidance_rescale,
        temperature=sampling.temperature,
    )


def _lines(data: str, limit: int) -> list[str]:
    return list(load_protocol(data, "en").first(limit).sentences)


def _texts(data: str, limit: int) -> list[str]:
    """Lines, or the sources of pairs."""
    if not data.endswith((".tsv", ".jsonl")):
        return _lines(data, limit)
    sources = [pair.source for pair in read_pairs(data)[:limit]]
    found = [source for source in sources if source is not None]
    if not found:
        raise FmAudioError(f"{data}: its pairs have no source to be asked; give two columns")
    return found
