"""Without complex numbers the STFT, its inverse and the decoders on it are what they are with them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fm_audio.decoders.istft import ISTFT
from fm_audio.runtime.decoding import floored
from fm_audio.runtime.fourier import RealISTFT
from fm_audio.runtime.part import parts_of
from fm_audio.types import length_mask
from tests.unit.runtime.models import made


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(("n_fft", "hop", "window"), [(64, 16, 64), (60, 16, 40), (46, 12, 45)])
def test_there_and_back_as_with_complex_numbers(n_fft: int, hop: int, window: int, centred: bool) -> None:
    there = ISTFT(n_fft, hop, window, centred)
    real, mask = RealISTFT(there), length_mask(torch.tensor([9, 4]))
    wave = torch.randn(2, 9 * hop)
    spectrum = there.analyse(wave)
    in_order = spectrum[..., real.order]
    torch.testing.assert_close(real.analyse(wave), real.polar(in_order.abs(), in_order.angle()), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(real.power(real.analyse(wave)), in_order.abs().square(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(real.weight(mask), there.weight(mask))
    again = torch.polar(torch.rand_like(spectrum.real), 6 * torch.rand_like(spectrum.real))
    ours = real.polar(again.abs()[..., real.order], again.angle()[..., real.order])
    torch.testing.assert_close(real.synthesise(ours, mask, real.weight(mask)), there(again, mask), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["harmonic", "vocos"])
def test_a_real_decoder_makes_the_same_wave(name: str) -> None:
    decoder = made(name)
    [part] = parts_of(decoder)
    mel, mask, *beside = part.drawn({"b": 3, "n": 40})
    assert not mask.all()
    [wave] = part.answers(mel, mask, *beside)
    close(wave, decoder.decode(mel, mask))  # type: ignore[operator]


@pytest.mark.parametrize(("iterations", "rounds"), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)])
def test_griffin_lim_turn_by_turn_makes_the_same_wave(iterations: int, rounds: int) -> None:
    decoder = made("griffin_lim")
    decoder.iterations, decoder.nearer.rounds = iterations, rounds
    turn, one_round, beginning = (part.module for part in parts_of(decoder))
    mel, mask, excitation = parts_of(decoder)[2].drawn({"b": 3, "n": 40})
    magnitude, spectrum = beginning(mel, mask, excitation)
    before = torch.zeros_like(spectrum)
    for _ in range(iterations):
        _, before, spectrum = turn(spectrum, before, magnitude, mask)
    wave = turn(spectrum, before, magnitude, mask)[0]
    for _ in range(rounds):
        wave = one_round(wave, floored(mel, mask, decoder.spec), mask)
    close(wave, decoder.decode(mel, mask))  # type: ignore[operator]


def close(wave: Tensor, wanted: Tensor) -> None:
    assert wave.shape == wanted.shape and wanted.abs().max() > 0
    assert (wave - wanted).abs().max() <= 1e-4 * wanted.abs().max()
