"""Where a spectrum ends is found in real speech, and what is put above it is what speech has there, not the log floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fm_audio.audio import AudioSpec, load_audio, resample
from fm_audio.bandwidth import fill_above, spectrum_end_hz

SPEC = AudioSpec(mean=-1.7, std=2.6)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    clips = sorted((Path(__file__).parents[1] / "data" / "kathleen").glob("*.opus"))
    return np.concatenate([load_audio(clip, 24_000).samples for clip in clips[:4]])


def mel(wave: np.ndarray) -> torch.Tensor:
    return SPEC.log_mel(torch.from_numpy(wave)[None])[0]


def narrow(wave: np.ndarray, rate: int) -> torch.Tensor:
    return mel(resample(resample(wave, 24_000, rate), rate, 24_000))


@pytest.mark.parametrize("rate", [11_025, 16_000, 20_000])
def test_the_end_is_half_the_rate_it_was_recorded_at(speech: np.ndarray, rate: int) -> None:
    end = spectrum_end_hz(narrow(speech, rate), SPEC)
    assert end is not None and 0.9 * rate / 2 < end < 1.1 * rate / 2


def test_full_band_speech_and_what_is_no_speech_have_no_end(speech: np.ndarray) -> None:
    assert spectrum_end_hz(mel(speech), SPEC) is None
    assert spectrum_end_hz(torch.zeros(0, 100), SPEC) is None
    tone = 0.1 * np.sin(2 * np.pi * 300 * np.arange(24_000) / 24_000).astype(np.float32)
    assert spectrum_end_hz(mel(tone), SPEC) is None


def test_filled_bands_are_nearer_to_what_was_there(speech: np.ndarray) -> None:
    whole, cut = mel(speech), narrow(speech, 16_000)
    end = spectrum_end_hz(cut, SPEC)
    filled = fill_above(cut, SPEC, end)
    top = slice(86, 100)
    assert (filled - whole)[:, top].pow(2).mean() < 0.05 * (cut - whole)[:, top].pow(2).mean()
    assert torch.equal(filled[:, :80], cut[:, :80])
    torch.testing.assert_close(fill_above(filled[None], SPEC, end)[0], filled)
    assert fill_above(whole, SPEC, None) is whole
