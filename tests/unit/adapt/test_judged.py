"""With judges a run stops by itself, keeps the best it saw, and its card says what was heard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fm_audio.adapt.ears import Ears
from fm_audio.audio import Audio
from fm_audio.cli import main
from fm_audio.evaluation.speaker import SpeakerJudge

pytest.importorskip("jiwer")


class HearsTwoWords:
    """A recogniser that hears the same words in everything."""

    settings = {"name": "two-words"}

    def transcribe(self, audio: Audio) -> str:
        return "one two"


class HearsOnePerson(SpeakerJudge):
    settings = {"name": "one-person"}

    def __init__(self) -> None:
        pass

    def embed(self, audio: Audio) -> np.ndarray:
        return np.full(256, 1 / 16, np.float32)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fm_audio.commands.adapt.open_ears", lambda *_: Ears(HearsTwoWords(), HearsOnePerson()))
    monkeypatch.setattr("fm_audio.evaluation.agreement.WORST_CHARACTERS", 9.0)


def test_a_run_stops_when_nothing_gets_better(
    judged: None, tiny_voice: Path, recordings: Path, tmp_path: Path, capsys: Any
) -> None:
    """Constant judges never hear anything better, so the first look is the best and patience ends the run."""
    command = ["adapt", "--voice", str(tiny_voice), "--data", str(recordings), "-o", str(tmp_path / "carl"), "--json"]
    options = ["--look-every", "2", "--patience", "2", "--sentences", "2", "--rank", "2", "--precision", "32-true"]
    assert main([*command, *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["chosen"] == {"step": 2, "weights": "averaged", "strength": 1.0} and report["training"]["steps"] == 6
    assert [look["step"] for look in report["looks"]] == [2, 2, 4, 4, 6, 6, 2, 2, 2]
    assert [look["strength"] for look in report["looks"]] == [1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    who = [row["who"] for row in report["figures"]]
    assert who == ["the recordings", "base voice anna, before", "carl, weights averaged", "carl, weights as trained"]
    assert all(row["similarity"]["value"] == pytest.approx(1) and "word_error_rate" in row for row in report["figures"])
    card = (tmp_path / "carl" / "card.md").read_text()
    assert "two-words and one-person" in card and "chosen by the judges" in card and "1.000 [" in card


def test_what_training_all_weights_does_to_the_base_is_measured(
    judged: None, tiny_voice: Path, recordings: Path, tmp_path: Path, capsys: Any
) -> None:
    command = ["adapt", "--voice", str(tiny_voice), "--data", str(recordings), "-o", str(tmp_path / "carl"), "--json", "--full"]
    assert main([*command, "--steps", "1", "--sentences", "2", "--precision", "32-true"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["who"] for row in report["figures"]][-1] == "base voice anna, after"
    assert report["training"]["rank"] == 0 and "last row" in report["forgotten"]
