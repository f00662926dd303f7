"""`tasks.phone_reader.PhoneReader` in parts: what is heard as states, and the phones that these are."""

from __future__ import annotations

from torch import Tensor

from fm_audio.encoders.speech import SpeechEncoder
from fm_audio.runtime.part import Input, Part
from fm_audio.runtime.states import States
from fm_audio.tasks.phone_reader import PhoneReader


def parts(task: PhoneReader) -> list[Part]:
    heard = (Input("mel", ("b", "n", task.spec.bands)), Input("mask", ("b", "n"), "mask"))
    tokens = (Input("tokens", ("b", "m", task.encoder.width)),)
    return [
        Part("states", "encoder", task.encoder, heard, ("tokens", "tokens_mask"), states, States),
        Part("phones", "out", task.out, tokens, ("logits",), lambda net, tokens: net(tokens)),
    ]


def states(encoder: SpeechEncoder, mel: Tensor, mask: Tensor) -> tuple[Tensor | None, Tensor | None]:
    cond = encoder(mel, mask)
    return cond.tokens, cond.tokens_mask
