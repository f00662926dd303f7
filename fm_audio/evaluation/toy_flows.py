"""Flows in two dimensions that train in seconds: what a coupling does to them can be seen and measured exactly.

    straightness = E ∫ ‖ v(x_t, t) − (x_1 − x_0) ‖² dt / E ‖ x_1 − x_0 ‖²          0: all ways are straight (Liu et al. 2022)
    W2² = min over pairings of E ‖ made − data ‖²                                  exact, by assignment
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.flow.coupling import Coupling, assign, distances
from fm_audio.flow.grid import Uniform
from fm_audio.flow.path import LinearPath, point
from fm_audio.flow.solver import Euler
from fm_audio.types import Cond

Points = Float[Tensor, "b two"]
FINE = 100  # Euler's steps that follow a way to its end


@dataclass(frozen=True)
class Toy:
    """x (b 2) and the label (b,) that a conditional flow is told, from 0 to `labels` − 1."""

    x: Points
    label: Int[Tensor, "b"]
    labels: int


def eight_gaussians(b: int, generator: torch.Generator) -> Toy:
    """On a circle of radius 2; the label is which."""
    label = torch.randint(8, (b,), generator=generator)
    angle = label * math.pi / 4
    centre = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    return Toy(centre + 0.15 * torch.randn(b, 2, generator=generator), label, 8)


def two_moons(b: int, generator: torch.Generator) -> Toy:
    """Two half circles that reach into each other; the label is which."""
    label = torch.randint(2, (b,), generator=generator)
    angle = math.pi * torch.rand(b, generator=generator)
    upper = torch.stack([angle.cos(), angle.sin()], -1) - torch.tensor([0.5, 0.25])
    x = torch.where(label[:, None] == 0, upper, -upper)
    return Toy(1.6 * x + 0.1 * torch.randn(b, 2, generator=generator), label, 2)


TOYS = {"eight gaussians": eight_gaussians, "two moons": two_moons}


class ToyFlow(nn.Module):
    """v(x (b 2), t (b,), label (b,)), a perceptron of three hidden layers; with `labels` = 0 no label is looked at."""

    def __init__(self, labels: int = 0, width: int = 96) -> None:
        super().__init__()
        self.labels = labels
        ends = [3 + labels, width, width, width, 2]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(ends, ends[1:], strict=False))

    def forward(self, x: Points, t: Float[Tensor, "b"], label: Int[Tensor, "b"]) -> Points:
        told = [F.one_hot(label, self.labels).to(x)] if self.labels else []
        h = torch.cat([x, t[:, None], *told], -1)
        for layer in list(self.layers)[:-1]:
            h = F.silu(layer(h))
        return self.layers[-1](h)

    @torch.no_grad()
    def ways(self, x0: Points, label: Int[Tensor, "b"], steps: int) -> Float[Tensor, "steps1 b two"]:
        """Euler's points from noise to data."""
        points, grid = [x0], Uniform()(steps)
        for i in range(steps):
            points.append(Euler()(lambda x, t: self(x, t, label), points[-1], grid[i : i + 2]))
        return torch.stack(points)


def coupled(coupling: Coupling, x0: Points, toy: Toy, group: int, conditional: bool) -> Points:
    """x0 (b 2) in the order that the coupling gives it, in groups of so many."""
    cond = Cond(vector=F.one_hot(toy.label, toy.labels).to(x0)) if conditional else Cond()
    parts = []
    for i in range(0, len(x0), group):
        rows = slice(i, i + group)
        noise = x0[rows, None]
        mask = torch.ones(noise.shape[:2], dtype=torch.bool)
        parts.append(coupling(noise, toy.x[rows, None], mask, cond.rows(rows))[:, 0])
    return torch.cat(parts)


def train(
    draw: str, coupling: Coupling, group: int, conditional: bool = False, steps: int = 2000, batch: int = 256, seed: int = 0
) -> ToyFlow:
    """A flow to TOYS[draw] whose noise and data are coupled in groups of so many; all else is the same for the same seed."""
    g = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = ToyFlow(TOYS[draw](1, g).labels if conditional else 0)
    optimiser = torch.optim.Adam(flow.parameters(), lr=4e-3)
    for step in range(steps):
        toy, x0, t = TOYS[draw](batch, g), torch.randn(batch, 2, generator=g), torch.rand(batch, generator=g)
        x0 = coupled(coupling, x0, toy, group, conditional)
        loss = (flow(point(LinearPath(), x0, toy.x, t), t, toy.label) - (toy.x - x0)).square().mean()
        for part in optimiser.param_groups:
            part["lr"] = 4e-3 * (1 - step / steps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return flow.eval()


def straightness(flow: ToyFlow, x0: Points, label: Int[Tensor, "b"]) -> float:
    ways = flow.ways(x0, label, FINE)
    slopes, chord = (ways[1:] - ways[:-1]) * FINE, ways[-1] - ways[0]
    return float((slopes - chord).square().sum(-1).mean() / chord.square().sum(-1).mean())


def wasserstein(a: Points, b: Points) -> float:
    """W2 of two samples of one size."""
    one = torch.ones(len(a), 1, dtype=torch.bool)
    cost = 2 * distances(a[:, None], b[:, None], one)  # a sum over both dimensions, no mean
    return float((a - b[torch.as_tensor(assign(cost.numpy()))]).square().sum(-1).mean().sqrt())


def quality(flow: ToyFlow, draw: str, steps: int, count: int = 1000, seed: int = 1) -> float:
    """W2 of what Euler makes in so many steps to as much data; of a conditional flow, the mean of its labels' W2."""
    g = torch.Generator().manual_seed(seed)
    labels = range(flow.labels or 1)
    toy = TOYS[draw](count * 3 * len(labels), g)
    found = []
    for label in labels:
        data = (toy.x[toy.label == label] if flow.labels else toy.x)[:count]
        told = torch.full((len(data),), label)
        found.append(wasserstein(flow.ways(torch.randn(len(data), 2, generator=g), told, steps)[-1], data))
    return sum(found) / len(found)


def floor(draw: str, conditional: bool = False, count: int = 1000) -> float:
    """W2 of two samples of the data themselves: what so many points can tell."""
    g = torch.Generator().manual_seed(2)
    toys = [TOYS[draw](count * 3 * 8, g) for _ in range(2)]
    if not conditional:
        return wasserstein(toys[0].x[:count], toys[1].x[:count])
    each = [[t.x[t.label == label][:count] for t in toys] for label in range(toys[0].labels)]
    return sum(wasserstein(*pair) for pair in each) / len(each)


def skew(coupling: Coupling, draw: str, group: int, batches: int = 20, seed: int = 0) -> float:
    """How far a label's noise lies from all noise in training: the mean over labels of ‖ E[x0 | label] ‖. In sampling it is 0."""
    g = torch.Generator().manual_seed(seed)
    toys = [TOYS[draw](group, g) for _ in range(batches)]
    noise = torch.cat([coupled(coupling, torch.randn(group, 2, generator=g), toy, group, True) for toy in toys])
    label = torch.cat([toy.label for toy in toys])
    return float(torch.stack([noise[label == k].mean(0).norm() for k in range(toys[0].labels)]).mean())
