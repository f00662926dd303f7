"""Decoders of mels: the right sound comes out, and other mels are refused. `tests/invariance` holds what all of them owe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.decoders.hifigan import HiFiGAN
from fm_audio.decoders.refined import Refined
from fm_audio.decoders.renormalised import Renormalised
from fm_audio.decoders.vocos import Vocos
from fm_audio.types import FmAudioError
from tests.invariance.cases import UNCENTRED
from tests.invariance.vocoders import SPEC, speecht5


def test_griffin_lim_of_a_sine_recovers_its_pitch() -> None:
    spec = AudioSpec()
    for pitch_hz in (220.0, 997.0):
        wave = 0.5 * torch.sin(2 * torch.pi * pitch_hz * torch.arange(24_000) / 24_000)[None]
        x = spec.log_mel(wave)
        made = GriffinLim(spec).decode(x, torch.ones(x.shape[:2], dtype=torch.bool))[0]
        peak_hz = torch.fft.rfft(made * torch.hann_window(len(made))).abs().argmax() * 24_000 / len(made)
        assert abs(float(peak_hz) - pitch_hz) < 15


def test_an_untrained_refinement_is_its_rough_decoder() -> None:
    x, mask = torch.randn(1, 9, 12), torch.ones(1, 9, dtype=torch.bool)
    rough = GriffinLim(SPEC, iterations=4)
    made = Refined(SPEC, rough=rough, rounds=0).decode(x, mask)
    torch.testing.assert_close(made, rough.decode(x, mask), rtol=1e-3, atol=1e-5)


def test_griffin_lim_comes_closer_with_every_round() -> None:
    spec = AudioSpec(sample_rate=8000, n_fft=256, hop_samples=64, window_samples=256, bands=80)
    wave = torch.sin(torch.cumsum(torch.linspace(0.1, 0.9, 8000), 0))[None] * 0.3
    x = spec.log_mel(wave)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    distances = [(spec.log_mel(GriffinLim(spec, k).decode(x, mask)) - x).abs().mean() for k in (0, 8, 32)]
    assert distances[0] > distances[1] > distances[2]


def test_renormalised_undoes_its_own_affine_map() -> None:
    decoder = Renormalised(GriffinLim(UNCENTRED, iterations=2), AudioSpec(**{**UNCENTRED.contract(), "mean": -5.0, "std": 2.0}))
    x, mask = torch.randn(1, 9, 12), torch.ones(1, 9, dtype=torch.bool)
    torch.testing.assert_close(decoder.decode((x + 5.0) / 2.0, mask), decoder.decoder.decode(x, mask), rtol=1e-3, atol=1e-5)


def test_mels_of_another_kind_are_refused() -> None:
    with pytest.raises(FmAudioError, match="centred"):
        Renormalised(GriffinLim(SPEC), UNCENTRED)
    with pytest.raises(FmAudioError, match="centred"):
        Vocos(UNCENTRED)
    with pytest.raises(FmAudioError, match="hop"):
        HiFiGAN(SPEC)


def test_a_transformers_vocoder_of_another_shape_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the transformers extra is not installed")
    from fm_audio.decoders.transformers_vocoders import SpeechT5Vocoder

    speecht5(str(tmp_path))
    with pytest.raises(FmAudioError, match="sample_rate"):
        SpeechT5Vocoder(AudioSpec(sample_rate=16_000, n_fft=64, hop_samples=16, window_samples=64, bands=12), str(tmp_path))
    with pytest.raises(FmAudioError, match="save_pretrained"):
        SpeechT5Vocoder(SPEC, str(tmp_path / "nowhere"))
