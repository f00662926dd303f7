"""The nouns that every room shares: tensor names, what conditions a head, what a task asks for and gives back.

Axes: b items, n positions in time, d features of a position, c condition channels, m positions of another sequence,
e its features, g features of one vector per item, s samples. Masks are boolean and True means keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "b n d"]
Mask = Bool[Tensor, "b n"]
Times = Float[Tensor, "b"]
Wave = Float[Tensor, "b s"]


class FmAudioError(ValueError):
    """A mistake that the person at the keyboard can mend: where, what was given, what is allowed, what to do."""


@dataclass(frozen=True)
class Cond:
    """What a head is told, through three doors, all optional.

    frames (b n c) lies along the generated sequence; tokens (b m e) with tokens_mask (b m) is another sequence to attend
    to; vector (b g) is one per item.
    """

    frames: Float[Tensor, "b n c"] | None = None
    tokens: Float[Tensor, "b m e"] | None = None
    tokens_mask: Bool[Tensor, "b m"] | None = None
    vector: Float[Tensor, "b g"] | None = None

    @staticmethod
    def join(*conds: Cond) -> Cond:
        """Parts side by side: frames and vectors on their last axis, token sequences one after the other."""
        frames = [c.frames for c in conds if c.frames is not None]
        tokens = [c for c in conds if c.tokens is not None]
        vectors = [c.vector for c in conds if c.vector is not None]
        return Cond(
            frames=torch.cat(frames, -1) if frames else None,
            tokens=torch.cat([c.tokens for c in tokens], 1) if tokens else None,  # type: ignore[misc]
            tokens_mask=torch.cat([c._mask_of_tokens() for c in tokens], 1) if tokens else None,
            vector=torch.cat(vectors, -1) if vectors else None,
        )

    def _mask_of_tokens(self) -> Tensor:
        assert self.tokens is not None
        if self.tokens_mask is not None:
            return self.tokens_mask
        return torch.ones(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)

    def drop(self, keep: Bool[Tensor, "b"]) -> Cond:
        """The same condition for the items kept, the null condition for the others."""
        null = self.null()

        def pick(mine: Tensor | None, other: Tensor | None) -> Tensor | None:
            if mine is None or other is None:
                return mine
            return torch.where(keep.view(-1, *[1] * (mine.ndim - 1)), mine, other)

        mask = self._mask_of_tokens() if self.tokens is not None else None
        return Cond(
            pick(self.frames, null.frames),
            pick(self.tokens, null.tokens),
            pick(mask, null.tokens_mask),
            pick(self.vector, null.vector),
        )

    def null(self) -> Cond:
        """Zeros of the same shapes. The first token stays visible, so attention never meets an empty row."""
        mask = None
        if self.tokens is not None:
            mask = torch.zeros_like(self._mask_of_tokens())
            mask[:, 0] = True
        return Cond(
            frames=None if self.frames is None else torch.zeros_like(self.frames),
            tokens=None if self.tokens is None else torch.zeros_like(self.tokens),
            tokens_mask=mask,
            vector=None if self.vector is None else torch.zeros_like(self.vector),
        )

    def rows(self, index: Tensor | slice) -> Cond:
        """The condition of some items."""
        parts = (self.frames, self.tokens, self.tokens_mask, self.vector)
        return Cond(*[None if p is None else p[index] for p in parts])

    @staticmethod
    def stack(*conds: Cond) -> Cond:
        """Several batches as one: rows of all after each other. Every part must be present in all or in none."""

        def cat(name: str) -> Tensor | None:
            parts = [getattr(c, name) for c in conds]
            return None if parts[0] is None else torch.cat(parts, 0)

        full = [replace(c, tokens_mask=c._mask_of_tokens()) if c.tokens is not None else c for c in conds]
        conds = tuple(full)
        return Cond(cat("frames"), cat("tokens"), cat("tokens_mask"), cat("vector"))


@runtime_checkable
class Backbone(Protocol):
    """Hidden width in, hidden width out. Knows no modality, no guidance and no dropping of conditions.

    `width` is the hidden size d; `forward(h (b n d), t (b,), mask (b n), cond) -> (b n d)`. It reads `cond.tokens` and
    `cond.vector`; `cond.frames` has already been taken in by the port. Padded positions neither matter nor are read.
    """

    width: int

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames: ...


@runtime_checkable
class Decoder(Protocol):
    """What makes a generated sequence perceptible: `decode(x (b n d), mask (b n)) -> wave (b s)` (or token ids).

    A decoder of mels carries `spec`, the mel contract it was made for; the wave of an item has
    `spec.samples_of_frames(frames)` valid samples and zeros after them.
    """

    spec: Any

    def decode(self, x: Frames, mask: Mask) -> Tensor: ...


@runtime_checkable
class Codec(Protocol):
    """A wave as latent frames, and back: `encode(wave (b s)) -> (b s // hop channels)`, `decode(x, mask) -> wave (b n·hop)`."""

    sample_rate: int
    hop_samples: int
    channels: int

    def encode(self, wave: Wave) -> Frames: ...

    def decode(self, x: Frames, mask: Mask) -> Wave: ...


@runtime_checkable
class Task(Protocol):
    """A plain `nn.Module` that thinks; Lightning only logs and steps it.

    `loss(batch, generator) -> {"loss": scalar, ...}`; `generate(requests, sampling) -> outputs`, one for each request.
    """

    def loss(self, batch: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]: ...

    def generate(self, requests: Sequence[Any], sampling: Any) -> list[Any]: ...


def length_mask(lengths: Tensor, n: int | None = None) -> Tensor:
    """(b,) whole lengths -> (b n) mask whose first `length` positions are True."""
    n = int(lengths.max()) if n is None else n
    return torch.arange(n, device=lengths.device)[None, :] < lengths[:, None]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over kept positions of each item, then over items, so that long items weigh no more than short ones.

    values (b n) or (b n d), mask (b n) -> scalar. Padded values may be anything, even NaN.
    """
    if values.ndim == 3:
        values = values.mean(-1)
    kept = values.masked_fill(~mask, 0.0)
    return (kept.sum(1) / mask.sum(1).clamp(min=1)).mean()
