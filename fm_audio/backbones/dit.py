"""DiT: a transformer whose every layer is modulated by time and vector (Peebles & Xie 2023; for speech, F5-TTS 2024).

    c = time(t) + vector,   h ← h + position(h),   h ← block(h, c) …,   AdaLN

`kernel` > 1 puts a depthwise convolution before each feed-forward, which helps small models that see little data;
`attention_every` = 2 attends in every second layer only; `position_kernel` = 0 leaves the convolutional position out. With
`head_norm` False, `reaches_slowest` True and, for its first version, `rotary_heads` 1 this is the network of F5-TTS.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from fm_audio.layers import Block, MaskedConv, Modulation, TimeEmbedding, modulate, needed
from fm_audio.recall import in_turn
from fm_audio.types import Cond, Frames, Mask, Times


class DiT(nn.Module):
    """Backbone of `layers` blocks; `vector_width` and `tokens_width` are the widths of cond.vector and cond.tokens (0: none)."""

    def __init__(
        self,
        width: int = 512,
        layers: int = 8,
        heads: int = 8,
        vector_width: int = 0,
        tokens_width: int = 0,
        feedforward: float = 4.0,
        kernel: int = 1,
        attention_every: int = 1,
        position_kernel: int = 31,
        position_groups: int = 16,
        head_norm: bool = True,
        rotary_heads: int | None = None,
        reaches_slowest: bool = False,
    ):
        super().__init__()
        self.width = width
        self.time = TimeEmbedding(width, reaches_slowest=reaches_slowest)
        self.vector = nn.Linear(vector_width, width) if vector_width else None
        convs = 2 if position_kernel else 0
        self.position = nn.ModuleList(MaskedConv(width, position_kernel, position_groups) for _ in range(convs))
        self.blocks = nn.ModuleList(
            Block(
                width, heads, width, feedforward, kernel, (i + 1) % attention_every == 0, tokens_width or None,
                normed=head_norm, rotary_heads=rotary_heads,
            )  # fmt: skip
            for i in range(layers)
        )
        self.last = Modulation(width, width, 2)

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames:
        c = self.time(t)
        if self.vector is not None:
            c = c + self.vector(cond.vector)
        h, seen = h.masked_fill(~mask[..., None], 0.0), needed(mask)
        if self.position:
            p = h
            for conv in self.position:
                p = nn.functional.mish(conv(p, seen))
            h = h + p

        def run(block: Block, h: Frames, rows: Any) -> Frames:
            some = cond.rows(rows)
            return block(h, c[rows], None if seen is None else seen[rows], some.tokens, some.tokens_mask)

        h = in_turn(self.blocks, h, mask, run)
        shift, scale = self.last(c)
        return modulate(h, shift, scale)
