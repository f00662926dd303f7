"""`tasks.text_in_place.TextInPlace` in parts: the source's states, the field, and what makes velocities of logits."""

from __future__ import annotations

from fm_audio.flow.token_port import TokenPort
from fm_audio.runtime.field import field_parts
from fm_audio.runtime.part import Input, Part
from fm_audio.runtime.states import token_states
from fm_audio.tasks.text_in_place import TextInPlace


def parts(task: TextInPlace) -> list[Part]:
    port = task.head.ports["text"]
    assert isinstance(port, TokenPort)
    frames = Input("frames", ("b", "n", port.into.in_features - port.channels))
    return [token_states("source", "encoder", task.encoder), *field_parts(task.head, "text", [frames])]
