"""Voices: the small models that ship with the package, how they are found, and what one can ask of them.

A model folder holds config.json, model.safetensors and card.md. Beside the model, the config of a voice says
"kind" ("aligned_tts"), "vocoder" (a folder beside it), "voices" ({name: {"speaker": …, facts}}), "default_voice" and
"sampling" (the defaults that its figures were measured with).
"""

from __future__ import annotations

from fm_audio.voices.find import Entry, list_voices, load
from fm_audio.voices.voice import Spoken, TimedWord, Voice

__all__ = ["Entry", "Spoken", "TimedWord", "Voice", "list_voices", "load"]
