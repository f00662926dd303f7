"""Multi-rate transformer: stacks of blocks that look at the sequence at different rates, full, half, quarter and back.

    d = pool(h),   h ← h + bypass · spread(stack(d) − d)   for each stack,   AdaLN

The idea of many rates with a learned bypass is Zipformer's (Yao et al. 2023), which ZipVoice brought to flow matching; here
only what a stack changed travels back to the full rate, so that fine detail passes untouched and the start is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fm_audio.backbones.rates import coarser, pad_to_multiple
from fm_audio.layers import Block, Modulation, TimeEmbedding, modulate, needed
from fm_audio.recall import in_turn
from fm_audio.types import Cond, Frames, Mask, Times


class Pool(nn.Module):
    """(b n·rate d) -> (b n d): of each group a weighted mean of its kept positions, weights softmaxed from content and place."""

    def __init__(self, width: int, rate: int):
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)
        self.place = nn.Parameter(torch.zeros(rate))
        nn.init.zeros_(self.score.weight)

    def forward(self, h: Frames, mask: Mask) -> Float[Tensor, "b n2 d"]:
        groups = h.unflatten(1, (-1, len(self.place)))  # b n r d
        score = self.score(groups).squeeze(-1).float() + self.place
        # A finite floor: a group without kept positions gets some mean, which nobody reads, instead of NaN.
        score = score.masked_fill(~mask.unflatten(1, (-1, len(self.place))), torch.finfo(score.dtype).min)
        return (score.softmax(-1).to(h.dtype)[..., None] * groups).sum(2)


class Spread(nn.Module):
    """(b n d) -> (b n·rate d): each vector through one linear map per place of its group; at the start it is repeated."""

    def __init__(self, width: int, rate: int):
        super().__init__()
        self.rate = rate
        self.linear = nn.Linear(width, rate * width, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(width).repeat(rate, 1))

    def forward(self, h: Frames) -> Float[Tensor, "b n2 d"]:
        return rearrange(self.linear(h), "b n (r d) -> b (n r) d", r=self.rate)


class Stack(nn.Module):
    """Blocks at one rate, whose change of the sequence is added at the full rate, weighed per channel by `bypass`."""

    def __init__(self, rate: int, width: int, blocks: Sequence[Block]):
        super().__init__()
        self.rate = rate
        self.pool = Pool(width, rate) if rate > 1 else None
        self.blocks = nn.ModuleList(blocks)
        self.spread = Spread(width, rate) if rate > 1 else None
        self.bypass = nn.Parameter(torch.ones(width))

    def forward(self, h: Frames, c: Tensor, mask: Mask, whole: bool, cond: Cond) -> Frames:
        """`whole`: the mask keeps everything."""
        long, kept = pad_to_multiple(h, mask, self.rate)
        low, seen = long if self.pool is None else self.pool(long, kept), None if whole else coarser(kept, self.rate)
        x = low
        for block in self.blocks:
            x = block(x, c, seen, cond.tokens, cond.tokens_mask)
        change = x - low if self.spread is None else self.spread(x - low)
        return h + self.bypass * change[:, : h.shape[1]]


class MultiRate(nn.Module):
    """Backbone of one stack per entry of `rates` (frames per position), each with as many blocks as `layers` says.

    vector_width and tokens_width are the widths of cond.vector and cond.tokens (0: none). `kernel` is that of the depthwise
    convolution before each feed-forward, at the stack's own rate.
    """

    def __init__(
        self,
        width: int = 256,
        rates: Sequence[int] = (1, 2, 4, 2, 1),
        layers: Sequence[int] = (1, 2, 2, 2, 1),
        heads: int = 4,
        vector_width: int = 0,
        tokens_width: int = 0,
        feedforward: float = 4.0,
        kernel: int = 7,
    ):
        super().__init__()
        self.width = width
        self.time = TimeEmbedding(width)
        self.vector = nn.Linear(vector_width, width) if vector_width else None

        def block() -> Block:
            return Block(width, heads, width, feedforward, kernel, context_width=tokens_width or None)

        self.stacks = nn.ModuleList(
            Stack(rate, width, [block() for _ in range(count)]) for rate, count in zip(rates, layers, strict=True)
        )
        self.last = Modulation(width, width, 2)

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames:
        c = self.time(t)
        if self.vector is not None:
            c = c + self.vector(cond.vector)
        h, whole = h.masked_fill(~mask[..., None], 0.0), needed(mask) is None
        h = in_turn(self.stacks, h, mask, lambda stack, h, i: stack(h, c[i], mask[i], whole, cond.rows(i)))
        shift, scale = self.last(c)
        return modulate(h, shift, scale)
