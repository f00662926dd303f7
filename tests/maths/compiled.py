"""A small head compiled and not: python -m tests.maths.compiled prints how far apart they are, and how many graphs it took."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from fm_audio.backbones.dit import DiT
from fm_audio.flow.head import FlowHead
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond, length_mask

LENGTHS = ((21, 40), (33, 17), (70, 90), (130, 11), (200, 260), (55, 54), (340, 300))


def head() -> FlowHead:
    """A small one, moved off its start, where zeros would hide what lies before them."""
    torch.manual_seed(0)
    made = FlowHead(DiT(32, 2, 2, vector_width=4, position_kernel=3, position_groups=4), {"mel": MelPort(8, 32, 5, 2)})
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return made.eval()


def sampled(made: FlowHead, lengths: tuple[int, ...] = (21, 40)) -> Tensor:
    """Guided, by a solver that keeps its last velocity."""
    mask, g = length_mask(torch.tensor(lengths)), torch.Generator().manual_seed(1)
    frames = torch.randn(len(lengths), mask.shape[1], 5, generator=g)
    cond = Cond(frames=frames, vector=torch.randn(len(lengths), 4, generator=g))
    return made.sample(mask, cond, Sampling(steps=4, solver="ab2", guidance=2.0), list(range(len(lengths))))


if __name__ == "__main__":
    from torch._dynamo.utils import counters

    torch.set_num_threads(1)
    plain, compiled = head(), head()
    compiled.hasten(compile=True)
    before, moved = counters["stats"]["unique_graphs"], 0.0
    with torch.inference_mode():
        for some in LENGTHS:
            wanted = sampled(plain, some)
            moved = max(moved, float((sampled(compiled, some) - wanted).abs().max() / wanted.abs().max()))
    print(json.dumps({"moved": moved, "graphs": counters["stats"]["unique_graphs"] - before}))
