"""Codecs and what decodes their latents, in company."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import save_model
from fm_audio.decoders.latent import LatentDecoder
from fm_audio.decoders.transformers_codecs import TransformersCodec
from fm_audio.decoders.vocos import Vocos
from fm_audio.tasks.mel_autoencoder import MelAutoencoder
from tests.invariance.case import LENGTHS, NAN, Case, Outputs, by, cut
from tests.invariance.company import padded
from tests.invariance.vocoders import SPEC

CHANNELS, FRAMES = 5, 4
SIZES: dict[str, Any] = {"channels": CHANNELS, "frames": FRAMES, "width": 12, "layers": 2}


def decoded(net: Any, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    x, mask = padded([i["x"] for i in items], padding, NAN)
    wave = net.decode(x, mask)
    hop = net.spec.hop_samples if isinstance(net, LatentDecoder) else net.hop_samples
    ends = (mask.sum(1) * hop).tolist()
    assert wave.shape == (len(x), x.shape[1] * hop)
    assert not any(row[end:].any() for row, end in zip(wave, ends, strict=True)), "zeros past the last frame"
    return [(row[:end],) for row, end in zip(wave, ends, strict=True)]


def both_ways(net: MelAutoencoder, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    """A mel's latents, the mel they become, and the sound."""
    mel, mask = padded([i["x"] for i in items], padding, NAN)
    mean, log_deviation, told = net.posterior(mel, mask)
    back = net.decode_mel(mean, told)[:, : mel.shape[1]]
    parts = cut(mean, told), cut(log_deviation, told), cut(back, mask)
    return list(zip(*parts, strict=True))


def of_latents(channels: int) -> list[dict[str, Tensor]]:
    return [{"x": torch.randn(n, channels)} for n in LENGTHS]


def latent() -> nn.Module:
    spec = SPEC.contract()
    node = {"class_path": "fm_audio.tasks.mel_autoencoder.MelAutoencoder", "init_args": {"spec": spec, **SIZES}}
    folder = save_model(tempfile.mkdtemp(), node, MelAutoencoder(SPEC, **SIZES).state_dict())
    rate, hop = SPEC.sample_rate, FRAMES * SPEC.hop_samples
    net = LatentDecoder(AudioSpec(sample_rate=rate, hop_samples=hop, bands=CHANNELS, std=2.0, codec=str(folder)))
    net._codec[0].vocoder = smooth()
    return net


def smooth() -> nn.Module:
    """A vocoder that does not amplify the last bits of a mel, as those without weights do (docs/batch_invariance.md); these are
    held to the contract for equal mels."""
    return Vocos(SPEC, width=8, layers=1, hidden=8).eval()


def autoencoder() -> nn.Module:
    net = MelAutoencoder(SPEC, **SIZES)
    net.vocoder = smooth()
    return net


def encodec() -> nn.Module:
    from transformers import EncodecConfig, EncodecModel

    folder = tempfile.mkdtemp()
    config = EncodecConfig(
        sampling_rate=8000, hidden_size=CHANNELS, num_filters=4, upsampling_ratios=[4, 4], num_lstm_layers=1,
        target_bandwidths=[1.5], codebook_dim=CHANNELS,
    )  # fmt: skip
    EncodecModel(config).save_pretrained(folder)
    return TransformersCodec(folder)


CASES: dict[str, Case] = {
    "mel autoencoder": Case(
        lambda: MelAutoencoder(SPEC, **SIZES), lambda: of_latents(SPEC.bands), both_ways, torch.float32, by("x")
    ),
    "mel autoencoder, decoding": Case(autoencoder, lambda: of_latents(CHANNELS), decoded, length=by("x")),
    "latent decoder": Case(latent, lambda: of_latents(CHANNELS), decoded, length=by("x")),
    "encodec": Case(encodec, lambda: of_latents(CHANNELS), decoded, length=by("x")),
}
