"""Clips are listened to together; those that seem to say something else, alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fm_audio.audio import Audio
from fm_audio.evaluation.agreement import GAP_SECONDS, disagreements

pytest.importorskip("jiwer")
RATE = 1000
TEXTS = ["the first of them", "and then a second one", "a third that nobody said", "last comes the fourth"]
SAID = [*TEXTS[:2], "quite another sentence", TEXTS[3]]


class Listener:
    """Knows by their lengths which clips are in a sound."""

    settings: dict[str, Any] = {"name": "listener"}

    def __init__(self) -> None:
        self.heard: list[int] = []

    def transcribe(self, audio: Audio) -> str:
        marks = [i for i in range(len(SAID)) if np.any(np.isclose(audio.samples, i + 1))]
        self.heard.append(len(marks))
        return " ".join(SAID[i] for i in marks)


def items(seconds: float) -> list[tuple[str, Any]]:
    return [(t, lambda i=i: Audio(np.full(round(seconds * RATE), i + 1, np.float32), RATE)) for i, t in enumerate(TEXTS)]


def test_one_sound_for_all_and_another_for_who_is_in_doubt() -> None:
    listener = Listener()
    found = list(disagreements(items(4.0), listener, "en"))
    assert found == [None, None, "says something else than its text", None]
    assert listener.heard == [4, 1]


def test_no_more_at_once_than_a_window_holds() -> None:
    listener = Listener()
    assert [why is None for why in disagreements(items(14.0), listener, "en")] == [True, True, False, True]
    assert listener.heard[0] == 2 and 2 * (14 + GAP_SECONDS) <= 29


def test_long_clips_are_heard_once_and_nobody_hears_without_a_recogniser() -> None:
    listener = Listener()
    list(disagreements(items(20.0), listener, "en"))
    assert listener.heard == [1, 1, 1, 1]
    assert list(disagreements(items(4.0), None, "en")) == [None] * 4
