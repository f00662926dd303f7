"""`tasks.text_to_audio.TextToAudio` in parts: captions (by an encoder of its own), clips that were found, gist, field."""

from __future__ import annotations

from torch import nn

from fm_audio.encoders.clips import ClipEncoder
from fm_audio.encoders.tokens import TokenEncoder
from fm_audio.runtime.field import field_parts
from fm_audio.runtime.part import Input, Part
from fm_audio.runtime.states import States, token_states
from fm_audio.tasks.text_to_audio import TextToAudio
from fm_audio.types import FmAudioError


def parts(task: TextToAudio) -> list[Part]:
    if not isinstance(task.encoder, TokenEncoder):
        raise FmAudioError(f"{type(task.frontend).__name__}: captions that transformers reads cannot be exported to ONNX")
    bands, width = task.spec.bands, task.gist.in_features
    made = [
        token_states("captions", "encoder", task.encoder),
        _gist("gist", task.gist, width),
    ]
    if task.clips is not None:
        made.append(_clips(task.clips, bands))
    if task.clips_gist is not None:
        made.append(_gist("clips_gist", task.clips_gist, width))
    doors = [
        Input("frames", ("b", "n", bands + 1)),
        Input("tokens", ("b", "m", width)),
        Input("tokens_mask", ("b", "m"), "mask"),
        Input("vector", ("b", task.vector_width)),
    ]
    return [*made, *field_parts(task.head, "mel", doors)]


def _gist(name: str, layer: nn.Linear, width: int) -> Part:
    """state (b width) -> vector (b g)."""
    return Part(name, name, layer, (Input("state", ("b", width)),), ("vector",), lambda net, state: net(state), int8=False)


def _clips(clips: ClipEncoder, bands: int) -> Part:
    """mel (b r n bands), mask (b r n) -> tokens (b m width), tokens_mask (b m)."""
    inputs = (Input("mel", ("b", "r", "n", bands)), Input("mask", ("b", "r", "n"), "mask"))

    def states(clips, mel, mask):  # type: ignore[no-untyped-def]
        cond = clips(mel, mask)
        return cond.tokens, cond.tokens_mask

    return Part("clips", "clips", clips, inputs, ("tokens", "tokens_mask"), states, States)
