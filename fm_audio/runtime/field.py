"""One forward of a flow head as a file: (x_t, t, mask, condition) → what the port reads. The rest stays `FlowHead`'s."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from fm_audio.backbones.two_times import TwoTimes
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import Path
from fm_audio.flow.token_port import TokenPort
from fm_audio.layers import jump, jumping
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

PREVIOUS, GAP = "previous", "gap"  # the last estimate, for ports that are told it; how far the step goes, for flow maps


def field_parts(head: FlowHead, port: str, doors: Sequence[Input], at: str = "head") -> list[Part]:
    """The head's forward, and where predictions are no velocities, what makes one of them.

    doors: the parts of `Cond` that the task fills, each of an input of that name.
    """
    channels: int = head.ports[port].channels  # type: ignore[assignment]
    inputs = [Input("x", ("b", "n", channels)), Input("t", ("b",), "times"), Input("mask", ("b", "n"), "mask"), *doors]
    if getattr(head.ports[port], "self_conditioning", 0.0):
        inputs.append(Input(PREVIOUS, ("b", "n", channels)))
    if any(isinstance(part, TwoTimes) for part in head.modules()):
        inputs.append(Input(GAP, ("b",), "times"))
    told = tuple(given.name for given in inputs[3:])
    field = Part(
        "field", at, head, tuple(inputs), ("prediction",), partial(_predict, port=port, told=told),
        partial(_placed, port=port, told=told),
    )  # fmt: skip
    return [field, *_reading(head, port, at)]


def _predict(head: FlowHead, x: Tensor, t: Tensor, mask: Tensor, *given: Tensor, port: str, told: Sequence[str]) -> Tensor:
    named: dict[str, Any] = dict(zip(told, given, strict=True))
    previous, gap = named.pop(PREVIOUS, None), named.pop(GAP, 0.0)
    with jumping(gap):
        return head.predict(x, t, mask, Cond(**named), port, previous)


def _placed(graph: Graph, head: FlowHead, port: str, told: Sequence[str]) -> GraphHead:
    return GraphHead(graph, head, port, told)


def _reading(head: FlowHead, port: str, at: str) -> list[Part]:
    """Of tokens: what was read to the velocity, the estimate of the data and, where they were not read, the logits. All need the
    table."""
    own = head.ports[port]
    if not isinstance(own, TokenPort):
        return []
    width = len(own.bias) if own.prediction == "logits" else own.channels
    x = Input("x", ("b", "n", own.channels))
    inputs = (Input("prediction", ("b", "n", width)), x, Input("t", ("b",), "times"))
    outputs = ("velocity", "data") if own.prediction == "logits" else ("velocity", "data", "logits")

    def read(own: TokenPort, prediction: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        return tuple(getattr(own, name)(prediction, x, t, head.path) for name in outputs)

    return [Part("velocity", f"{at}.ports.{port}.reading", own, inputs, outputs, read, int8=False)]


class GraphHead(FlowHead):
    """A head whose network is `graph`; `told` names its inputs behind x, t and mask."""

    def __init__(self, graph: Graph, head: FlowHead, port: str, told: Sequence[str]) -> None:
        ports = {port: GraphPort(head.ports[port])}
        super().__init__(graph, ports, head.path, head.coupling, head.time_law, head.condition_drop)
        self.told, self.least_step = tuple(told), head.least_step

    def hasten(self, precision: str = "fp32", compile: bool = False) -> None:
        """Refuses all but what there is: precision and compiling belong to the export."""
        if precision != "fp32" or compile:
            raise FmAudioError("--precision and --compile are torch's; an ONNX export is made faster by `fm-audio export --int8`")

    def predict(
        self, x: Frames, t: Times, mask: Mask, cond: Cond, port: str = "mel", previous: Frames | None = None
    ) -> Tensor:
        beside = {PREVIOUS: previous, GAP: jump(t) if GAP in self.told else None}
        return self.backbone(x, t, mask, *[beside[name] if name in beside else getattr(cond, name) for name in self.told])


class GraphPort(nn.Module):
    """What sampling asks of a port. `reading` is a graph where predictions are no velocities."""

    def __init__(self, port: Any) -> None:
        super().__init__()
        self.channels: int = port.channels
        self.t_last: float = port.t_last
        self.self_conditioning: float = getattr(port, "self_conditioning", 0.0)
        self.prediction: str | None = getattr(port, "prediction", None)
        self.reading: Any = nn.Identity()

    def logits(self, prediction: Tensor, x_t: Frames, t: Times, path: Path) -> Tensor:
        return prediction if self.prediction == "logits" else self.reading.answers(prediction, x_t, t)[2]

    def velocity(self, prediction: Tensor, x_t: Frames, t: Times, path: Path) -> Frames:
        return self.reading.answers(prediction, x_t, t)[0] if isinstance(self.reading, Graph) else prediction

    def data(self, prediction: Tensor, x_t: Frames, t: Times, path: Path) -> Frames:
        return self.reading.answers(prediction, x_t, t)[1]
