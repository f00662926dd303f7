"""One conditional flow matching head for speech, sound and text. `fm_audio.load()` gives a voice that speaks.

Importing the package loads nothing heavy: torch comes with the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fm_audio.audio import Audio as Audio
    from fm_audio.audio import AudioSpec as AudioSpec
    from fm_audio.types import FmAudioError as FmAudioError
    from fm_audio.voices import Voice as Voice
    from fm_audio.voices import load as load

__version__ = "0.1.0"

_HOMES = {
    "Audio": "fm_audio.audio",
    "AudioSpec": "fm_audio.audio",
    "FmAudioError": "fm_audio.types",
    "Voice": "fm_audio.voices",
    "load": "fm_audio.voices",
}
__all__ = ["Audio", "AudioSpec", "FmAudioError", "Voice", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fm_audio' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
