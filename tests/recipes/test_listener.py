"""Speech heard through encoders of transformers (random weights, their real code), and a recipe that listens through one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fm_audio.audio import Audio
from fm_audio.checkpoint import load_model
from fm_audio.data.frozen_speech import FrozenSpeech
from fm_audio.types import FmAudioError
from tests.recipes.commands import ROOT, command, recipe_with

transformers = pytest.importorskip("transformers")
SIZES = {"num_attention_heads": 2, "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}
KINDS = ("Wav2Vec2", "Hubert", "WavLM", "Whisper")


def encoder(folder: Path, kind: str) -> FrozenSpeech:
    torch.manual_seed(0)
    if kind == "Whisper":
        config: Any = transformers.WhisperConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=16, vocab_size=60, max_source_positions=1500,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        )  # fmt: skip
        transformers.WhisperModel(config).save_pretrained(folder)
        transformers.WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)
    else:
        config = getattr(transformers, f"{kind}Config")(
            **SIZES, conv_dim=(8, 8), conv_stride=(20, 16), conv_kernel=(20, 16), num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
        )  # fmt: skip
        getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return FrozenSpeech(str(folder))


def noise(seconds: float, rate: int = 24_000) -> Audio:
    return Audio((0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32), rate)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_becomes_fifty_states_a_second(kind: str, tmp_path: Path) -> None:
    listener = encoder(tmp_path, kind)
    states = listener.hear(noise(1.3))
    assert states.shape[1] == listener.channels == 16 and abs(len(states) - 65) <= 1
    torch.testing.assert_close(states.std(1, unbiased=False), torch.ones(len(states)), atol=1e-2, rtol=0)
    assert torch.equal(states, listener.hear(noise(1.3))), "nothing is drawn"
    assert not any(p.requires_grad for p in listener.encoder.parameters())


def test_what_an_encoder_cannot_hear_is_said(tmp_path: Path) -> None:
    whisper, wav2vec = encoder(tmp_path / "a", "Whisper"), encoder(tmp_path / "b", "Wav2Vec2")
    with pytest.raises(FmAudioError, match="hears 30 s at a time, and this lasts 31.0 s"):
        whisper.hear(noise(31.0))
    with pytest.raises(FmAudioError, match=r"cannot hear 0.001 s of sound"):
        wav2vec.hear(noise(0.001))
    with pytest.raises(FmAudioError, match="none: transformers cannot load it as"):
        FrozenSpeech(str(tmp_path / "none")).hear(noise(1.0))
    (tmp_path / "bert").mkdir()
    transformers.BertModel(transformers.BertConfig(vocab_size=8, **SIZES)).save_pretrained(tmp_path / "bert")
    with pytest.raises(FmAudioError, match="transformers cannot load it as AutoFeatureExtractor"):
        FrozenSpeech(str(tmp_path / "bert")).hear(noise(1.0))


def test_a_recipe_names_its_listener_once_and_the_model_listens_through_it(smoke_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wav2vec"
    encoder(folder, "Wav2Vec2")
    (tmp_path / "data").symlink_to(smoke_data / "data")

    def change(recipe: dict[str, Any]) -> None:
        recipe["listener"] = {"class_path": "fm_audio.data.frozen_speech.FrozenSpeech", "init_args": {"model": str(folder)}}
        recipe["model"]["init_args"]["task"]["init_args"]["frames_per_token"] = 1
        recipe["trainer"]["max_steps"] = 20

    recipe = recipe_with(tmp_path / "recipe.yaml", change, ROOT / "recipes/speech_to_text/smoke.yaml")
    assert command(["fit", "--config", str(recipe)], tmp_path) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    assert command(["export", "runs/listening_smoke", "model"], tmp_path) == 0
    model: Any = load_model(tmp_path / "model")
    assert model.listener.model == str(folder) and model.encoder.conv.conv.in_channels == 16
    assert not any("listener" in key for key in model.state_dict())
    clip = next((tmp_path / "data/smoke/wavs").glob("*.wav"))
    assert command(["transcribe", str(clip), "--model", "model"], tmp_path) == 0

    def mask(recipe: dict[str, Any]) -> None:
        masking = {"class_path": "fm_audio.data.perturb.SpectralMasking"}
        recipe["model"]["init_args"]["task"]["init_args"]["masking"] = masking

    assert command(["fit", "--config", str(recipe_with(tmp_path / "masked.yaml", mask, recipe))], tmp_path) == 2
    assert "leave perturb and masking out" in (tmp_path / "output.txt").read_text()
