"""What does not change along the way is computed once for a request, however many steps; a guided step is one forward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_requests import InfillRequest
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.speech_requests import SpeechRequest
from tests.unit.tasks import test_aligned_tts, test_infill, test_text_to_audio

Asked = tuple[nn.Module, list[Any], list[str]]
"""A task, requests, and the parts that must be asked once."""


def aligned() -> Asked:
    return test_aligned_tts.tiny(pitch=True), [SpeechRequest("Hello there.", "a")], ["text", "pitch"]


def infilled() -> Asked:
    request = InfillRequest("good day", torch.randn(20, 8), "hello", frames=30)
    return test_infill.tiny(), [request], ["text"]


def infilled_along() -> Asked:
    request = InfillRequest("good day", torch.randn(20, 8), "hello", frames=30)
    return test_infill.tiny(**test_infill.ALIGNED), [request], ["text.encoder", "voice"]


def sounds() -> Asked:
    made = test_text_to_audio.make(retrieval=True).eval()
    found = (torch.randn(12, 8),)
    return made, [SoundRequest("low", test_text_to_audio.SECONDS, negative="high", found=found)], ["encoder", "clips"]


@pytest.mark.parametrize("make", [aligned, infilled, infilled_along, sounds], ids=lambda make: make.__name__)
def test_encoders_are_asked_as_often_for_many_steps_as_for_one(make: Callable[[], Asked]) -> None:
    task, requests, names = make()
    asked, rows = Counter[str](), Counter[int]()
    for name in names:
        task.get_submodule(name).register_forward_hook(lambda *_, name=name: asked.update([name]))
    task.head.backbone.register_forward_hook(lambda _, given, __: rows.update([len(given[0])]))  # type: ignore[union-attr]

    def counted(steps: int) -> tuple[Counter[str], Counter[int]]:
        asked.clear()
        rows.clear()
        task.generate(requests, Sampling(steps=steps, guidance=2.0))  # type: ignore[operator]
        return Counter(asked), Counter(rows)

    once, one = counted(1)
    often, many = counted(6)
    assert set(once) == set(names) and once == often
    assert one == {2: 1} and many == {2: 6}, "conditional and null rows share each forward"
