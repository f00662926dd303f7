"""Vocos as published for 24 kHz mels (Siuzdak 2024), random weights: the vocoder that F5-TTS and ZipVoice speak through."""

from __future__ import annotations

from typing import Any

from tests.parity.peers import vocos_package

SAMPLE_RATE, HOP_SAMPLES, BANDS = 24_000, 256, 100


def network(tiny: bool, device: str) -> Any:
    """`network(...).decode(mel (b bands n)) -> wave (b s)`, 13.5 M parameters, or few."""
    width, hidden, layers = (16, 16, 1) if tiny else (512, 1536, 8)
    stft = {"n_fft": 1024, "hop_length": HOP_SAMPLES}
    with vocos_package():
        from vocos.feature_extractors import MelSpectrogramFeatures
        from vocos.heads import ISTFTHead
        from vocos.models import VocosBackbone
        from vocos.pretrained import Vocos

        made = Vocos(
            MelSpectrogramFeatures(sample_rate=SAMPLE_RATE, **stft, n_mels=BANDS, padding="center"),
            VocosBackbone(input_channels=BANDS, dim=width, intermediate_dim=hidden, num_layers=layers),
            ISTFTHead(dim=width, **stft, padding="center"),
        )
    return made.eval().to(device)
