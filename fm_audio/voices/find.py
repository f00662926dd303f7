"""Finding voices: a name, model/name, or a folder becomes a `Voice`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import torch

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import CONFIG, WEIGHTS_NODE, instantiate, load_model, read_config
from fm_audio.decoders.renormalised import Renormalised
from fm_audio.runtime.weights import require_runtime
from fm_audio.tasks.joint import part_of
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import read_adapter, require_base
from fm_audio.voices.presets import sampling_of
from fm_audio.voices.voice import Voice

SHIPPED = Path(__file__).parent
DEFAULT_MODEL = "english"
KINDS = ("aligned_tts", "joint")
UNSTATED = "unstated"


@dataclass(frozen=True)
class Entry:
    """One voice of one model folder. `facts` is what the config tells of it (speaker, recorded, licence, consent, …)."""

    name: str
    folder: Path
    facts: Mapping[str, Any]
    is_default: bool

    @property
    def speaker(self) -> str:
        return self.facts.get("speaker", self.name)

    @property
    def card(self) -> dict[str, Any]:
        """The facts, with what is not said about licence and consent marked as unstated."""
        return {"licence": UNSTATED, "consent": UNSTATED, **self.facts}


Folder = str | os.PathLike[str]


def load(
    name: Folder | None = None,
    device: str | torch.device = "cpu",
    adapter: Folder | Sequence[Folder] | None = None,
    preset: str | None = None,
    precision: str = "fp32",
    compile: bool = False,
    runtime: str | None = None,
) -> Voice:
    """The default voice, a voice by name ("kathleen" or "english/kathleen"), or a folder ("runs/mine" or "runs/mine/anna").

    With `adapter`, folders that `fm-audio adapt` wrote, the first of them speaks, and the model it was made for is found by
    itself when no name is given. `preset` is one that `fm-audio frontier` measured: fast, balanced or best. `precision` "bf16"
    and `compile` run the network faster where the machine can (`fm_audio.flow.runner`). `runtime` ("torch" or "onnx") insists on
    weights for it.

    Raises FmAudioError on unknown names, naming near ones, when the vocoder was made for another mel, when an adapter was made
    for other weights, when the weights are for another runtime, and for a precision or a compiler that is not there.
    """
    where = device_named(device)
    adapters = [] if adapter is None else [adapter] if isinstance(adapter, str | os.PathLike) else list(adapter)
    entry = find(read_adapter(adapters[0]).base if adapters and name is None else name)
    for folder in adapters:  # before anything large is read
        require_base(read_adapter(folder), entry.folder)
    config = read_config(entry.folder)
    require_runtime(runtime, entry.folder, config)
    model = cast(Any, part_of(load_model(entry.folder), "speech"))
    vocoder = load_vocoder(entry.folder, config)
    model.spec.require_same(vocoder.spec, f"the voice in {entry.folder.name}", f"its vocoder {config['vocoder']}")
    sampling = sampling_of(entry.folder, config, preset)
    entries = voices_of(entry.folder)
    speakers, cards = {e.name: e.speaker for e in entries}, {e.name: e.card for e in entries}
    voice = Voice(entry.name, entry.folder.name, model.to(where), vocoder.to(where), speakers, sampling, entry.folder, cards)
    added = [voice.add_adapter(folder) for folder in adapters]
    voice.name = added[0] if added else entry.name
    model.head.hasten(precision, compile)
    return voice


def list_voices() -> list[Entry]:
    """Every voice that ships, the default model's first."""
    folders = sorted(path.parent for path in SHIPPED.glob(f"*/{CONFIG}"))
    folders = [f for f in folders if read_config(f).get("kind") in KINDS]
    folders.sort(key=lambda f: f.name != DEFAULT_MODEL)
    return [entry for folder in folders for entry in voices_of(folder)]


