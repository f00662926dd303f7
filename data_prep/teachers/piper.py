"""Piper voices (ONNX) with the durations they predict. piper-tts is GPL: a tool to run, never a dependency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.teachers import Spoken
from fm_audio.types import FmAudioError


class Piper:
    """`folder` holds one or more voices: NAME.onnx with NAME.onnx.json beside it. Check each voice's own licence."""

    licence = "see the voice's card"

    def __init__(self, folder: Path) -> None:
        self._paths = {p.stem: p for p in sorted(folder.rglob("*.onnx")) if p.with_name(p.name + ".json").is_file()}
        self._loaded: dict[str, Any] = {}
        if not self._paths:
            raise FmAudioError(f"{folder}: holds no piper voice (NAME.onnx with NAME.onnx.json beside it)")

    def voices(self) -> list[str]:
        return list(self._paths)

    def say(self, text: str, voice: str, speed: float) -> Spoken:
        """Phones carry piper's own padding; a unit is one sample, so durations sum to the samples."""
        from piper import SynthesisConfig

        model = self._voice(voice)
        samples, phones, units = [], [], []
        for chunk in model.synthesize(text, SynthesisConfig(length_scale=1 / speed), include_alignments=True):
            samples.append(np.asarray(chunk.audio_float_array, dtype=np.float32))
            for item in chunk.phoneme_alignments or ():
                phones.append(item.phoneme)
                units.append(int(item.num_samples))
        wave = np.concatenate(samples) if samples else np.zeros(0, np.float32)
        rate = model.config.sample_rate
        if sum(units) != len(wave):
            return Spoken(wave, rate)
        return Spoken(wave, rate, tuple(phones), tuple(units), 1 / rate)

    def _voice(self, name: str) -> Any:
        try:
            from piper import PiperVoice
        except ImportError as e:
            raise FmAudioError("piper is not installed; pip install piper-tts (GPL) or choose another --teacher") from e
        if name not in self._loaded:
            self._loaded[name] = PiperVoice.load(self._paths[name])
        return self._loaded[name]
