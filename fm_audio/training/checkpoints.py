"""Checkpoints that are whole at every moment, even when the run is killed while it writes one.

The bytes go to a hidden file beside the target, reach the disk, and only then take the target's name; Lightning itself writes to
the system's temporary folder and moves, which is a copy when that is another disk.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from fm_audio.types import FmAudioError


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoint files, replaced in one step. Paths with a scheme (s3://…) are left to Lightning."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")  # one name, so a killed run leaves at most one, which the next overwrites
        with part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Raises FmAudioError when there is none or it is damaged."""
        try:
            return super().load_checkpoint(path, *args, **options)
        except FileNotFoundError as e:
            raise FmAudioError(f"{path}: no checkpoint there; give a file that `fm-audio fit` wrote") from e
        except (EOFError, RuntimeError, OSError, pickle.UnpicklingError) as e:  # what torch.load raises on a damaged file
            why = (str(e).splitlines() or [type(e).__name__])[0][:120]
            raise FmAudioError(f"{path}: cannot be read as a checkpoint ({why}); take an earlier one") from e
