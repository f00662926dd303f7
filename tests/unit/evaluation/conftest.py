"""Two recordings of a person, and a recogniser with random weights in a published layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fm_audio.evaluation.clips import manifest_lines, read

RECORDED = Path(__file__).parents[2] / "data" / "kathleen"


@pytest.fixture(scope="session")
def recordings() -> list:
    return [read(line.path) for line in manifest_lines(RECORDED / "manifest.jsonl")]


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
