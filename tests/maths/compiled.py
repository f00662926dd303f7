"""Small heads compiled and not: python -m tests.maths.compiled [cuda] prints how far apart they are, and how many graphs it took.

"compiled" is torch's own compiler. What is told around a forward, adapters and how far a step goes, is traced in the same way and
then run without it, which takes seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from fm_audio.backbones.dit import DiT
from fm_audio.backbones.two_times import TwoTimes
from fm_audio.flow.head import FlowHead
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.lora import LoraLinear, speaking
from fm_audio.types import Cond, length_mask

LENGTHS = ((21, 40), (33, 17), (70, 90), (130, 11), (200, 260), (55, 54), (340, 300))


SPEAKING = ((1, 2), (3, 0), (0, 0), (2, 2), (1, 3), (0, 1), (3, 3))


def head(two_times: bool = False, adapters: bool = False) -> FlowHead:
    """A small one, moved off its start, where zeros would hide what lies before them; perhaps of two times, or with adapters."""
    torch.manual_seed(0)
    net = DiT(32, 2, 2, vector_width=4, position_kernel=3, position_groups=4)
    made = FlowHead(TwoTimes(net) if two_times else net, {"mel": MelPort(8, 32, 5, 2)})
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.randn_like(p))
    for block in net.blocks if adapters else ():
        down = torch.randn(4, 2, 32) * (torch.arange(4) > 0)[:, None, None]  # number 0 is none
        block.attention.query = LoraLinear(block.attention.query, down, torch.randn(4, 32, 2))
    return made.eval()


def sampled(made: FlowHead, lengths: tuple[int, ...] = (21, 40), solver: str = "ab2", steps: int = 4) -> Tensor:
    """Guided, by default with a solver that keeps its last velocity."""
    mask, g = length_mask(torch.tensor(lengths)), torch.Generator().manual_seed(1)
    frames = torch.randn(len(lengths), mask.shape[1], 5, generator=g)
    device = next(made.parameters()).device
    cond = Cond(frames=frames.to(device), vector=torch.randn(len(lengths), 4, generator=g).to(device))
    return made.sample(mask.to(device), cond, Sampling(steps, solver, guidance=2.0), list(range(len(lengths))))


def apart(plain: FlowHead, compiled: FlowHead, euler: bool = False) -> Iterator[float]:
    """By the largest value, over several lengths, speakers and numbers of steps; Euler tells its steps to who listens."""
    for i, (lengths, who) in enumerate(zip(LENGTHS, SPEAKING, strict=True)):
        how = ("euler", 2 + i % 3) if euler else ("ab2", 4)
        with torch.inference_mode(), speaking(torch.tensor(who, device=next(plain.parameters()).device)):
            wanted, got = (sampled(one, lengths, *how) for one in (plain, compiled))
        yield float((got - wanted).abs().max() / wanted.abs().max())


if __name__ == "__main__":
    from torch._dynamo.utils import counters

    torch.set_num_threads(1)
    inductor = torch.compile
    told = {}
    for name, kind in {"compiled": {}, "two times": {"two_times": True}, "adapters": {"adapters": True}}.items():
        if name != "compiled":
            torch.compile = lambda net, **_: inductor(net, dynamic=True, backend="eager")  # type: ignore[assignment,misc]
        plain, fast = (head(**kind).to(*sys.argv[1:]) for _ in range(2))
        fast.hasten(compile=True)
        before = counters["stats"]["unique_graphs"]
        moved = max(apart(plain, fast, euler=name == "two times"))
        told[name] = {"moved": moved, "graphs": counters["stats"]["unique_graphs"] - before}
    print(json.dumps(told))
