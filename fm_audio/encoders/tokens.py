"""A source text as states that a backbone attends to: embeddings, their positions, transformer blocks.

    states = norm(blocks(embedding(ids) + positions))          log P(n) = how many tokens the answer may have

The blocks are those of the backbones. What modulates them there, time, is constant here, so that each learns one shift, scale and
gate of its own.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.encoders.filler_text import positions
from fm_audio.layers import Block, Modulation, modulate
from fm_audio.types import Cond, FmAudioError, Frames, Mask


class TokenEncoder(nn.Module):
    """`tokens` ids (0 is padding) -> `Cond.tokens` of `width`."""

    def __init__(
        self, tokens: int, width: int = 128, layers: int = 2, heads: int = 4, feedforward: float = 2.0, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(tokens, width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, 1, feedforward) for _ in range(layers))
        self.last = Modulation(1, width, 2)

    def forward(self, ids: Int[Tensor, "b m"], mask: Mask) -> Cond:
        """ids (b m), mask (b m) -> tokens (b m width) with their mask; zeros where it is False."""
        steady = self.last.linear.weight.new_ones(ids.shape[0], 1)  # len would fix it for torch.export
        x = self.dropout(self.embedding(ids) + positions(ids.shape[1], self.width, ids.device))
        for block in self.blocks:
            x = block(x, steady, mask)
        x = modulate(x, *self.last(steady))
        return Cond(tokens=x.masked_fill(~mask[..., None], 0.0), tokens_mask=mask)


def source_states(
    encoder: TokenEncoder | None, source: Int[Tensor, "b m"] | None, mask: Mask | None, items: int
) -> Cond:
    """What the sources of so many items say, or nothing where a task has no encoder. Raises FmAudioError where there are none."""
    if encoder is None:
        return Cond()
    if source is None or mask is None:
        raise FmAudioError(f"this task answers a source and {items} pairs have none; give files with two columns")
    return encoder(source, mask)


class TokenLengths(nn.Module):
    """log P(n) of an answer's tokens, n = 1 … `longest`: from the source's mean state and its length, or of all answers."""

    def __init__(self, longest: int, width: int = 0, hidden: int = 64) -> None:
        """`width` of the source's states; 0 without a source."""
        super().__init__()
        self.longest = longest
        self.bias = nn.Parameter(torch.zeros(longest))
        self.net: nn.Module | None = None
        if width:
            self.net = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, longest))

    def forward(self, cond: Cond, b: int) -> Float[Tensor, "b longest"]:
        """(b longest) float32; entry k is the log probability of k + 1 tokens."""
        logits = self.bias.float().expand(b, -1)
        if self.net is not None and cond.tokens is not None and cond.tokens_mask is not None:
            kept, lengths = cond.tokens.masked_fill(~cond.tokens_mask[..., None], 0.0), cond.tokens_mask.sum(1)
            mean = kept.sum(1) / lengths.clamp(min=1)[:, None]
            table = positions(int(lengths.max()) + 1, mean.shape[1], mean.device)
            logits = logits + self.net(torch.cat([mean, table[lengths].to(mean.dtype)], -1)).float()
        return F.log_softmax(logits, -1)

    def loss(self, cond: Cond, lengths: Int[Tensor, "b"]) -> Tensor:
        """Mean of -log P of the true lengths."""
        return F.nll_loss(self(cond, len(lengths)), lengths - 1)


def with_positions(cond: Cond, n: int, width: int, b: int, device: torch.device) -> Cond:
    """A condition that also tells each of n places how far it is from the start: frames (b n width)."""
    places: Frames = positions(n, width, device).expand(b, n, width)
    return Cond.join(cond, Cond(frames=places))
