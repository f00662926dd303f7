"""Vocoders of the `transformers` library behind the decoder's seam: SpeechT5's HiFi-GAN and UnivNet.

Both are read from a local folder written by `save_pretrained`. Neither knows masks, so the items of a batch are decoded
one by one and an item alone sounds as in company. Needs `pip install fm-audio[transformers]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.types import FmAudioError, Frames, Mask, Wave

LEAST_FRAMES = 4
"""UnivNet reflects three frames at both edges."""


class SpeechT5Vocoder(nn.Module):
    """`SpeechT5HifiGan` (for example `microsoft/speecht5_hifigan`, 16 kHz, 80 bands). Its own normalisation is kept."""

    def __init__(self, spec: AudioSpec, folder: str) -> None:
        super().__init__()
        self.spec = spec
        self.model = _from_folder("SpeechT5HifiGan", folder)
        config = self.model.config
        _require_shape(folder, spec, config.model_in_dim, _product(config.upsample_rates), config.sampling_rate)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        return _one_by_one(x, mask, self.spec, lambda mel: self.model(mel))


class UnivNetVocoder(nn.Module):
    """`UnivNetModel` (for example `dg845/univnet-dev`, 24 kHz, 100 bands). Its noise comes from `seed`, anew for every item."""

    def __init__(self, spec: AudioSpec, folder: str, seed: int = 0) -> None:
        super().__init__()
        self.spec, self.seed = spec, seed
        self.model = _from_folder("UnivNetModel", folder)
        config = self.model.config
        hop_samples = _product(config.resblock_stride_sizes)
        _require_shape(folder, spec, config.num_mel_bins, hop_samples, spec.sample_rate)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        return _one_by_one(x, mask, self.spec, self._wave)

    def _wave(self, mel: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(*mel.shape[:2], self.model.config.model_in_channels, generator=generator)
        return self.model(mel, noise.to(mel)).waveforms


def _one_by_one(x: Frames, mask: Mask, spec: AudioSpec, vocode: Callable[[Tensor], Tensor]) -> Wave:
    """`vocode` (1 n bands) plain log-mel -> (1 s), cut or filled with zeros to n·hop. Very short items gain frames of silence."""
    b, n, _ = x.shape
    out = x.new_zeros(b, spec.samples_of_frames(n))
    for i, frames in enumerate(mask.sum(1).tolist()):
        if frames:
            item = F.pad(x[i : i + 1, :frames], (0, 0, 0, max(0, LEAST_FRAMES - frames)), value=spec.floor)
            wave = vocode(item * spec.std + spec.mean).reshape(-1)[: spec.samples_of_frames(frames)]
            out[i, : len(wave)] = wave
    return out


def _from_folder(name: str, folder: str) -> Any:
    try:
        import transformers
    except ImportError as e:
        raise FmAudioError(f"{name} needs the transformers library; pip install fm-audio[transformers]") from e
    try:
        return getattr(transformers, name).from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError) as e:
        raise FmAudioError(f"{folder}: no {name} in safetensors there ({e}); give a folder written by save_pretrained") from e


def _require_shape(folder: str, spec: AudioSpec, bands: int, hop_samples: int, sample_rate: int) -> None:
    theirs = {"bands": bands, "hop_samples": hop_samples, "sample_rate": sample_rate}
    wrong = {name: value for name, value in theirs.items() if getattr(spec, name) != value}
    if wrong:
        given = {name: getattr(spec, name) for name in wrong}
        raise FmAudioError(f"{folder}: the vocoder has {wrong}, the mel contract says {given}; use the vocoder's own numbers")


def _product(rates: Any) -> int:
    return int(torch.tensor(list(rates)).prod())
