"""Backbones: every part of the condition is heard, every parameter learns, and rates change without looking beyond the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fm_audio.backbones.dit import DiT
from fm_audio.backbones.multi_rate import MultiRate, Pool
from fm_audio.backbones.rates import coarser
from fm_audio.backbones.unet import Grow, Shrink, UNet
from fm_audio.backbones.unett import UNetT
from fm_audio.types import Cond, length_mask

WIDTH, TOKENS, VECTOR = 32, 12, 8
# Odd, even, one frame, shorter than a group of the lowest rate, and the longest of the batch.
LENGTHS = (13, 16, 1, 3, 23)


def dit(tokens_width: int, vector_width: int) -> nn.Module:
    return DiT(WIDTH, 2, 2, vector_width, tokens_width, kernel=3, position_kernel=7, position_groups=4)


def unet(tokens_width: int, vector_width: int) -> nn.Module:
    return UNet(WIDTH, (1, 1.5, 2), 1, 2, vector_width, tokens_width)


def multi_rate(tokens_width: int, vector_width: int) -> nn.Module:
    return MultiRate(WIDTH, (1, 2, 4, 3, 1), (1, 1, 2, 1, 1), 2, vector_width, tokens_width)


@dataclass
class Case:
    """A backbone and a batch for it, with room for padding."""

    net: nn.Module
    h: Tensor
    t: Tensor
    mask: Tensor
    cond: Cond

    def __call__(self) -> Tensor:
        return self.net(self.h, self.t, self.mask, self.cond)


def shaken(net: nn.Module) -> nn.Module:
    """Moved off its start, where gates are zero and would hide what happens behind them."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


@pytest.fixture(params=[(0, 0), (0, VECTOR), (TOKENS, 0), (TOKENS, VECTOR)], ids=["plain", "vector", "tokens", "tokens+vector"])
def widths(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture(params=[dit, unet, multi_rate], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[int, int], nn.Module]:
    return request.param


@pytest.fixture
def case(make: Callable[[int, int], nn.Module], widths: tuple[int, int]) -> Case:
    torch.manual_seed(0)
    tokens_width, vector_width = widths
    b, n = len(LENGTHS), max(LENGTHS) + 6
    cond = Cond(
        tokens=torch.randn(b, 7, tokens_width) if tokens_width else None,
        tokens_mask=length_mask(torch.tensor([7, 2, 5, 1, 4])) if tokens_width else None,
        vector=torch.randn(b, vector_width) if vector_width else None,
    )
    return Case(make(*widths), torch.randn(b, n, WIDTH), torch.rand(b), length_mask(torch.tensor(LENGTHS), n), cond)


def relative(a: Tensor, b: Tensor) -> float:
    return float(((a - b).abs().max() / b.abs().max()).detach())


def test_every_part_of_the_condition_is_heard(case: Case) -> None:
    shaken(case.net)
    out = case()
    case.t = case.t.roll(1)
    assert relative(case()[case.mask], out[case.mask]) > 1e-3
    case.t = case.t.roll(-1)
    for name in ("tokens", "vector"):
        if getattr(case.cond, name) is not None:
            given = case.cond
            case.cond = given.null()
            assert relative(case()[case.mask], out[case.mask]) > 1e-3
            case.cond = given


def test_every_parameter_has_a_gradient(case: Case) -> None:
    shaken(case.net)
    (case()[case.mask] ** 3).sum().backward()
    assert [name for name, p in case.net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("widths", [(0, 0), (TOKENS, VECTOR)], ids=["plain", "tokens+vector"], indirect=True)
def test_one_batch_is_learned_and_every_parameter_moves(case: Case) -> None:
    target = torch.randn_like(case.h)
    start = {name: p.detach().clone() for name, p in case.net.named_parameters()}
    optimizer = torch.optim.Adam(case.net.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        loss = (case() - target)[case.mask].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert [name for name, p in case.net.named_parameters() if torch.equal(p, start[name])] == []


def unett(tokens_width: int, vector_width: int) -> nn.Module:
    return UNetT(WIDTH, 2, 2, position_kernel=7, position_groups=4)


@pytest.mark.parametrize("build", [dit, unet, multi_rate, unett])
@pytest.mark.parametrize("n", [max(LENGTHS), 24])
def test_attention_stays_fused(build: Callable[[int, int], nn.Module], n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded or not; and where nothing is padded it has no mask, which Flash on an accelerator would not take."""
    masks: list[Tensor | None] = []

    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        masks.append(mask)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # fails where it is not to be had
            return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    monkeypatch.setattr("fm_audio.layers.attend", attend)
    net, h, t = shaken(build(0, 0)).eval(), torch.randn(2, n, WIDTH), torch.rand(2)
    lengths = torch.tensor([n, 5])
    padded = net(h, t, length_mask(lengths), Cond())
    assert masks and all(m is not None and m.numel() == 2 * m.shape[-1] for m in masks)
    masks.clear()
    whole = net(h, t, length_mask(torch.tensor([n, n])), Cond())
    torch.testing.assert_close(whole[0], padded[0], atol=1e-4, rtol=1e-4)
    assert masks and (all(m is None for m in masks) or (build is unet and n % 4))


def test_residual_blocks_start_as_the_identity() -> None:
    """At the start the multi-rate transformer only norms its input, at whatever rate its stacks look at it."""
    h = torch.randn(2, 11, WIDTH)
    mask = length_mask(torch.tensor([11, 6]))
    out = multi_rate(0, 0)(h, torch.rand(2), mask, Cond())
    normed = nn.functional.layer_norm(h, (WIDTH,), eps=1e-6)
    torch.testing.assert_close(out[mask], normed[mask])
    net = UNet(WIDTH, (1, 1, 1), 1, 2)
    for stage in [*net.down, *net.middle, *net.up]:
        assert torch.equal(stage(h, torch.randn(2, WIDTH), mask, Cond()), h)


def test_pooling_is_a_mean_of_kept_positions_only() -> None:
    pool = Pool(WIDTH, 4)
    h, mask = torch.randn(1, 12, WIDTH), length_mask(torch.tensor([6]), 12)
    pooled = pool(h, mask)
    torch.testing.assert_close(pooled[0, 0], h[0, :4].mean(0))
    torch.testing.assert_close(pooled[0, 1], h[0, 4:6].mean(0))
    shaken(pool)
    assert torch.equal(pool(h, mask)[0, :2], pool(torch.where(mask[..., None], h, 1e6), mask)[0, :2])


def test_changing_rate_lets_nothing_in_from_beyond_the_end() -> None:
    h, mask = torch.randn(1, 12, WIDTH), length_mask(torch.tensor([7]), 12)
    other = torch.where(mask[..., None], h, torch.nan)
    for change in (Shrink(WIDTH, WIDTH), Grow(WIDTH, WIDTH)):
        out = change(other, mask)
        assert out.isfinite().all() and torch.equal(out, change(h, mask))
    assert coarser(mask, 2).tolist() == [[True] * 4 + [False] * 2]


@pytest.mark.parametrize("backbone", [UNet, MultiRate])
def test_the_defaults_are_about_ten_million_parameters(backbone: Callable[[], nn.Module]) -> None:
    assert 8e6 < sum(p.numel() for p in backbone().parameters()) < 12e6
