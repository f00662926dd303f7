"""How guidance works in infilling: what is left out of the condition, when, and whether the network is simply told the strength.

Each rule is given `told(visible, text)`, which makes the condition with or without the visible frames and with or without the
text, and plans how to sample: the condition, the sampling, and what it leans away from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch

from fm_audio.flow.guidance import Null, Nulls
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond, FmAudioError
from fm_audio.zipformer import sinusoids

Told = Callable[[bool, bool], Cond]


@dataclass(frozen=True)
class Plan:
    """Arguments of `FlowHead.sample`."""

    cond: Cond
    sampling: Sampling
    null: Nulls = None


@runtime_checkable
class InfillGuidance(Protocol):
    """`trained` makes of a condition what the loss uses; `plan` says how to sample."""

    def trained(self, cond: Cond) -> Cond: ...

    def plan(self, told: Told, sampling: Sampling) -> Plan: ...


class WithoutBoth:
    """Away from neither visible frames nor text, all the way (Voicebox, F5-TTS)."""

    def trained(self, cond: Cond) -> Cond:
        return cond

    def plan(self, told: Told, sampling: Sampling) -> Plan:
        return Plan(told(True, True), sampling, told(False, False))


class TextFirst:
    """Away from visible frames without text up to the time `until`, with w - 1 `strength` times as large; then from neither.

    ZipVoice's solver does so with 0.5 and 2 (Zhu et al. 2025, arXiv 2506.13053, and its published code).
    """

    def __init__(self, until: float = 0.5, strength: float = 2.0) -> None:
        if not 0.0 < until < 1.0:
            raise FmAudioError(f"TextFirst: until is {until}; give a time between 0 and 1")
        self.until, self.strength = until, strength

    def trained(self, cond: Cond) -> Cond:
        return cond

    def plan(self, told: Told, sampling: Sampling) -> Plan:
        if sampling.guidance != 1.0 and sampling.adaptive:
            raise FmAudioError(
                f"sampling: the adaptive solver {sampling.solver!r} cannot follow guidance that changes at {self.until}; "
                "take another, such as 'euler' or 'rk4'"
            )
        nulls = [Null(told(True, False), self.until, self.strength), Null(told(False, False))]
        return Plan(told(True, True), sampling, nulls)


class Distilled:
    """The network has learned to guide itself and is told w - 1, as `width` sinusoids in cond.vector; one forward a step.

    ZipVoice-Distill (Zhu et al. 2025, arXiv 2506.13053). The loss is that of w = 1.
    """

    def __init__(self, width: int = 192) -> None:
        self.width = width

    def trained(self, cond: Cond) -> Cond:
        return self._strong(cond, 1.0)

    def plan(self, told: Told, sampling: Sampling) -> Plan:
        return Plan(self._strong(told(True, True), sampling.guidance), replace(sampling, guidance=1.0))

    def _strong(self, cond: Cond, w: float) -> Cond:
        assert cond.frames is not None
        return replace(cond, vector=sinusoids(torch.full_like(cond.frames[:, 0, 0], w - 1.0), self.width))
