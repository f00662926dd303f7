"""BigVGAN: all of it learns, its activations alias less than plain ones, and rates must make the hop."""

from __future__ import annotations

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.decoders.bigvgan import AntiAliased, BigVGAN, low_pass
from fm_audio.types import FmAudioError

SPEC = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12, centred=False)


def test_everything_learns() -> None:
    decoder = BigVGAN(SPEC, 16, (4, 4), (8, 8), (3, 5), weight_norm=True)
    (decoder(torch.randn(2, 5, 12)) ** 3).sum().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


@torch.no_grad()
def test_periodic_activations_alias_less() -> None:
    """What lies above half the rate after the activation folds down into the band; at twice the rate most of it is cut off."""
    n, bin_ = 256, 84
    wave = torch.sin(2 * torch.pi * bin_ * torch.arange(n) / n)[None, None]
    activation, past = AntiAliased(1), torch.zeros(1, 1, n, dtype=torch.bool)

    def folded(h: torch.Tensor) -> float:
        """How much of the spectrum of sin² lies where twice the pitch folds to, relative to its mean."""
        spectrum = torch.fft.rfft(h[0, 0] * torch.hann_window(n)).abs()
        return float(spectrum[n - 2 * bin_] / spectrum[0])

    assert folded(activation(wave, past)) < 0.3 * folded(activation.act(wave.mT).mT)


def test_the_low_pass_lets_half_the_band_through() -> None:
    response = torch.fft.rfft(low_pass(), 512).abs()  # up to the Nyquist rate of the doubled signal
    assert response[0] == pytest.approx(1, abs=1e-6) and response[128] == pytest.approx(0.5, abs=0.02)
    assert response[:60].min() > 0.9 and response[215:].max() < 0.01


def test_rates_that_do_not_make_the_hop_are_refused() -> None:
    with pytest.raises(FmAudioError, match="hop"):
        BigVGAN(SPEC)
