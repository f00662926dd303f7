"""Nearest-token projection: what makes a generated sequence of embeddings text."""

from __future__ import annotations

import torch
from torch import nn

from fm_audio.tokens import Ids, TokenTable
from fm_audio.types import Frames, Mask


class NearestToken(nn.Module):
    """x (b n d), mask (b n) -> ids (b n), −1 where the mask is False. `metric`: `fm_audio.tokens.project`."""

    spec = None

    def __init__(self, table: TokenTable, metric: str = "cosine") -> None:
        super().__init__()
        self.table, self.metric = table, metric

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Ids:
        return self.table.project(x, self.metric).masked_fill(~mask, -1)
