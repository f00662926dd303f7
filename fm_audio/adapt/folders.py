"""Voices made whole from a base and what it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from fm_audio.checkpoint import CONFIG, read_config, save_model
from fm_audio.data.text.extended import Extended
from fm_audio.types import FmAudioError
from fm_audio.voices.find import SHIPPED, Entry

CARD, PAGE, MELS, HELD_OUT = "card.md", "listen.html", "mels.png", "held_out.txt"


def require_alone(base: Entry) -> None:
    """Refuse a base whose weights do more than speak: a whole voice made of them would have to leave the rest behind."""
    kind = read_config(base.folder).get("kind")
    if kind == "joint":
        raise FmAudioError(
            f"{base.folder}: is a joint model, of which no voice can be made whole; keep the adapter, and speak with --adapter"
        )


def write_voice(
    folder: Path, base: Entry, state: Mapping[str, Tensor], voice: str, reads: Mapping[str, Any] | None, facts: Any, half: bool
) -> None:
    """A whole model folder that speaks as `voice`, whose tables have rows behind the base's: `state` is all of its weights."""
    config = read_config(base.folder)
    arguments = dict(config["model"]["init_args"])
    arguments["speakers"] = [*arguments["speakers"], voice]
    if reads is not None:
        extended = f"{Extended.__module__}.{Extended.__qualname__}"
        arguments["frontend"] = {
            "class_path": extended, "init_args": {"base": arguments["frontend"], "added": dict(reads)}
        }  # fmt: skip
    extra = {
        "kind": config["kind"],
        "vocoder": reachable(config.get("vocoder"), base.folder),
        "voices": {voice: dict(facts)},
        "default_voice": voice,
        "sampling": config.get("sampling", {}),
    }
    save_model(folder, {**config["model"], "init_args": arguments}, state, extra, half)


def reachable(vocoder: Any, base: Path) -> Any:
    """A vocoder's folder beside the base is named in full, since the new voice may lie elsewhere."""
    if isinstance(vocoder, Mapping) and "folder" in vocoder:
        return {**vocoder, "folder": reachable(vocoder["folder"], base)}
    beside = base.parent / vocoder if isinstance(vocoder, str) else None
    if beside is None or base.parent == SHIPPED or not (beside / CONFIG).is_file():
        return vocoder
    return str(beside.resolve())
