"""What every decoder of mels owes: n·hop samples, zeros past an item's end, and the same sound alone as in a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.decoders.harmonic import HarmonicPlusNoise
from fm_audio.decoders.hifigan import HiFiGAN
from fm_audio.decoders.refined import Refined
from fm_audio.decoders.renormalised import Renormalised
from fm_audio.decoders.vocos import Vocos
from fm_audio.types import FmAudioError, length_mask

SPEC = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12, mean=-2.0, std=2.0)
UNCENTRED = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12, centred=False)


def speecht5(folder: Path) -> nn.Module:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    from fm_audio.decoders.transformers_vocoders import SpeechT5Vocoder

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
    return SpeechT5Vocoder(SPEC, str(folder))


def univnet(folder: Path) -> nn.Module:
    from transformers import UnivNetConfig, UnivNetModel

    from fm_audio.decoders.transformers_vocoders import UnivNetVocoder

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
    return UnivNetVocoder(SPEC, str(folder))


DECODERS = {
    "vocos": lambda folder: Vocos(SPEC, width=16, layers=2, hidden=24),
    "griffin_lim": lambda folder: GriffinLim(SPEC, iterations=8),
    "griffin_lim_uncentred": lambda folder: GriffinLim(UNCENTRED, iterations=8),
    "harmonic": lambda folder: HarmonicPlusNoise(SPEC),
    "harmonic_uncentred": lambda folder: HarmonicPlusNoise(UNCENTRED),
    "hifigan": lambda folder: HiFiGAN(SPEC, channels=16, rates=(4, 4), kernels=(8, 8), block_kernels=(3, 5)),
    "hifigan_normed": lambda folder: HiFiGAN(SPEC, 16, (4, 4), (8, 8), (3, 5), weight_norm=True),
    "refined": lambda folder: Refined(SPEC, width=16, layers=2, hidden=24, spectrum_width=8),
    "refined_griffin_lim": lambda folder: Refined(SPEC, 16, 2, 24, 8, rough=GriffinLim(SPEC, iterations=2)),
    "renormalised": lambda folder: Renormalised(GriffinLim(UNCENTRED, iterations=2), UNCENTRED),
    "speecht5": speecht5,
    "univnet": univnet,
}


@pytest.fixture(params=DECODERS)
def decoder(request: pytest.FixtureRequest, tmp_path: Path) -> nn.Module:
    if request.param in ("speecht5", "univnet"):
        pytest.importorskip("transformers", reason="the transformers extra is not installed")
    return DECODERS[request.param](tmp_path).eval()


def loud(decoder: nn.Module) -> nn.Module:
    """Weights as of a trained model: large enough that every frame and every bias can be heard."""
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    return decoder


def test_an_item_sounds_the_same_alone_as_in_a_batch(decoder: nn.Module) -> None:
    loud(decoder)
    x, mask = torch.randn(3, 11, 12), length_mask(torch.tensor([11, 7, 1]))
    x[~mask] = torch.nan
    together = decoder.decode(x, mask)
    assert together.shape == (3, 11 * 16)
    for i, frames in enumerate(mask.sum(1).tolist()):
        alone = decoder.decode(x[i : i + 1, :frames], mask[i : i + 1, :frames])[0]
        assert alone.shape == (frames * 16,)
        assert alone.abs().max() > 1e-4
        assert (together[i, : frames * 16] - alone).abs().max() <= 1e-5 * alone.abs().max()
        assert together[i, frames * 16 :].eq(0).all()


def test_the_same_mel_gives_the_same_wave(decoder: nn.Module) -> None:
    x, mask = torch.randn(1, 9, 12), torch.ones(1, 9, dtype=torch.bool)
    assert torch.equal(decoder.decode(x, mask), decoder.decode(x, mask))


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
    made = Refined(SPEC, rough=rough).decode(x, mask)
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

    speecht5(tmp_path)
    with pytest.raises(FmAudioError, match="sample_rate"):
        SpeechT5Vocoder(AudioSpec(sample_rate=16_000, n_fft=64, hop_samples=16, window_samples=64, bands=12), str(tmp_path))
    with pytest.raises(FmAudioError, match="save_pretrained"):
        SpeechT5Vocoder(SPEC, str(tmp_path / "nowhere"))
