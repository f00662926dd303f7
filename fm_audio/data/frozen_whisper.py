"""What the encoder of a Whisper in CTranslate2's layout hears in a recording; the encoder stays as it is.

    states = layer_norm(encoder(samples and a second of silence))        50 a second

A Whisper was trained on windows of 30 s; here it sees no more than there is, which costs a short clip a tenth and changes what it
hears little. As `frozen_speech`, but for the Whispers that come in packages. Needs faster-whisper: `pip install fm-audio[eval]`.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fm_audio.audio import Audio, resample
from fm_audio.extras import WHISPER_COMMAND, require
from fm_audio.types import FmAudioError
from fm_audio.whispers import PACKAGED

SAMPLE_RATE, STATES_HZ = 16_000, 50
WINDOW_SECONDS = 28.0  # at once, with the silence behind it less than the 30 s that it knows
SILENCE_SECONDS = 1.0
CHANNELS = {"whisper-tiny.en": 384, "whisper-base": 512}  # so that a model can be built where no Whisper is installed


class FrozenWhisper:
    """model: `whisper-tiny.en`, `whisper-base`, or a folder with model.bin. threads: CPU threads that it may use."""

    def __init__(self, model: str, threads: int = 1) -> None:
        self.model, self.threads = model, threads

    def __str__(self) -> str:
        return self.model

    @cached_property
    def _whisper(self) -> Any:
        found = require("faster_whisper", f"listening through {self.model}", WHISPER_COMMAND)
        folder = PACKAGED[self.model]() if self.model in PACKAGED else Path(self.model)
        if not (folder / "model.bin").is_file():
            raise FmAudioError(f"{self.model}: no model.bin there; give {', '.join(PACKAGED)} or a Whisper's CTranslate2 folder")
        return found.WhisperModel(
            str(folder), device="cpu", compute_type="float32", cpu_threads=self.threads, local_files_only=True
        )

    @cached_property
    def channels(self) -> int:
        """Features of a state."""
        return CHANNELS.get(self.model) or self.hear(Audio(np.zeros(SAMPLE_RATE, dtype=np.float32), SAMPLE_RATE)).shape[1]

    def hear(self, audio: Audio, device: torch.device | str = "cpu") -> Tensor:
        """States (k e) of a recording, float32, each from its window of 28 s alone."""
        samples = resample(audio.samples, audio.sample_rate, SAMPLE_RATE).astype(np.float32)
        step = int(WINDOW_SECONDS * SAMPLE_RATE)
        windows = [self._window(samples[i : i + step]) for i in range(0, max(len(samples), 1), step)]
        return F.layer_norm(torch.from_numpy(np.concatenate(windows)).to(device), (windows[0].shape[1],))

    def _window(self, samples: np.ndarray) -> np.ndarray:
        silence = np.zeros(int(SILENCE_SECONDS * SAMPLE_RATE), dtype=np.float32)
        mel = self._whisper.feature_extractor(np.concatenate([samples, silence]), padding=0)
        states = np.asarray(self._whisper.encode(mel[:, : mel.shape[1] // 2 * 2]))[0]
        return states[: max(1, math.ceil(len(samples) * STATES_HZ / SAMPLE_RATE))]
