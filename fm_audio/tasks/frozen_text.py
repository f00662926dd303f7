"""Contextual states of a text encoder of the `transformers` library, which stays as it is: points that words become in company.

    x_i = layer_norm(state of piece i)        each of length √d, as the rows of `fm_audio.tokens.TokenTable` are

Its weights belong to it: they are read by name or folder wherever a model that writes such points is made, and are no part of
that model's own weights. Needs `pip install fm-audio[transformers]`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from fm_audio.data.text.hub_pieces import HubPieces
from fm_audio.data.text.vocabulary import END, MARKS
from fm_audio.hub import from_hub
from fm_audio.types import Frames, Mask


class FrozenText:
    """`states(ids, mask)` of a `HubPieces`' encoder, and `embeddings`, what it knows of each piece before any context."""

    def __init__(self, pieces: HubPieces) -> None:
        self.pieces = pieces

    @cached_property
    def model(self) -> Any:
        return from_hub("AutoModel", self.pieces.model).eval().requires_grad_(False)

    @property
    def channels(self) -> int:
        return int(self.model.config.hidden_size)

    @cached_property
    def embeddings(self) -> Float[Tensor, "v d"]:
        """A row of length √d for each symbol of the vocabulary; the end has that of [SEP], padding zeros."""
        rows = self.model.get_input_embeddings().weight.detach().float()
        sep = rows[self.pieces.tokenizer.sep_token_id][None]
        known = F.layer_norm(torch.cat([sep, rows[: len(self.pieces.symbols) - len(MARKS)]]), rows.shape[1:])
        return torch.cat([torch.zeros_like(known[:1]), known])

    @torch.no_grad()
    def states(self, ids: Int[Tensor, "b n"], mask: Mask) -> Frames:
        """ids (b n) of texts with their end, mask (b n) -> states (b n d), zeros where the mask is False."""
        model = self.model.to(ids.device)
        tokenizer = self.pieces.tokenizer
        theirs = torch.where(ids == END, tokenizer.sep_token_id, (ids - len(MARKS)).clamp(min=0)).masked_fill(~mask, 0)
        first = theirs.new_full((len(ids), 1), tokenizer.cls_token_id)
        seen = torch.cat([torch.ones_like(mask[:, :1]), mask], 1)
        with torch.autocast(ids.device.type, enabled=False):
            found = model(input_ids=torch.cat([first, theirs], 1), attention_mask=seen.long()).last_hidden_state
        return F.layer_norm(found[:, 1:].float(), found.shape[-1:]).masked_fill(~mask[..., None], 0.0)

