"""What writes text through the states of a frozen encoder, in company: a small BERT with random weights."""

from __future__ import annotations

import tempfile
from functools import cache

import torch
from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.data.text.hub_pieces import HubPieces
from fm_audio.data.text.vocabulary import Letters
from fm_audio.tasks.text_to_text import TextToText


@cache
def pieces() -> HubPieces:
    import transformers

    folder = tempfile.mkdtemp()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefg"]
    transformers.BertTokenizerFast(vocab={piece: i for i, piece in enumerate(vocabulary)}).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=16, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    return HubPieces(folder, 8)


def writing(width: int) -> nn.Module:
    torch.manual_seed(0)
    net = DiT(width, 2, 2, tokens_width=12, position_kernel=0)
    return TextToText(Letters("abcdefg", longest=9), pieces(), net, text_width=12, text_layers=1, text_heads=2, states=True)
