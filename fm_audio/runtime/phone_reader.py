"""`tasks.phone_reader.PhoneReader` in parts: what is heard as states, and the phones that these are."""

from __future__ import annotations

import torch
from torch import Tensor

from fm_audio.encoders.speech import SpeechEncoder
from fm_audio.runtime.part import Input, Part, Sizes
from fm_audio.runtime.states import States
from fm_audio.tasks.phone_reader import PhoneReader


def parts(task: PhoneReader) -> list[Part]:
    heard = [Input("mel", ("b", "n", task.spec.bands)), Input("mask", ("b", "n"), "mask")]
    if task.listener is not None:
        heard.append(Input("beside", ("b", "k", task.listener.channels)))
    tokens = (Input("tokens", ("b", "m", task.encoder.width)),)

    def example(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        k = -(-sizes["n"] // task.encoder.frames_per_token)  # what is beside lies along tokens
        return [given.drawn({**sizes, "k": k}, generator) for given in heard]

    return [
        Part("states", "encoder", task.encoder, tuple(heard), ("tokens", "tokens_mask"), states, States, example),
        Part("phones", "out", task.out, tokens, ("logits",), lambda net, tokens: net(tokens)),
    ]


def states(encoder: SpeechEncoder, *heard: Tensor) -> tuple[Tensor | None, Tensor | None]:
    cond = encoder(*heard)
    return cond.tokens, cond.tokens_mask