def voices_of(folder: Path) -> list[Entry]:
    """The voices that a model folder's config names, in its order."""
    config = read_config(folder)
    if config.get("kind") not in KINDS or not config.get("voices"):
        raise FmAudioError(
            f"{folder / CONFIG}: is no voice (kind {config.get('kind')!r}, {len(config.get('voices') or {})} voices); "
            f"give the folder of a model of kind {' or '.join(map(repr, KINDS))}"
        )
    voices = config["voices"]
    default = config.get("default_voice", next(iter(voices)))
    return [Entry(name, folder, facts, name == default) for name, facts in voices.items()]


def find(name: str | os.PathLike[str] | None = None) -> Entry:
    """The entry that a name or folder means; see `load`."""
    if name is not None and (Path(name) / CONFIG).is_file():
        return _default(voices_of(Path(name)))
    if name is not None and (Path(name).parent / CONFIG).is_file() and Path(name).name:
        return _named(Path(name).name, voices_of(Path(name).parent))
    shipped = list_voices()
    if not shipped:
        raise FmAudioError("no voices ship with this installation; give the folder of a trained voice")
    if name is None:
        return _default(shipped)
    asked = os.fspath(name)
    of_model = [e for e in shipped if e.folder.name == asked]
    return _default(of_model) if of_model else _named(asked, shipped)


def _default(entries: list[Entry]) -> Entry:
    return next((e for e in entries if e.is_default), entries[0])


def _named(asked: str, entries: list[Entry]) -> Entry:
    for entry in entries:
        if asked in (entry.name, f"{entry.folder.name}/{entry.name}"):
            return entry
    names = [e.name for e in entries]
    near = get_close_matches(asked.lower(), names, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise FmAudioError(f"unknown voice {asked!r}; {hint}There are {', '.join(names)}, or give the folder of a trained voice")


def load_vocoder(folder: Path, config: Mapping[str, Any]) -> Any:
    """The decoder that a voice names: a class without weights, or a folder beside the voice or among the shipped ones.

    {"folder": name, "other_floor": true} puts the folder's decoder behind the voice's own contract (`Renormalised`).
    """
    named, place = config.get("vocoder"), vocoder_folder(folder, config)
    if place is None:
        made = instantiate(cast(Any, named))
        return instantiate(config[WEIGHTS_NODE]).given_to(made, folder) if WEIGHTS_NODE in config else made
    if not isinstance(named, Mapping):
        return load_model(place)
    spec = AudioSpec.from_contract(config["model"]["init_args"]["spec"])
    return Renormalised(load_model(place), spec, bool(named.get("other_floor", False)))


def vocoder_folder(folder: Path, config: Mapping[str, Any]) -> Path | None:
    """Where the vocoder lies that a voice names; None for a class without weights."""
    named = config.get("vocoder")
    if isinstance(named, Mapping) and "folder" not in named:
        return None
    name = named["folder"] if isinstance(named, Mapping) else named
    if not isinstance(name, str):
        raise FmAudioError(f'{folder / CONFIG}: names no vocoder; add "vocoder": the name of a folder beside it')
    places = [folder.parent / name, SHIPPED / name]
    place = next((p for p in places if (p / CONFIG).is_file()), None)
    if place is None:
        where = " nor in ".join(str(p.parent) for p in places)
        raise FmAudioError(f"{folder / CONFIG}: its vocoder {name!r} is neither in {where}")
    return place


def reachable(vocoder: Any, base: Path) -> Any:
    """A vocoder beside a model is named in full, since what is made of the model may lie elsewhere."""
    if isinstance(vocoder, Mapping) and "folder" in vocoder:
        return {**vocoder, "folder": reachable(vocoder["folder"], base)}
    beside = base.parent / vocoder if isinstance(vocoder, str) else None
    if beside is None or base.parent == SHIPPED or not (beside / CONFIG).is_file():
        return vocoder
    return str(beside.resolve())


def device_named(device: str | torch.device) -> torch.device:
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as e:
        raise FmAudioError(f"device {str(device)!r} cannot be used ({str(e).splitlines()[0]}); try cpu or cuda") from e
    return where
