"""Latents in place of mels: what a codec makes of a wave and back, in company as alone, and specs that do not agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import instantiate, save_model
from fm_audio.cli import main
from fm_audio.codecs import codec_of, frames_of
from fm_audio.data.batches import SpeechBatch
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.decoders.latent import LatentDecoder
from fm_audio.tasks.mel_autoencoder import MelAutoencoder
from fm_audio.training.export import _speaking
from fm_audio.types import Codec, FmAudioError, length_mask
from fm_audio.voices.sounds import load_sounds
from tests.unit.test_sounds import NODE as SOUNDS

RATE = 8000
MEL: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_samples": 128, "window_samples": 256, "bands": 16}
NODE: dict[str, Any] = {
    "class_path": "fm_audio.tasks.mel_autoencoder.MelAutoencoder",
    "init_args": {"spec": MEL, "channels": 6, "frames": 4, "width": 24, "layers": 1},
}
LATENT = {"sample_rate": RATE, "hop_samples": 512, "bands": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = instantiate(NODE)
    return save_model(tmp_path_factory.mktemp("codecs") / "codec", NODE, model.state_dict())


def wave(seconds: float, hz: float = 440.0) -> torch.Tensor:
    t = torch.arange(round(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * torch.pi * hz * t)[None]


def batch(mels: list[torch.Tensor], spec: AudioSpec) -> SpeechBatch:
    mel = torch.nn.utils.rnn.pad_sequence(mels, batch_first=True, padding_value=spec.floor)
    mask, none = length_mask(torch.tensor([len(m) for m in mels])), torch.zeros(len(mels), 1, dtype=torch.long)
    names = [str(i) for i in range(len(mels))]
    return SpeechBatch(names, names, names, none, none.bool(), mel, mask, none, torch.zeros(len(mels)).bool())


def test_it_learns_to_give_back_what_it_was_given() -> None:
    torch.manual_seed(0)
    model: Any = instantiate(NODE)
    spec = model.spec
    seen = batch([spec.log_mel(wave(0.7, hz))[0] for hz in (300, 500, 900, 1500)], spec)
    optimizer, g, losses = torch.optim.AdamW(model.parameters(), 3e-3), torch.Generator().manual_seed(0), []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(model.loss(seen, g)["l1"].item())
        model.loss(seen, g)["loss"].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(FmAudioError, match="generates nothing by itself"):
        model.generate([])
    with pytest.raises(FmAudioError, match="channels 0, .* give 1 or more of each"):
        MelAutoencoder(spec, channels=0)


def test_latents_are_the_same_in_company(folder: Path) -> None:
    codec = codec_of(AudioSpec(**LATENT, codec=str(folder)))
    assert isinstance(codec, Codec)
    mels = [codec.spec.log_mel(wave(s))[0] for s in (0.3, 0.9, 0.5)]
    seen = batch(mels, codec.spec)
    mean, _, mask = codec.posterior(seen.mel, seen.mask)
    back = codec.decode_mel(mean, mask)
    for i, mel in enumerate(mels):
        alone, _, whole = codec.posterior(mel[None], torch.ones(1, len(mel)).bool())
        assert torch.allclose(alone[0], mean[i, : alone.shape[1]], atol=1e-5) and mask[i].sum() == alone.shape[1]
        assert torch.allclose(codec.decode_mel(alone, whole)[0], back[i, : 4 * alone.shape[1]], atol=1e-5)


def test_a_spec_with_a_codec_stands_for_latents(folder: Path) -> None:
    spec = AudioSpec(**LATENT, codec=str(folder), mean=0.5, std=2.0)
    sound = wave(1.0)
    latents = frames_of(spec, sound)
    assert latents.shape == (1, spec.frames_of_samples(RATE), 6) and spec.floor == 0.0
    assert torch.allclose(latents, (codec_of(spec).encode(sound) - 0.5) / 2.0)
    made = LatentDecoder(spec).decode(latents, torch.ones(latents.shape[:2]).bool())
    assert made.shape == (1, latents.shape[1] * 512) and torch.isfinite(made).all()
    assert not list(LatentDecoder(spec).state_dict()), "weights lie in the codec's folder alone"
    with pytest.raises(FmAudioError, match="stands for latents of .*, not for a mel"):
        spec.log_mel(sound)
    with pytest.raises(FmAudioError, match="stands for latents"):
        GriffinLim(spec).decode(latents, torch.ones(latents.shape[:2]).bool())
    with pytest.raises(FmAudioError, match="bands 7, where it has 6; write what it has"):
        frames_of(AudioSpec(**(LATENT | {"bands": 7}), codec=str(folder)), sound)
    with pytest.raises(FmAudioError, match="names no codec"):
        codec_of(AudioSpec())


def test_sounds_are_made_and_gone_on_with_as_latents(folder: Path, tmp_path: Path) -> None:
    node = {**SOUNDS, "init_args": {**SOUNDS["init_args"], "spec": {**LATENT, "codec": str(folder)}}}
    model = instantiate(node)
    made = save_model(tmp_path / "model", node, model.state_dict(), _speaking(node))
    maker = load_sounds(made)
    (sound,) = maker.make(["rain"], 0.77)
    assert len(sound.samples) == round(0.77 * RATE)
    assert len(maker.make(["rain"], 0.77, start=sound, strength=0.5)[0].samples) == round(0.77 * RATE)
    longer = maker.fill("rain", sound, 0.77, 1.5)
    assert np.allclose(longer.samples[: round(0.7 * RATE)], sound.samples[: round(0.7 * RATE)])
    assert main(["sound", "rain", "--seconds", "0.5", "-o", str(tmp_path / "out.wav"), "--model", str(made)]) == 0


@pytest.mark.parametrize("kind", ["Encodec", "Dac"])
def test_codecs_of_transformers(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    if kind == "Encodec":
        config = transformers.EncodecConfig(
            sampling_rate=RATE, hidden_size=16, num_filters=4, upsampling_ratios=[4, 4], num_lstm_layers=1,
            target_bandwidths=[1.5],
        )  # fmt: skip
    else:
        config = transformers.DacConfig(
            sampling_rate=RATE, encoder_hidden_size=4, decoder_hidden_size=16, downsampling_ratios=[4, 4],
            upsampling_ratios=[4, 4], hidden_size=64,
        )  # fmt: skip
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tmp_path)
    spec = AudioSpec(sample_rate=RATE, hop_samples=16, bands=config.hidden_size, codec=f"transformers:{tmp_path}")
    codec = codec_of(spec)
    latents = frames_of(spec, wave(0.2))
    assert latents.shape == (1, 100, config.hidden_size)
    theirs = codec.model.encoder(wave(0.2)[:, None]).mT[:, :100]
    assert torch.allclose(latents, theirs, atol=1e-5)
    two = torch.nn.utils.rnn.pad_sequence([latents[0], latents[0, :60]], batch_first=True, padding_value=9.0)
    made = codec.decode(two, length_mask(torch.tensor([100, 60])))
    assert made.shape == (2, 1600) and not made[1, 960:].any()
    assert torch.allclose(made[1, :960], codec.decode(latents[:, :60], torch.ones(1, 60).bool())[0], atol=1e-5)


def test_what_is_no_codec_is_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path)
    with pytest.raises(FmAudioError, match="is of type 'bert'; codecs are of encodec or dac"):
        codec_of(AudioSpec(codec=f"transformers:{tmp_path}"))
    model = instantiate(SOUNDS)
    other = save_model(tmp_path / "sounds", SOUNDS, model.state_dict())
    with pytest.raises(FmAudioError, match="which encodes no sound"):
        codec_of(AudioSpec(codec=str(other)))
