"""A part of a model: what becomes one .onnx file, what it is given and answers, and what stands in its place when it is a file.

The same description serves both ways. When a model is exported its `module` has the weights; when an export is loaded the model
is built without, and `stands_in` takes the place of each module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fm_audio.runtime.graph import Graph
from fm_audio.types import FmAudioError, length_mask

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Input:
    """A tensor that a part is given. Axes with a name are of any length, `b` the items; numbers are sizes.

    numbers: float32. ids: whole numbers from 1 to below `below`. mask: the first so many of the last axis. times: from 0 to 1.
    """

    name: str
    axes: tuple[str | int, ...]
    kind: Literal["numbers", "ids", "mask", "times"] = "numbers"
    below: int = 0

    def drawn(self, sizes: Sizes, generator: torch.Generator) -> Tensor:
        """An example of these sizes. Masks over the same axes are the same; the first of them keeps everything."""
        shape = [sizes[a] if isinstance(a, str) else a for a in self.axes]
        if self.kind == "numbers":
            return torch.randn(shape, generator=generator)
        if self.kind == "ids":
            return torch.randint(1, self.below, shape, generator=generator)
        if self.kind == "times":
            return torch.rand(shape, generator=generator)
        n = shape[-1]
        kept = [n - (i * n) // 3 % n for i in range(torch.Size(shape[:-1]).numel())]
        return length_mask(torch.tensor(kept), n).view(shape)


def _itself(graph: Graph, module: nn.Module) -> nn.Module:
    return graph


@dataclass(frozen=True)
class Part:
    """`name`.onnx is `answer(module, *inputs)`, a tensor for each of `outputs`.

    `at` is the dotted place in the model where `stands_in(graph, module)` goes, by default the graph itself; "" is the model.
    `example(sizes, generator)` gives inputs where drawn numbers would mean nothing. `int8` says whether its matrices may be
    stored in eight bits.
    """

    name: str
    at: str
    module: nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    answer: Callable[..., Any]
    stands_in: Callable[[Graph, Any], nn.Module] = _itself
    example: Callable[[Sizes, torch.Generator], Sequence[Tensor]] | None = None
    int8: bool = True

    def drawn(self, sizes: Sizes, seed: int = 0) -> tuple[Tensor, ...]:
        """Inputs of these sizes."""
        generator = torch.Generator().manual_seed(seed)
        if self.example is not None:
            return tuple(self.example(sizes, generator))
        return tuple(given.drawn(sizes, generator) for given in self.inputs)

    @torch.no_grad()
    def answers(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What torch answers."""
        return spread(self.answer(self.module, *inputs))


def spread(answer: Any) -> tuple[Tensor, ...]:
    return (answer,) if isinstance(answer, Tensor) else tuple(answer)


def parts_of(model: nn.Module) -> list[Part]:
    """The parts of a task or a decoder, by the file of this room that is named as the model's own.

    Raises FmAudioError for models that have none.
    """
    room, _, own = type(model).__module__.rpartition(".")
    if room == __package__ or find_spec(f"{__package__}.{own}") is None:
        raise FmAudioError(
            f"{type(model).__name__} cannot be exported to ONNX; docs/onnx.md names the classes that can"
        )
    return import_module(f"{__package__}.{own}").parts(model)


def require_whole(model: nn.Module, parts: Sequence[Part]) -> None:
    """Refuse a model with weights that no part takes along."""
    taken = {id(p) for part in parts for p in part.module.parameters()}
    lost = [name for name, p in model.named_parameters() if id(p) not in taken]
    if lost:
        raise FmAudioError(
            f"{type(model).__name__}: {', '.join(lost[:3])} would be left out of an ONNX export ({len(lost)} weights in all); "
            "models of this make cannot be exported yet"
        )
