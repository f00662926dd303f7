"""What each item decides for itself, it decides in any company: steps, rest, recalled blocks, and when guidance ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from fm_audio.backbones.dit import DiT
from fm_audio.flow.head import FlowHead
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond
from tests.invariance.case import LENGTHS, VECTOR, Outputs, cut
from tests.invariance.company import TOLERANCE, compositions, differences, padded

BANDS, FRAMES = 5, 3
WAYS = {
    "adaptive_heun": Sampling(steps=2, solver="adaptive_heun", tolerance=0.5, guidance=1.5),
    "bosh3": Sampling(steps=2, solver="bosh3", tolerance=0.1),
    "dopri5": Sampling(steps=2, solver="dopri5", tolerance=0.1),
    "rest": Sampling(steps=6, solver="midpoint", rest=1.0),
    "cache": Sampling(steps=6, cache=1.0, guidance=2.0),
    "alike": Sampling(steps=6, guidance=2.0, guidance_alike=0.5, guidance_rescale=0.5),
    "all": Sampling(steps=6, solver="heun", guidance=2.0, guidance_alike=0.5, rest=1.5, cache=1.0),
}


def head() -> FlowHead:
    torch.manual_seed(1)
    backbone = DiT(16, 4, 2, VECTOR, position_kernel=3, position_groups=2)
    made = FlowHead(backbone, {"mel": MelPort(BANDS, 16, FRAMES)}).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.25 * torch.randn_like(p))
    return made


def items() -> list[dict[str, Any]]:
    g = torch.Generator().manual_seed(2)
    return [
        {"seed": i, "frames": (1 + i) * torch.randn(n, FRAMES, generator=g), "vector": torch.randn(VECTOR, generator=g)}
        for i, n in enumerate(LENGTHS)
    ]


@pytest.mark.parametrize("name", WAYS)
def test_an_item_is_the_same_in_any_company(name: str) -> None:
    model, sampling, asked = head(), WAYS[name], {}

    def run(rows: Sequence[dict[str, Any]], padding: int) -> Outputs:
        frames, mask = padded([r["frames"] for r in rows], padding, 0.0)
        field = model.field(mask, Cond(frames=frames, vector=torch.stack([r["vector"] for r in rows])), sampling)
        x = model.solve(field, model.start(mask, sampling, [r["seed"] for r in rows]), sampling)
        for r, effective in zip(rows, field.effective.tolist(), strict=True):
            assert asked.setdefault(r["seed"], effective) == pytest.approx(effective)
        return [(row,) for row in cut(x, mask)]

    with torch.no_grad():
        worst = max(moved for _, moved in differences(run, items(), compositions(LENGTHS, 8)))
    assert worst <= TOLERANCE
    assert len(set(asked.values())) > 1, "items differ in what they take"
