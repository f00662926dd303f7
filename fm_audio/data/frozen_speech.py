"""What a speech encoder of the `transformers` library hears in a recording; the encoder stays as it is.

    states = layer_norm(encoder(samples))        some 50 a second

HuBERT, wav2vec 2.0 and WavLM read samples, a Whisper's encoder its own log-mels, up to 30 s. Each recording is heard by itself,
so that company changes nothing. The weights belong to the encoder: they are read by name or folder wherever they are needed, and
are no part of a model that learns from what they hear. Needs `pip install fm-audio[transformers]`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from fm_audio.audio import Audio, resample
from fm_audio.hub import from_hub
from fm_audio.types import FmAudioError


@runtime_checkable
class FrozenListener(Protocol):
    """Hears a recording as states (k channels), some 50 a second; its str says who it is."""

    @property
    def channels(self) -> int: ...

    def hear(self, audio: Audio, device: torch.device | str = "cpu") -> Tensor: ...


class FrozenSpeech:
    """model: a name on the hub (`openai/whisper-tiny.en`, `facebook/hubert-base-ls960`), or a folder of `save_pretrained`."""

    def __init__(self, model: str) -> None:
        self.model = model

    def __str__(self) -> str:
        return self.model

    @cached_property
    def encoder(self) -> Any:
        found = from_hub("AutoModel", self.model)
        found = found.get_encoder() if found.config.is_encoder_decoder else found
        return found.eval().requires_grad_(False)

    @cached_property
    def reader(self) -> Any:
        """What turns samples into what the encoder takes."""
        found = from_hub("AutoFeatureExtractor", self.model)
        if not getattr(found, "sampling_rate", None):
            raise FmAudioError(f"{self.model}: reads no sound; give a speech encoder such as HuBERT, wav2vec 2.0 or a Whisper")
        return found

    @property
    def channels(self) -> int:
        """Features of a state."""
        return int(self.encoder.config.hidden_size)

    @torch.no_grad()
    def hear(self, audio: Audio, device: torch.device | str = "cpu") -> Tensor:
        """States (k e) of a recording, float32. Raises FmAudioError for one that is too short or too long for the encoder."""
        rate = int(self.reader.sampling_rate)
        samples = resample(audio.samples, audio.sample_rate, rate)
        longest = getattr(self.reader, "chunk_length", None)  # seconds; a Whisper pads all recordings to it
        if longest and len(samples) > longest * rate:
            raise FmAudioError(f"{self.model}: hears {longest} s at a time, and this lasts {audio.seconds:.1f} s; cut it")
        read = self.reader(samples, sampling_rate=rate, return_tensors="pt")
        key = "input_features" if "input_features" in read else "input_values"
        with torch.autocast(torch.device(device).type, enabled=False):
            try:
                states = self.encoder.to(device)(read[key].to(device)).last_hidden_state[0].float()
            except RuntimeError as e:
                raise FmAudioError(f"{self.model}: cannot hear {audio.seconds:.3f} s of sound ({str(e).splitlines()[0]})") from e
        if longest:
            states = states[: math.ceil(len(states) * len(samples) / (longest * rate))]
        return F.layer_norm(states, states.shape[-1:])
