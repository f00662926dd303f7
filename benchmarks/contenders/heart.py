"""Ours: the whole `say`, from texts to samples, text front-end and vocoder included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fm_audio
from benchmarks.sentences import asked
from benchmarks.worker import Made, Ready


def speech(setting: Mapping[str, Any]) -> Ready:
    """setting: voice, precision, compile, batch, seconds, device. Sampled as the voice is by default."""
    voice = fm_audio.load(setting["voice"], setting["device"], precision=setting["precision"], compile=setting["compile"])
    wanted = asked(setting["batch"], setting["seconds"])
    texts, seconds = [a.text for a in wanted], [a.seconds for a in wanted]

    def once() -> Made:
        return Made(sum(audio.seconds for audio in voice.say(texts, seconds=seconds)))

    parameters = sum(p.numel() for part in (voice.model, voice.vocoder) for p in part.parameters())
    forwards, steps = voice.model.head.forwards(voice.sampling), voice.sampling.steps
    return Ready(once, {"parameters": parameters, "forwards": forwards, "steps timed": steps})
