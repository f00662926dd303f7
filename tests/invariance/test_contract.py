"""The contract: whatever stands in backbones, encoders, decoders and tasks gives an item the same alone and in any company."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib import import_module, util
from inspect import isabstract
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fm_audio
from tests.invariance.cases import CASES, LENGTHS, frames_items, through_backbone
from tests.invariance.company import KINDS, TOLERANCE, compositions, differences, gradient_difference

ROOMS = ("backbones", "encoders", "decoders", "tasks")
MIXING = ("forward", "decode", "generate")
NEEDS_TRANSFORMERS = {"speecht5", "univnet", "encodec"}


@cache
def built(name: str) -> nn.Module:
    """The network of a case, moved off its start, where zeros would hide what lies before them."""
    if name in NEEDS_TRANSFORMERS and util.find_spec("transformers") is None:
        pytest.skip("the transformers extra is not installed")
    torch.manual_seed(1)
    return shaken(CASES[name].make(), CASES[name].amount)


def shaken(net: nn.Module, amount: float) -> nn.Module:
    with torch.no_grad():
        for p in net.parameters():
            p.add_(amount * torch.randn_like(p))
    return net.eval()


def items_of(name: str) -> list[Any]:
    """The same items whatever ran before. Some draws have a group of a few numbers that are nearly equal, of whose last bits in
    float32 a norm makes 1e-5 and more (in float64 nothing: `test_so_are_its_gradients`); this seed has none."""
    torch.manual_seed(5)
    return list(CASES[name].items())


@pytest.mark.parametrize("name", CASES)
def test_an_item_is_the_same_in_fifty_companies(name: str) -> None:
    case, net = CASES[name], built(name)
    items = items_of(name)
    with torch.no_grad():
        drawn = compositions([case.length(item) for item in items])
        worst = max(differences(lambda rows, pad: case.run(net, rows, pad), items, drawn), key=lambda found: found[1])
    assert worst[1] <= TOLERANCE, f"{name}: moved by {worst[1]:.1e} in {worst[0]}"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.gradients])
def test_so_are_its_gradients(name: str) -> None:
    """In the case's own precision: in float32, norms over the few numbers of a short item make last bits large. In float64
    nothing hides behind last bits."""
    case, net = CASES[name], deepcopy(built(name)).to(CASES[name].gradients)
    items = [{k: as_precise(v, case.gradients) for k, v in item.items()} for item in items_of(name)]
    drawn = compositions([case.length(item) for item in items])[: len(KINDS)]
    assert {c.kind for c in drawn} == set(KINDS)
    moved = gradient_difference(lambda rows, pad: case.run(net, rows, pad), items, drawn, net)
    assert moved <= (TOLERANCE if case.gradients == torch.float32 else 1e-10)


def classes() -> Iterator[type]:
    """What in the four rooms takes a batch and can be made: networks, and whatever else has a forward, decode or generate."""
    for room in ROOMS:
        package = import_module(f"fm_audio.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = import_module(found.name)
            for value in vars(module).values():
                if not isinstance(value, type) or value.__module__ != found.name:
                    continue
                if not getattr(value, "_is_protocol", False) and not isabstract(value):
                    if issubclass(value, nn.Module) or any(hasattr(value, name) for name in MIXING):
                        yield value


def test_every_class_is_held_to_it() -> None:
    """Whoever adds a class adds a line to tests/invariance/cases.py, or a case that has it inside."""
    held = {type(part) for name in CASES for part in built(name).modules()}
    missing = [f"{c.__module__}.{c.__qualname__}" for c in classes() if c not in held]
    assert not missing, f"no case of tests/invariance/cases.py has {', '.join(missing)}"
    assert fm_audio.__name__ in {c.__module__.split(".")[0] for c in classes()}


def as_precise(value: Any, dtype: torch.dtype | None) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


class Leaky(nn.Module):
    """What the contract is for: a position's answer takes in its neighbours, the padding among them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.conv = how, nn.Conv1d(16, 16, 3, padding=1)

    def forward(self, h: Tensor, t: Tensor, mask: Tensor, cond: Any) -> Tensor:
        if self.how != "reads padding":
            h = h.masked_fill(~mask[..., None], 0.0)
        if self.how == "convolves twice":
            return self.conv(self.conv(h.mT) + 1).mT
        if self.how == "norms over time":
            return h / (1 + h.square().mean(1, keepdim=True))
        if self.how == "adds a mask of zeros and ones":
            return torch.softmax(h @ h.mT + mask[:, None].float(), -1) @ h
        if self.how == "reads the order":
            return h + torch.arange(len(h))[:, None, None]
        return self.conv(h.mT).mT


LEAKS = ["reads padding", "convolves twice", "norms over time", "adds a mask of zeros and ones", "reads the order"]


@pytest.mark.parametrize("how", LEAKS)
def test_what_breaks_it_is_found(how: str) -> None:
    items, net = frames_items(), Leaky(how)
    drawn = compositions(LENGTHS)
    assert max(moved for _, moved in differences(lambda rows, pad: through_backbone(net, rows, pad), items, drawn)) > 1e-3


def test_compositions_are_of_every_kind_and_the_same_for_a_seed() -> None:
    drawn = compositions(LENGTHS)
    assert len(drawn) == 50 and {c.kind for c in drawn} == set(KINDS)
    assert drawn == compositions(LENGTHS) != compositions(LENGTHS, seed=1)
    assert {i for c in drawn for rows, _ in c.batches for i in rows} == set(range(len(LENGTHS)))
    for c in drawn:
        assert c.kind != "reordered" or sorted(c.batches[0][0]) == list(range(len(LENGTHS)))
        lengths = [[LENGTHS[i] for i in rows] for rows, _ in c.batches]
        assert c.kind != "bucketed" or sum(lengths, []) == sorted(sum(lengths, []))
