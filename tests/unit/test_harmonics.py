"""Harmonics: the comb lies where a voice's mel has ripples, and the ripples of a mel tell the pitch."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.decoders.harmonic import HarmonicPlusNoise
from fm_audio.harmonics import harmonic_comb, pitch_of_mel, voicing

SPEC = AudioSpec(mean=-1.7, std=2.6)


def buzz(hz: np.ndarray) -> np.ndarray:
    """All harmonics below 8 kHz of a voice whose pitch is hz (s,) at each sample, float32."""
    phase = 2 * np.pi * np.cumsum(hz) / SPEC.sample_rate
    return 0.02 * sum(np.cos(k * phase) for k in range(1, int(8000 / hz.max()) + 1)).astype(np.float32)


def mel_of(wave: np.ndarray) -> torch.Tensor:
    return SPEC.log_mel(torch.from_numpy(wave)[None])[0]


@pytest.mark.parametrize("hz", [100.0, 170.0, 240.0])
def test_the_comb_lies_on_the_harmonics_of_the_mel(hz):
    mel = mel_of(buzz(np.full(24_000, hz)))[40]
    ripple = mel - torch.nn.functional.avg_pool1d(mel[None], 9, 1, 4, count_include_pad=False)[0]
    comb = harmonic_comb(torch.full((1, 1), math.log(hz)), SPEC)[0, 0]
    resolved = slice(0, 35)
    assert torch.corrcoef(torch.stack([ripple[resolved], comb[resolved]]))[0, 1] > 0.5
    shifted = harmonic_comb(torch.full((1, 1), math.log(hz * 1.25)), SPEC)[0, 0]
    assert torch.corrcoef(torch.stack([ripple[resolved], shifted[resolved]]))[0, 1] < 0.3
    assert comb[-20:].abs().max() < 0.2 and comb.abs().max() <= 1


@pytest.mark.parametrize(("low", "high"), [(90, 130), (150, 220), (240, 380)])
def test_a_glide_is_read_off_its_mel(low, high):
    hz = np.linspace(low, high, 36_000)
    log_pitch, agreement = pitch_of_mel(mel_of(buzz(hz)), SPEC)
    true_hz = hz[:: SPEC.hop_samples][: len(log_pitch)]
    inner = slice(4, -4)
    np.testing.assert_allclose(log_pitch.exp()[inner], true_hz[inner], rtol=0.03)
    assert voicing(log_pitch, agreement)[inner].min() > 0.8


def test_noise_and_silence_are_not_voiced():
    noise = 0.05 * np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    assert voicing(*pitch_of_mel(mel_of(noise), SPEC)).mean() < 0.25
    assert voicing(*pitch_of_mel(mel_of(np.zeros(24_000, np.float32)), SPEC)).max() < 0.05


def test_harmonics_plus_noise_sings_at_the_pitch_of_its_mel():
    hz = np.linspace(150, 220, 36_000)
    mel = mel_of(buzz(hz))
    wave = HarmonicPlusNoise(SPEC).decode(mel[None], torch.ones(1, len(mel), dtype=torch.bool))[0]
    again, _ = pitch_of_mel(SPEC.log_mel(wave[None])[0], SPEC)
    inner = slice(4, -4)
    np.testing.assert_allclose(again.exp()[inner], hz[:: SPEC.hop_samples][: len(mel)][inner], rtol=0.03)
    # All pulses of a voice fall together: its wave has the crest of a pulse train, which wrong phases would flatten.
    assert wave.abs().max() / wave.square().mean().sqrt() > 4


@pytest.mark.parametrize("decoder", [HarmonicPlusNoise, partial(GriffinLim, iterations=4)])
def test_every_round_brings_the_wave_nearer_to_its_mel(decoder):
    mel = mel_of(buzz(np.linspace(150, 220, 36_000)))
    mask = torch.ones(1, len(mel), dtype=torch.bool)

    def distance(rounds: int) -> float:
        again = SPEC.log_mel(decoder(SPEC, rounds=rounds).decode(mel[None], mask))[0]
        return float((again - mel)[4:-4].abs().mean())

    far, nearer, near = distance(0), distance(1), distance(4)
    assert near < 0.8 * nearer and nearer < 0.8 * far


def test_one_frame_and_other_contracts_are_no_trouble():
    for spec in (SPEC, AudioSpec(sample_rate=22_050, bands=80, filter_scale="slaney", filter_norm="slaney", centred=False)):
        for n in (1, 2, 5):
            wave = HarmonicPlusNoise(spec).decode(torch.randn(1, n, spec.bands), torch.ones(1, n, dtype=torch.bool))
            assert wave.shape == (1, spec.samples_of_frames(n)) and torch.isfinite(wave).all()


def test_griffin_lim_begins_with_the_phases_of_a_pitch():
    """Pulses of a voice fall together in the wave it makes, with hardly a turn and after many."""
    mel = mel_of(buzz(np.linspace(150, 220, 36_000)))
    for turns in (0, 32):
        wave = GriffinLim(SPEC, turns).decode(mel[None], torch.ones(1, len(mel), dtype=torch.bool))[0]
        assert wave.abs().max() / wave.square().mean().sqrt() > 4
