"""The cloner that ships says what it is asked to, and sounds more like whom it heard than like others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fm_audio
from fm_audio.audio import Audio, load_audio
from fm_audio.cli import main
from fm_audio.voices.cloner import SHIPPED_CLONER, load_cloner

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"
TEXT = "The wide road shimmered in the hot sun."


def test_a_stranger_needs_no_model_of_their_own(tmp_path: Path) -> None:
    arguments = ["clone", TEXT, "--reference", str(RECORDING), "--reference-text", SAID, "--steps", "2", "-o"]
    assert main([*arguments, str(tmp_path / "a.wav")]) == 0
    assert main([*arguments, str(tmp_path / "b.wav"), "--model", SHIPPED_CLONER]) == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert 1.5 < load_audio(tmp_path / "a.wav", 24_000).seconds < 5


@pytest.fixture(scope="module")
def cloned() -> Audio:
    return load_cloner().say(TEXT, load_audio(RECORDING, 24_000), SAID)


@pytest.mark.slow
def test_it_says_the_words(cloned: Audio) -> None:
    from fm_audio.evaluation.metrics import score_sentence
    from fm_audio.evaluation.recognisers import load_recogniser

    heard = load_recogniser("whisper-tiny.en").transcribe(cloned)
    assert score_sentence(TEXT, heard).words.total <= 2, heard


@pytest.mark.slow
def test_it_is_more_like_whom_it_heard_than_like_others(cloned: Audio) -> None:
    from fm_audio.evaluation.speaker import SpeakerJudge

    judge = SpeakerJudge()
    own = float(judge.embed(cloned) @ judge.embed(load_audio(RECORDING, 24_000)))
    others = [float(judge.embed(cloned) @ judge.embed(fm_audio.load().say(SAID, voice=v))) for v in ("heart", "emma", "michael")]
    assert own > np.max(others) + 0.05, (own, others)
