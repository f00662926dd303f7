"""What tests of cloning, editing and judging share: a model folder as a published checkpoint becomes, a recogniser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fm_audio.checkpoint import instantiate
from fm_audio.cli import main
from fm_audio.convert.f5 import PREFIX, to_f5

VOCABULARY = [" ", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ,.!?'\""]


def published(folder: Path) -> dict[str, Tensor]:
    """model.safetensors and vocab.txt in F5-TTS's layout, a tenth of its width."""
    node: dict[str, Any] = {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": {},
            "frontend": {"class_path": "fm_audio.data.text.f5.F5Characters", "init_args": {"vocabulary": VOCABULARY}},
            "backbone": {
                "class_path": "fm_audio.backbones.dit.DiT",
                "init_args": {"width": 64, "layers": 2, "heads": 1, "feedforward": 2.0, "head_norm": False},
            },
            "text_width": 32,
            "text_layers": 2,
        },
    }
    torch.manual_seed(0)
    task = instantiate(node)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {PREFIX + k: v for k, v in to_f5(task.state_dict()).items()}
    state |= {"initted": torch.tensor(True), "step": torch.tensor(7), "ema_model.mel_spec.mel_stft.window": torch.ones(3)}
    save_file(state, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return state


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted model folder; what was published lies beside it."""
    folder = tmp_path_factory.mktemp("f5")
    published(folder)
    assert (
        main(
            ["convert", "f5-v1", str(folder / "model.safetensors"), str(folder / "f5"), "--vocabulary", str(folder / "vocab.txt")]
        )
        == 0
    )
    return folder / "f5"


@pytest.fixture(scope="session")
def tiny_recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wav2vec 2.0 CTC model of a few thousand random weights, as transformers saves one."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny_wav2vec2")
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=[8] * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    transformers.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder
