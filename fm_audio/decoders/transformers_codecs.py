"""Audio codecs of the `transformers` library as continuous latents: what their encoders say before it is quantised.

EnCodec (`facebook/encodec_24khz`: 128 channels at 75 Hz) and DAC (`descript/dac_24khz`: 1024 at 75 Hz) by name or folder. They
know no masks, so items are encoded and decoded one by one, and each alone is as in company. Needs
`pip install fm-audio[transformers]`.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from fm_audio.hub import from_hub
from fm_audio.types import FmAudioError, Frames, Mask, Wave

KINDS = {"encodec": "EncodecModel", "dac": "DacModel"}


class TransformersCodec(nn.Module):
    """model: a name on the hub or a folder of `save_pretrained`. A codec (`types.Codec`)."""

    def __init__(self, model: str) -> None:
        super().__init__()
        config = from_hub("AutoConfig", model)
        kind = KINDS.get(config.model_type)
        if kind is None:
            raise FmAudioError(f"{model}: is of type {config.model_type!r}; codecs are of {' or '.join(KINDS)}")
        if getattr(config, "audio_channels", 1) != 1 or getattr(config, "normalize", False):
            raise FmAudioError(f"{model}: is for stereo or levels its sounds; give a mono codec without that, as encodec_24khz")
        self.model = from_hub(kind, model)
        self.sample_rate = int(config.sampling_rate)
        ratios = config.upsampling_ratios
        self.hop_samples, self.channels = math.prod(ratios), int(config.hidden_size)

    @torch.no_grad()
    def encode(self, wave: Wave) -> Frames:
        """wave (b s) -> latents (b s // hop channels) float32."""
        n = wave.shape[-1] // self.hop_samples
        if n == 0:
            return wave.new_zeros(len(wave), 0, self.channels)
        rows = [self.model.encoder(one[None, None, : n * self.hop_samples]).mT[0, :n] for one in wave.float()]
        return torch.stack(rows)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """latents (b n channels), mask (b n) -> wave (b n·hop), zeros past an item's end."""
        made = x.new_zeros(len(x), x.shape[1] * self.hop_samples)
        for row, one, kept in zip(made, x.float(), mask, strict=True):
            n = int(kept.sum())
            wave = self.model.decoder(one[None, :n].mT)[0, 0]
            m = min(len(wave), n * self.hop_samples)
            row[:m] = wave[:m]
        return made
