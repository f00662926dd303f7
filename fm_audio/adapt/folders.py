"""Voices, and models that clone or make sounds, made whole from a base and what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fm_audio.adapt.reading import grown_frontend
from fm_audio.checkpoint import load_model, read_config, save_model
from fm_audio.types import FmAudioError
from fm_audio.voices.adapted import merged
from fm_audio.voices.adapter import Adapter, require_base
from fm_audio.voices.cloner import KIND as CLONES
from fm_audio.voices.cloner import cloner_folder
from fm_audio.voices.find import Entry, find, reachable
from fm_audio.voices.reference import Reference
from fm_audio.voices.sounds import KIND as SOUNDS
from fm_audio.voices.sounds import kind_of, sounds_folder

CARD, PAGE, MELS, HELD_OUT = "card.md", "listen.html", "mels.png", "held_out.txt"


def base_of(adapter: Adapter, given: str | None = None) -> Path:
    """The folder of the base, which is where it was, or what is given. Raises FmAudioError for another one than that which the
    adapter was made for, and for one of which no whole model can be made."""
    place = given or adapter.base
    kind = kind_of(place)
    if kind == CLONES:
        folder = cloner_folder(place)
    elif kind == SOUNDS:
        folder = sounds_folder(place)
    else:
        entry = find(place)
        folder = entry.folder
        require_alone(entry)
    require_base(adapter, folder)
    return folder


def write_merged(folder: Path, adapter: Adapter, base: Path, half: bool) -> None:
    """The base and the adapter as one."""
    state = merged(load_model(base), adapter)
    kind = read_config(base).get("kind")
    if kind == SOUNDS:
        _write(folder, base, read_config(base), {}, state, None, {"facts": dict(adapter.facts)}, half)
    elif kind == CLONES:
        write_cloner(folder, base, state, adapter.frontend, adapter.facts, adapter.reference, half)
    else:
        write_voice(folder, base, state, adapter.voice, adapter.frontend, adapter.facts, half)


def require_alone(base: Entry) -> None:
    """Refuse a base whose weights do more than speak: a whole voice made of them would have to leave the rest behind."""
    kind = read_config(base.folder).get("kind")
    if kind == "joint":
        raise FmAudioError(
            f"{base.folder}: is a joint model, of which no voice can be made whole; keep the adapter, and speak with --adapter"
        )


def write_voice(
    folder: Path, base: Path, state: Mapping[str, Tensor], voice: str, reads: Mapping[str, Any] | None, facts: Any, half: bool
) -> None:
    """A whole model folder that speaks as `voice`, whose tables have rows behind the base's: `state` is all of its weights."""
    config = read_config(base)
    speakers = [*config["model"]["init_args"]["speakers"], voice]
    extra = {"voices": {voice: dict(facts)}, "default_voice": voice}
    _write(folder, base, config, {"speakers": speakers}, state, reads, extra, half)


def write_cloner(
    folder: Path,
    base: Path,
    state: Mapping[str, Tensor],
    reads: Mapping[str, Any] | None,
    facts: Any,
    reference: Reference | None,
    half: bool,
) -> None:
    """A whole model folder that clones, from `reference` when it is given no other recording."""
    config = read_config(base)
    extra: dict[str, Any] = {"facts": dict(facts)}
    if "converted_from" in config:  # what it is shown, and how it goes back, depend on it
        extra["converted_from"] = config["converted_from"]
    if reference is not None:
        folder.mkdir(exist_ok=True)
        extra["reference"] = reference.beside(folder)
    _write(folder, base, config, {}, state, reads, extra, half)


def _write(
    folder: Path,
    base: Path,
    config: Mapping[str, Any],
    changed: Mapping[str, Any],
    state: Mapping[str, Tensor],
    reads: Mapping[str, Any] | None,
    extra: Mapping[str, Any],
    half: bool,
) -> None:
    """The base's model with arguments changed, and its vocoder and sampling."""
    arguments = {**config["model"]["init_args"], **changed}
    if reads is not None:
        arguments["frontend"] = grown_frontend(arguments["frontend"], reads)
    kept = {
        "kind": config["kind"],
        "vocoder": reachable(config.get("vocoder"), base),
        "sampling": config.get("sampling", {}),
    }
    save_model(folder, {**config["model"], "init_args": arguments}, state, {**kept, **extra}, half)
