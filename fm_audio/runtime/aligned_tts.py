"""`tasks.aligned_tts.AlignedTTS` in parts: speaker table, text encoder with durations, pitch where it is predicted, field."""

from __future__ import annotations

from fm_audio.runtime.field import field_parts
from fm_audio.runtime.part import Input, Part
from fm_audio.runtime.states import table
from fm_audio.runtime.symbols import symbols_part
from fm_audio.tasks.aligned_tts import AlignedTTS


def parts(task: AlignedTTS) -> list[Part]:
    width = task.speaker.embedding_dim
    made = [table("speaker", "speaker", task.speaker), symbols_part("text", task.text, width)]
    channels: int = task.text.frames_channels
    if task.pitch is not None:
        inputs = (Input("frames", ("b", "n", channels)), Input("vector", ("b", width)), Input("mask", ("b", "n"), "mask"))
        made.append(
            Part("pitch", "pitch.predictor", task.pitch.predictor, inputs, ("height",), lambda net, *given: net(*given))
        )
        channels += task.pitch.channels
    doors = [Input("frames", ("b", "n", channels)), Input("vector", ("b", width))]
    return [*made, *field_parts(task.head, "mel", doors)]
