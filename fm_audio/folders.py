"""Output folders: hidden while they are filled, then there as a whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fm_audio.types import FmAudioError


def require_new(out: Path) -> None:
    """Refuse an output that is there already, or cannot be."""
    if out.exists():
        raise FmAudioError(f"{out}: exists already; give the name of a new folder")
    if not out.name:
        raise FmAudioError(f"{out}: give the name of a folder")


@contextmanager
def becoming(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its name when the block ends well, and goes away when it does not.

    There is one hidden name for each output, so what a killed run left is cleared by the next.
    """
    hidden = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
    except OSError as e:
        raise FmAudioError(f"{out}: cannot be written ({e.strerror}); choose another folder") from e
    try:
        yield hidden
        require_new(out)
        os.rename(hidden, out)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
