"""Who shares a batch with whom, drawn from a seed, and how far an item moves when it does.

    difference = max over items of  max |in company − alone| / max |alone|

Alone is a batch of one without padding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-5
COUNT = 50
KINDS = ("alone", "padded", "reordered", "bucketed")
MOST_PADDING = 9

Run = Callable[[Sequence[Any], int], list[tuple[Tensor, ...]]]
"""(items, positions of padding beyond the longest) -> what came out for each of them, without its padding."""


@dataclass(frozen=True)
class Composition:
    """Batches of one kind: each the numbers of its items, and how many positions of padding it has beyond its longest."""

    kind: str
    batches: tuple[tuple[tuple[int, ...], int], ...]


def compositions(lengths: Sequence[int], count: int = COUNT, seed: int = 0) -> list[Composition]:
    """`count` of them over items of these lengths, the kinds taking turns.

    alone: one item, only padding beside it.  padded: some items, padding too.  reordered: all of them, in another order.
    bucketed: a sample, with repeats, sorted by length and cut into batches of one to four.
    """
    draw, items = random.Random(seed), range(len(lengths))

    def one(kind: str) -> Composition:
        padding = draw.randint(1, MOST_PADDING)
        if kind == "alone":
            return Composition(kind, (((draw.choice(items),), padding),))
        if kind == "padded":
            return Composition(kind, ((tuple(draw.sample(items, draw.randint(2, min(4, len(items))))), padding),))
        if kind == "reordered":
            return Composition(kind, ((tuple(draw.sample(items, len(items))), 0),))
        left, buckets = sorted(draw.choices(items, k=len(items)), key=lambda i: lengths[i]), []
        while left:
            size = draw.randint(1, 4)
            buckets.append((tuple(left[:size]), draw.randint(0, 2)))
            left = left[size:]
        return Composition(kind, tuple(buckets))

    return [one(KINDS[i % len(KINDS)]) for i in range(count)]


def padded(rows: Sequence[Tensor], padding: int, fill: float) -> tuple[Tensor, Tensor]:
    """Rows (n …) of several lengths as one (b n …) with `fill` behind them, and the mask (b n)."""
    n = max(len(row) for row in rows) + padding
    together = torch.stack([torch.cat([row, row.new_full((n - len(row), *row.shape[1:]), fill)]) for row in rows])
    return together, torch.tensor([[i < len(row) for i in range(n)] for row in rows])


def distance(got: Tensor, wanted: Tensor) -> float:
    """max |got − wanted| / max |wanted|; infinite where a shape differs or a number is none."""
    if got.shape != wanted.shape or not got.isfinite().all():
        return float("inf")
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30))


def differences(run: Run, items: Sequence[Any], drawn: Sequence[Composition]) -> Iterator[tuple[Composition, float]]:
    """Every composition with the largest difference in it."""
    alone = [run([item], 0)[0] for item in items]
    assert all(part.isfinite().all() for row in alone for part in row)
    heard = sum(float(row[0].detach().abs().max()) > 1e-4 for row in alone)  # some may rightly be zeros: text that is dropped
    assert 2 * heard > len(alone), "zeros would agree with anything"
    for composition in drawn:
        worst = 0.0
        for rows, padding in composition.batches:
            for i, outputs in zip(rows, run([items[i] for i in rows], padding), strict=True):
                worst = max(worst, *(distance(got, wanted) for got, wanted in zip(outputs, alone[i], strict=True)))
        yield composition, worst


def gradient_difference(run: Run, items: Sequence[dict[str, Any]], drawn: Sequence[Composition], net: nn.Module) -> float:
    """As `differences`, of the gradients of a random sum of the outputs: by each item's own input, and by the parameters, where
    a batch must give the sum of its items'. Both relative to the largest such gradient. Times `t` are given and learn nothing."""
    weights = [[torch.randn_like(o) for o in run([item], 0)[0]] for item in items]
    parameters = [p for p in net.parameters() if p.requires_grad]

    def gradients(rows: Sequence[int], padding: int) -> tuple[list[Tensor], Tensor]:
        leaves = [{k: v if k == "t" else _leaf(v) for k, v in items[i].items()} for i in rows]
        inputs = [v for leaf in leaves for v in leaf.values() if isinstance(v, Tensor) and v.requires_grad]
        outputs = run(leaves, padding)
        total = sum((o * w).sum() for i, row in zip(rows, outputs, strict=True) for o, w in zip(row, weights[i], strict=True))
        got = torch.autograd.grad(total, [*inputs, *parameters], allow_unused=True)  # type: ignore[arg-type]
        filled = [torch.zeros_like(v) if g is None else g for g, v in zip(got, [*inputs, *parameters], strict=True)]
        each = len(inputs) // len(rows)
        own = [_flat(filled[k * each : (k + 1) * each]) for k in range(len(rows))]
        return own, _flat(filled[len(inputs) :])

    alone = [gradients([i], 0) for i in range(len(items))]
    worst = 0.0
    for rows, padding in (batch for composition in drawn for batch in composition.batches):
        own, shared = gradients(rows, padding)
        pairs = [(o, alone[i][0][0]) for i, o in zip(rows, own, strict=True)] + [(shared, sum(alone[i][1] for i in rows))]
        worst = max(worst, *(distance(got, wanted) for got, wanted in pairs if len(wanted)))
    return worst


def _leaf(value: Any) -> Any:
    return value.clone().requires_grad_() if isinstance(value, Tensor) and value.is_floating_point() else value


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors]) if tensors else torch.empty(0)
