"""Recalled blocks: nothing changes where nothing may be left out, what is left out is counted, each row decides for itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fm_audio.backbones.dit import DiT
from fm_audio.backbones.multi_rate import MultiRate
from fm_audio.backbones.two_times import TwoTimes
from fm_audio.backbones.unet import UNet
from fm_audio.flow.guidance import Null
from fm_audio.flow.head import FlowHead
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.layers import jump, jumping
from fm_audio.lora import LoraLinear, speaking
from fm_audio.recall import Memory, in_turn, recalling
from fm_audio.rows import of_rows, only
from fm_audio.types import Cond, FmAudioError, length_mask

LENGTHS, BANDS, FRAMES, VECTOR = [9, 14, 4], 5, 3, 4
BACKBONES = {
    "dit": lambda: DiT(16, 5, 2, VECTOR, position_kernel=3, position_groups=2),
    "multi_rate": lambda: MultiRate(16, (1, 2, 4, 1), (1, 1, 1, 1), 2, VECTOR),
    "two_times": lambda: TwoTimes(DiT(16, 5, 2, VECTOR, position_kernel=3, position_groups=2)),
}


def head(backbone: nn.Module) -> FlowHead:
    made = FlowHead(backbone, {"mel": MelPort(BANDS, 16, FRAMES)}).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return made


def batch(rows: list[int] | None = None) -> tuple[Tensor, Cond]:
    rows = rows or list(range(len(LENGTHS)))
    g = torch.Generator().manual_seed(5)
    frames, vector = torch.randn(3, max(LENGTHS), FRAMES, generator=g), torch.randn(3, VECTOR, generator=g)
    mask = length_mask(torch.tensor(LENGTHS)[rows])
    return mask, Cond(frames=frames[rows, : mask.shape[1]], vector=vector[rows])


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_threshold_that_is_always_passed_changes_nothing(name: str, guidance: float) -> None:
    model, (mask, cond) = head(BACKBONES[name]()), batch()
    plain, recalled = (
        model.sample(mask, cond, Sampling(steps=6, guidance=guidance, cache=cache), [0, 1, 2]) for cache in (0.0, 1e-9)
    )
    torch.testing.assert_close(recalled, plain, rtol=1e-6, atol=1e-6)


def test_what_is_recalled_is_what_the_middle_added_before() -> None:
    """Blocks h -> w h + 1: with no change allowed to matter, the middle adds to the next input what it added to the first."""
    weights, mask = [2.0, 3.0, 5.0, 7.0], torch.ones(1, 2, dtype=torch.bool)
    memory, h = Memory(1e9, 1, torch.device("cpu")), torch.ones(1, 2, 1)
    run = lambda w, h, rows: w * h + 1  # noqa: E731
    with recalling(memory):
        first = in_turn(weights, h, mask, run)
        second = in_turn(weights, 10 * h, mask, run)
    assert float(first[0, 0, 0]) == 7 * (5 * (3 * 3 + 1) + 1) + 1
    assert float(second[0, 0, 0]) == 7 * (21 + (51 - 3)) + 1
    assert memory.saved.tolist() == [0.5]
    assert torch.equal(in_turn(weights, h, mask, run), first), "without a memory all is computed"


def test_changes_add_up_until_the_threshold() -> None:
    mask, computed = torch.ones(1, 1, dtype=torch.bool), []
    memory = Memory(0.25, 1, torch.device("cpu"))

    def run(block: int, h: Tensor, rows: object) -> Tensor:
        if block == 1:
            computed.append(float(h))
        return h

    with recalling(memory):
        for i in range(7):
            in_turn([0, 1, 2], torch.full((1, 1, 1), 1.1**i), mask, run)
    assert [round(c, 4) for c in computed] == [1.0, round(1.1**3, 4), round(1.1**6, 4)], "each step is a change of 0.1"
    assert float(memory.saved) == pytest.approx(4 / 3)


@pytest.mark.parametrize("name", BACKBONES)
@torch.no_grad()
def test_rows_are_recalled_each_by_itself_and_counted_by_item(name: str) -> None:
    model = head(BACKBONES[name]())
    sampling = Sampling(steps=6, solver="heun", guidance=2.0, guidance_interval=(0.0, 0.7), cache=0.4)
    mask, cond = batch()
    field = model.field(mask, cond, sampling)
    x = model.solve(field, model.start(mask, sampling, [0, 1, 2]), sampling)
    assert (field.effective < field.forwards).all() and (field.effective > field.forwards / 5).all()
    for i, n in enumerate(LENGTHS):
        mask, cond = batch([i])
        alone = model.field(mask, cond, sampling)
        y = model.solve(alone, model.start(mask, sampling, [i]), sampling)
        assert float((x[i, :n] - y[0]).abs().max()) <= 1e-5 * float(y.abs().max())
        torch.testing.assert_close(alone.effective[0], field.effective[i])


def test_nulls_are_remembered_apart() -> None:
    """Condition and nulls differ by far more than the threshold: mixed up, all would be computed at every change."""
    model, (mask, cond) = head(BACKBONES["dit"]()), batch()
    nulls = [Null(cond.null(), 0.5, 2.0), Null(Cond(cond.frames, vector=torch.zeros_like(cond.vector)))]
    sampling = Sampling(steps=8, guidance=2.0, cache=1e9)
    field = model.field(mask, cond, sampling, null=nulls)
    model.solve(field, model.start(mask, sampling, [0, 1, 2]), sampling)
    computed = 3 / 5  # once for the condition and each null, of five blocks three in the middle
    torch.testing.assert_close(field.effective, torch.full((3,), 16 * (1 - 3 / 5) + 3 * computed))


def test_a_backbone_that_cannot_is_refused() -> None:
    for backbone in (UNet(16, (1, 1), 1, 2, VECTOR), DiT(16, 2, 2, VECTOR, position_kernel=0)):
        with pytest.raises(FmAudioError, match="no middle blocks to leave out"):
            mask, cond = batch()
            head(backbone).sample(mask, cond, Sampling(steps=2, cache=0.1), [0, 1, 2])


def test_rows_find_what_was_told_of_their_items() -> None:
    fact = torch.tensor([10, 20, 30])
    assert of_rows(fact, 6).tolist() == [10, 20, 30, 10, 20, 30]
    with only(torch.tensor([1, 2, 5])):
        assert of_rows(fact, 3).tolist() == [20, 30, 30]
        with only(torch.tensor([0, 2])):
            assert of_rows(fact, 2).tolist() == [20, 30]
    with jumping(torch.tensor([0.1, 0.2, 0.3])), only(torch.tensor([2])):
        torch.testing.assert_close(jump(torch.zeros(1)), torch.tensor([0.3]))
    down, up = torch.randn(3, 2, 4), torch.randn(3, 5, 2)
    down[0] = 0
    layer, x = LoraLinear(nn.Linear(4, 5), down, up), torch.randn(3, 6, 4)
    with speaking(torch.tensor([2, 0, 1])):
        whole = layer(x)
        with only(torch.tensor([2, 0])):
            torch.testing.assert_close(layer(x[[2, 0]]), whole[[2, 0]])
