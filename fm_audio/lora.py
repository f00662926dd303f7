"""Low-rank adapters (Hu et al. 2021), a different one for each item of a batch, or none.

    y = W x + B_i A_i x        i: the adapter of the item that x belongs to; number 0 is none, with A = B = 0

Who is speaking is told around a forward, not through it: layers between here and there need not know.
"""

from __future__ import annotations

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


class LoraLinear(nn.Module):
    """A linear layer with adapters: down (k r in) and up (k out r), number 0 all zeros. A scale, if any, is in `up`."""

    def __init__(self, base: nn.Linear, down: Float[Tensor, "k r i"], up: Float[Tensor, "k o r"]):
        super().__init__()
        self.base = base
        self.register_buffer("down", down.to(base.weight.device), persistent=False)
        self.register_buffer("up", up.to(base.weight.device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (b n in) or (b in)."""
        y = self.base(x)
        adapters = _ADAPTERS.get()
        if adapters is None:
            return y
        adapters = of_rows(adapters, len(x))
        rows = x if x.ndim == 3 else x[:, None]
        change = rows @ self.down[adapters].mT @ self.up[adapters].mT  # type: ignore[index]
        return y + change.view_as(y)


class LoraConv(nn.Module):
    """A convolution along time with adapters: down (k r in·taps), which is one too, and up (k out r), number 0 all zeros."""

    def __init__(self, base: nn.Conv1d, down: Float[Tensor, "k r i"], up: Float[Tensor, "k o r"]):
        super().__init__()
        self.base = base
        self.register_buffer("down", down.to(base.weight.device), persistent=False)
        self.register_buffer("up", up.to(base.weight.device), persistent=False)

    def forward(self, x: Float[Tensor, "b i n"]) -> Float[Tensor, "b o n"]:
        y = self.base(x)
        adapters = _ADAPTERS.get()
        if adapters is None:
            return y
        adapters = of_rows(adapters, len(x))
        taps, padding = self.base.kernel_size[0], int(self.base.padding[0])
        seen = nn.functional.unfold(x[:, :, None], (1, taps), padding=(0, padding))  # b (in taps) n
        return y + self.up[adapters] @ (self.down[adapters] @ seen)  # type: ignore[index]


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
