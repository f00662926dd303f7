"""Noise: for training as one draw, for generation item by item from seeds, so that no item depends on its batch-mates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def noise_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Float32 standard normal of x's shape on x's device, drawn on the generator's own device if there is one."""
    at = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, device=at, dtype=torch.float32).to(x.device)


def noise(seeds: Sequence[int], lengths: Sequence[int], n: int, d: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal (b n d) float32, zeros from lengths[i] on.

    Item i comes from a host generator of its own, seeded with seeds[i] and asked for (lengths[i], d): the same seed and length
    give the same noise on every device, in every batch, at every place in it.
    """
    out = torch.zeros(len(seeds), n, d)
    for row, seed, length in zip(out, seeds, lengths, strict=True):
        row[:length] = torch.randn(length, d, generator=torch.Generator().manual_seed(seed))
    return out.to(device)
