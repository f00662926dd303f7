"""The vocoders of the transformers library with random weights, and the small mel contract that tests of decoders share."""

from __future__ import annotations

import tempfile

from torch import nn

from fm_audio.audio import AudioSpec

SPEC = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12, mean=-2.0, std=2.0)


def speecht5(folder: str | None = None) -> nn.Module:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    from fm_audio.decoders.transformers_vocoders import SpeechT5Vocoder

    folder = folder or tempfile.mkdtemp()
    config = SpeechT5HifiGanConfig(
        model_in_dim=12,
        sampling_rate=8000,
        upsample_initial_channel=16,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        initializer_range=0.2,
    )
    SpeechT5HifiGan(config).save_pretrained(folder)
    return SpeechT5Vocoder(SPEC, folder)


def univnet(folder: str | None = None) -> nn.Module:
    from transformers import UnivNetConfig, UnivNetModel

    from fm_audio.decoders.transformers_vocoders import UnivNetVocoder

    folder = folder or tempfile.mkdtemp()
    config = UnivNetConfig(
        model_in_channels=4,
        model_hidden_channels=4,
        num_mel_bins=12,
        resblock_kernel_sizes=[3, 3],
        resblock_stride_sizes=[4, 4],
        resblock_dilation_sizes=[[1, 3], [1, 3]],
        kernel_predictor_hidden_channels=4,
        kernel_predictor_num_blocks=1,
        initializer_range=0.2,
    )
    UnivNetModel(config).save_pretrained(folder)
    return UnivNetVocoder(SPEC, folder)
