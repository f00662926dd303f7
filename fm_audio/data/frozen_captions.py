"""Captions as a text encoder of the `transformers` library reads them: a front-end, and the states of its symbols.

    states = layer_norm(encoder(pieces))        pieces as its own tokenizer makes them, with its marks of start and end

T5 and its kin, BERT and its kin (MiniLM), and the text tower of CLAP read so. The encoder stays as it is; its weights are read by
name or folder wherever they are needed, and are no part of a model that learns from its states. Needs
`pip install fm-audio[transformers]`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from fm_audio.data.text.frontend import Encoded
from fm_audio.data.text.vocabulary import fitting
from fm_audio.hub import from_hub
from fm_audio.types import FmAudioError, Frames, Mask


class FrozenCaptions:
    """model: a name on the hub (`google/flan-t5-base`, `laion/clap-htsat-unfused`, `sentence-transformers/all-MiniLM-L6-v2`), or
    a folder of `save_pretrained`. longest: how many pieces a caption may have, marks included.
    """

    def __init__(self, model: str, longest: int = 128) -> None:
        if longest < 1:
            raise FmAudioError(f"FrozenCaptions: longest is {longest}; give how many pieces a caption may have, 1 or more")
        self.model, self.longest = model, longest

    @cached_property
    def tokenizer(self) -> Any:
        return from_hub("AutoTokenizer", self.model)

    @cached_property
    def encoder(self) -> Any:
        found = from_hub("AutoModel", self.model)
        if getattr(found.config, "is_encoder_decoder", False):
            found = found.get_encoder()
        found = getattr(found, "text_model", found)
        if not getattr(found.config, "vocab_size", None):
            raise FmAudioError(f"{self.model}: reads no text; give a text encoder such as T5, MiniLM or CLAP")
        return found.eval().requires_grad_(False)

    @property
    def channels(self) -> int:
        """Features of a state; asked of the configuration alone, so that a model is built without the encoder's weights."""
        config = from_hub("AutoConfig", self.model)
        return int(getattr(config, "text_config", config).hidden_size)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Padding, then the tokenizer's pieces."""
        return ("_", *map(str, self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))))

    def encode(self, text: str) -> Encoded:
        """Raises FmAudioError for empty captions and for those that are too long."""
        text = " ".join(text.split())
        pieces = self.tokenizer(text)["input_ids"] if text else []
        ids = fitting([i + 1 for i in pieces], self.longest, "pieces", text)
        return Encoded(ids, [self.symbols[i] for i in ids], [])

    @torch.no_grad()
    def states(self, ids: Int[Tensor, "b m"], mask: Mask) -> Frames:
        """ids (b m), mask (b m) -> states (b m channels) float32, zeros where the mask is False."""
        encoder = self.encoder.to(ids.device)
        theirs = (ids - 1).clamp(min=0).masked_fill(~mask, self.tokenizer.pad_token_id or 0)
        with torch.autocast(ids.device.type, enabled=False):
            found = encoder(input_ids=theirs, attention_mask=mask.long()).last_hidden_state.float()
        return F.layer_norm(found, found.shape[-1:]).masked_fill(~mask[..., None], 0.0)
