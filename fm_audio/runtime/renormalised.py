"""`decoders.renormalised.Renormalised`: the parts of the decoder behind it; its own arithmetic has no weights."""

from __future__ import annotations

from dataclasses import replace

from fm_audio.decoders.renormalised import Renormalised
from fm_audio.runtime.part import Part, parts_of


def parts(decoder: Renormalised) -> list[Part]:
    return [replace(part, at=f"decoder.{part.at}".rstrip(".")) for part in parts_of(decoder.decoder)]
