"""How a base reads another language: by the front-end that was asked for, or by one of its own kind with more symbols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fm_audio.checkpoint import instantiate
from fm_audio.data.text.borrowed import BorrowedPhones
from fm_audio.data.text.characters import Characters
from fm_audio.data.text.extended import Extended
from fm_audio.data.text.f5 import F5Characters
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.zipvoice import ZipVoicePhones
from fm_audio.types import FmAudioError

Node = Mapping[str, Any]


def own_way(base: FrontEnd, asked: Node) -> dict[str, Any]:
    """The node of what a base reads another language with, whose node by letters or by phones is `asked`.

    Converted models keep their own way: F5-TTS letters, ZipVoice phones. Raises FmAudioError where the other one was asked for.
    """
    added = instantiate(asked)
    if isinstance(base, F5Characters):
        if not isinstance(added, Characters):
            raise FmAudioError("--phonemes: this base reads letters; give --alphabet")
        return _node(F5Characters, base.grown(added.alphabet))
    if isinstance(base, ZipVoicePhones):
        if not isinstance(added, BorrowedPhones):
            raise FmAudioError("--alphabet: this base reads phones; give --phonemes")
        return _node(ZipVoicePhones, base.grown(added.language))
    return dict(asked)


def grown_frontend(base: Node, reads: Node) -> dict[str, Any]:
    """The node of the front-end of a whole model whose base had `base` and which learned to read with `reads`."""
    known, added = instantiate(base), instantiate(reads)
    if type(known) is type(added) and added.symbols == Extended(known, added).symbols:
        return dict(reads)
    return _node(Extended, {"base": base, "added": dict(reads)})


def _node(cls: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": dict(arguments)}
