"""Models that write text, by name: those that ship with the package, or a folder of `fm-audio export`."""

from __future__ import annotations

import os
from pathlib import Path

from fm_audio.checkpoint import CONFIG
from fm_audio.types import FmAudioError

SHIPPED = Path(__file__).parents[1] / "data" / "text"


def shipped() -> list[str]:
    """The names of the models that ship."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def folder_of(name: str | os.PathLike[str]) -> Path:
    """The folder that a name means. A folder of one's own goes before a model that ships. Raises FmAudioError for neither."""
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    if os.fspath(name) in shipped():
        return SHIPPED / name
    raise FmAudioError(
        f"{os.fspath(name)}: no model there ({CONFIG} is missing); give a folder of `fm-audio export`, or one that ships: "
        + ", ".join(shipped())
    )
