"""How a model folder is sampled from: what its config says, and the presets that `fm-audio frontier` measured for it.

    sampling.json   {"format": 1, "presets": {"fast" | "balanced" | "best": {"sampling": {…}, "forwards", "error"}},
                     "measured": {…}}

A folder with that file is sampled as its preset `balanced` says, unless another is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fm_audio.checkpoint import instantiate, read_json
from fm_audio.flow.sampling import Sampling
from fm_audio.types import FmAudioError

FORMAT = 1
FILE = "sampling.json"
NAMES = ("fast", "balanced", "best")
USUAL = "balanced"


def sampling_of(
    folder: Path, config: Mapping[str, Any], preset: str | None = None, default: Sampling | None = None
) -> Sampling:
    """The sampling of a model folder. Raises FmAudioError for a preset that it does not have, naming those it has."""
    base = (default or Sampling()).changed(**_known(folder, config.get("sampling", {})))
    if preset is not None and preset not in NAMES:
        raise FmAudioError(f"preset {preset!r}: there are {', '.join(NAMES)}")
    if not (folder / FILE).is_file():
        if preset is not None:
            raise FmAudioError(f"preset {preset!r}: {folder} has no {FILE}; measure one: fm-audio frontier {folder} --data LIST")
        return base
    found = read_json(folder / FILE, "presets", "measure them again with fm-audio frontier")
    presets = found.get("presets") if isinstance(found, dict) and found.get("format") == FORMAT else None
    if not isinstance(presets, dict) or USUAL not in presets:
        raise FmAudioError(f"{folder / FILE}: holds no presets of format {FORMAT}; measure them again with fm-audio frontier")
    chosen = presets.get(preset or USUAL)
    if chosen is None:
        raise FmAudioError(f"preset {preset!r}: {folder} has {', '.join(presets)}")
    if not isinstance(chosen, dict) or not isinstance(chosen.get("sampling"), dict):
        lacks = f"its preset {preset or USUAL!r} names no sampling; measure them again with fm-audio frontier"
        raise FmAudioError(f"{folder / FILE}: {lacks}")
    return base.changed(**_known(folder, chosen["sampling"]))


def _known(folder: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(Sampling)}
    unknown = sorted(set(told) - names)
    if unknown:
        raise FmAudioError(f"{folder}: its sampling has {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    made = {k: instantiate(v) if isinstance(v, dict) else v for k, v in told.items()}  # a solver or grid with arguments
    return {k: tuple(v) if isinstance(v, list) else v for k, v in made.items()}
