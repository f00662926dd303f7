"""What encoders of other sequences answer, `Cond.tokens`, as files; and tables of vectors."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.encoders.tokens import TokenEncoder
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part
from fm_audio.types import Cond


class States(nn.Module):
    """A graph that answers tokens, and their mask where that is not the one given; `frames_per_token` where it has such."""

    def __init__(self, graph: Graph, encoder: nn.Module) -> None:
        super().__init__()
        self.graph = graph
        self.frames_per_token: int | None = getattr(encoder, "frames_per_token", None)

    def forward(self, given: Tensor, mask: Bool[Tensor, "b *n"], *more: Tensor) -> Cond:
        tokens, *own = self.graph.answers(given, mask, *more)
        return Cond(tokens=tokens, tokens_mask=own[0] if own else mask)


def token_states(name: str, at: str, encoder: TokenEncoder) -> Part:
    """ids (b m), mask (b m) -> tokens (b m width)."""
    ids = Input("ids", ("b", "m"), "ids", encoder.embedding.num_embeddings)
    return Part(
        name, at, encoder, (ids, Input("mask", ("b", "m"), "mask")), ("tokens",),
        lambda encoder, ids, mask: encoder(ids, mask).tokens, States,
    )  # fmt: skip


class Table(nn.Module):
    """An embedding whose rows were asked of a graph once."""

    def __init__(self, graph: Graph, embedding: nn.Embedding) -> None:
        super().__init__()
        self.weight = nn.Parameter(graph(torch.arange(embedding.num_embeddings)), requires_grad=False)

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.weight)


def table(name: str, at: str, embedding: nn.Embedding) -> Part:
    """index (b,) -> vectors (b g)."""
    index = Input("index", ("b",), "ids", embedding.num_embeddings)
    return Part(name, at, embedding, (index,), ("vectors",), lambda embedding, index: embedding(index), Table, int8=False)
