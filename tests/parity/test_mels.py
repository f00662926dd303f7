"""Five mels that look alike: each of ours is its peer's, and no other's.

BigVGAN, F5-TTS for BigVGAN and Matcha-TTS compute theirs with librosa's filters and torch: their own code runs here. Vocos and
F5-TTS for Vocos call torchaudio, which the tests do not install: librosa's mel stands in for that one call. ZipVoice (its package
is empty) takes the mel of Vocos times a tenth.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec, load_audio
from fm_audio.convert import bigvgan, f5, hifigan, vocos
from tests.parity.peers import bigvgan_package, close, f5_package, matcha_package, vocos_package

pytestmark = pytest.mark.slow  # needs the peers' packages
RATE, N_FFT, HOP = 24_000, 1024, 256
RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"
LJSPEECH = {"mean": -5.536622, "std": 2.116101}


class LibrosaMel(nn.Module):
    """What torchaudio's MelSpectrogram computes with these arguments, computed by librosa: HTK bands, no norm, magnitudes."""

    def __init__(self, sample_rate: int, n_fft: int, hop_length: int, n_mels: int, **given: Any) -> None:
        super().__init__()
        assert given.pop("win_length", n_fft) == n_fft and given.pop("norm", None) is None and not given.pop("normalized", False)
        assert given == {"center": True, "power": 1}
        self.arguments = {"sr": sample_rate, "n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels, "power": 1.0}

    def forward(self, wave: Tensor) -> Tensor:
        """(b s) -> (b bands n)."""
        import librosa

        shape = {"center": True, "pad_mode": "reflect", "htk": True, "norm": None}
        return torch.from_numpy(librosa.feature.melspectrogram(y=wave.double().numpy(), **self.arguments, **shape)).float()


def f5_for_vocos(wave: Tensor) -> Tensor:
    with f5_package():
        from f5_tts.model import modules

        modules.torchaudio = SimpleNamespace(transforms=SimpleNamespace(MelSpectrogram=LibrosaMel))
        return modules.get_vocos_mel_spectrogram(wave)


def f5_for_bigvgan(wave: Tensor) -> Tensor:
    with f5_package():
        from f5_tts.model.modules import get_bigvgan_mel_spectrogram

        return get_bigvgan_mel_spectrogram(wave)


def of_vocos(wave: Tensor) -> Tensor:
    with vocos_package():
        from vocos import feature_extractors

        feature_extractors.torchaudio = SimpleNamespace(transforms=SimpleNamespace(MelSpectrogram=LibrosaMel))
        return feature_extractors.MelSpectrogramFeatures(RATE, N_FFT, HOP, 100, padding="center")(wave)


def of_bigvgan(wave: Tensor) -> Tensor:
    with bigvgan_package():
        from bigvgan.meldataset import mel_spectrogram

        return mel_spectrogram(wave, N_FFT, 100, RATE, HOP, N_FFT, 0, None)


def of_zipvoice(wave: Tensor) -> Tensor:
    return 0.1 * of_vocos(wave)


def of_matcha(wave: Tensor) -> Tensor:
    with matcha_package():
        from matcha.utils.audio import mel_spectrogram

        plain = mel_spectrogram(wave, N_FFT, 80, 22_050, HOP, N_FFT, 0, 8000)
        return (plain - LJSPEECH["mean"]) / LJSPEECH["std"]


MELS: dict[str, tuple[AudioSpec, Callable[[Tensor], Tensor]]] = {
    "F5-TTS": (AudioSpec(**f5.MELS["vocos"]), f5_for_vocos),
    "F5-TTS for BigVGAN": (AudioSpec(**f5.MELS["bigvgan"]), f5_for_bigvgan),
    "Vocos": (AudioSpec(log_floor=vocos.LOG_FLOOR), of_vocos),
    "BigVGAN": (AudioSpec(**bigvgan.MEL), of_bigvgan),
    "ZipVoice": (AudioSpec(log_floor=1e-7, std=10.0), of_zipvoice),
    "Matcha-TTS": (AudioSpec(**hifigan.MEL, **LJSPEECH, bands=80), of_matcha),
}
ALIKE = {frozenset(("F5-TTS for BigVGAN", "BigVGAN"))}


def recording(sample_rate: int) -> Tensor:
    """Speech, and half a second of true silence in it."""
    samples = load_audio(RECORDING, sample_rate).samples[: 2 * sample_rate].copy()
    samples[sample_rate // 2 : sample_rate] = 0
    return torch.from_numpy(samples[: len(samples) // HOP * HOP])[None]


@pytest.mark.parametrize("name", MELS)
def test_the_same_recording_makes_the_same_mel(name: str) -> None:
    spec, theirs = MELS[name]
    wave = recording(spec.sample_rate)
    ours = spec.log_mel(wave)
    expected = theirs(wave).mT[:, : ours.shape[1]]  # those of centred frames have one more
    assert expected.shape[1] == ours.shape[1] == wave.shape[1] // HOP
    close(ours, expected)
    assert expected.min() == pytest.approx(spec.floor, abs=0.1), "silence is heard as such"


@pytest.mark.parametrize(("one", "other"), itertools.combinations(MELS, 2))
def test_no_two_are_the_same(one: str, other: str) -> None:
    a, b = MELS[one][0], MELS[other][0]
    if frozenset((one, other)) in ALIKE:
        assert a == b
        return
    assert a != b
    if a.sample_rate == b.sample_rate:
        wave = recording(a.sample_rate)
        assert (a.log_mel(wave) - b.log_mel(wave)).abs().max() > 1
