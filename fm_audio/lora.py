"""Low-rank adapters (Hu et al. 2021), a different one for each item of a batch, or none.

    y = W x + B_i A_i x        i: the adapter of the item that x belongs to; number 0 is none, with A = B = 0

Who is speaking is told around a forward, not through it: layers between here and there need not know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fm_audio.rows import of_rows

# A variable of the context and not of the module: threads that speak at the same time have one each.
_ADAPTERS: ContextVar[Tensor | None] = ContextVar("adapters", default=None)


@contextmanager
def speaking(adapters: Int[Tensor, "b"] | None) -> Iterator[None]:
    """Within, item i of every batch of b speaks with adapter number i, packed and parted (`fm_audio.rows`) as batches may be.

    None, or zeros alone, leave every layer exactly as it was.
    """
    told = _ADAPTERS.set(adapters if adapters is not None and bool(adapters.any()) else None)
    try:
        yield
    finally:
        _ADAPTERS.reset(told)


class _Lora(nn.Module, ABC):
    """A layer with adapters: down (k r in) and up (k out r), number 0 all zeros. A scale, if any, is in `up`."""

    def __init__(self, base: nn.Module, down: Float[Tensor, "k r i"], up: Float[Tensor, "k o r"]):
        super().__init__()
        self.base = base
        for name, side in (("down", down), ("up", up)):
            self.register_buffer(name, side.to(next(base.parameters()).device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        adapters = _ADAPTERS.get()
        if adapters is None:
            return y
        of_items = of_rows(adapters, len(x))
        return y + self.change(x, self.down[of_items], self.up[of_items])  # type: ignore[index]

    @abstractmethod
    def change(self, x: Tensor, down: Float[Tensor, "b r i"], up: Float[Tensor, "b o r"]) -> Tensor:
        """What is added to the answer to x, whose items each have an adapter of their own."""


class LoraLinear(_Lora):
    """A linear layer: x (b n in) or (b in)."""

    def change(self, x: Tensor, down: Float[Tensor, "b r i"], up: Float[Tensor, "b o r"]) -> Tensor:
        rows = x if x.ndim == 3 else x[:, None]
        return (rows @ down.mT @ up.mT).view(*x.shape[:-1], -1)


class LoraConv(_Lora):
    """A convolution along time: x (b in n); `down` is one too, with as many taps, (k r in·taps)."""

    base: nn.Conv1d

    def change(self, x: Tensor, down: Float[Tensor, "b r i"], up: Float[Tensor, "b o r"]) -> Tensor:
        taps, padding = self.base.kernel_size[0], int(self.base.padding[0])
        seen = nn.functional.unfold(x[:, :, None], (1, taps), padding=(0, padding))  # b (in taps) n
        return up @ (down @ seen)


class GrownEmbedding(nn.Module):
    """A table of vectors with rows added at its end. The old rows are frozen; `weight` is the whole table."""

    def __init__(self, old: nn.Embedding, new: Float[Tensor, "k d"]):
        super().__init__()
        self.old = nn.Parameter(old.weight.detach(), requires_grad=False)
        self.new = nn.Parameter(new.to(old.weight).clone())

    @property
    def weight(self) -> Float[Tensor, "n d"]:
        return torch.cat([self.old, self.new])

    def forward(self, index: Int[Tensor, "..."]) -> Float[Tensor, "... d"]:
        return nn.functional.embedding(index, self.weight)
