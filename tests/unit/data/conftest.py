"""A tiny corpus of tone-words, made once, and a way to write a wave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_prep.synthetic import make
from fm_audio.data.text.arpabet import Arpabet


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 clips of two speakers with exact phone durations; cuts, validation and manifest."""
    out = tmp_path_factory.mktemp("corpora") / "tones"
    make(out, clips=24, speakers=2, frontend=Arpabet())
    return out


@pytest.fixture
def write_wave() -> Callable[..., np.ndarray]:
    """write(path, seconds, loud, before, after) -> samples: a tone with silence around it, at 24 kHz."""
    import soundfile

    def write(path: Path, seconds: float = 1.0, loud: float = 0.5, before: float = 0.0, after: float = 0.0) -> np.ndarray:
        time = np.arange(round(seconds * 24_000)) / 24_000
        tone = loud * np.sin(2 * np.pi * (220 + 10 * len(path.stem) + hash_of(path.stem)) * time)
        wave = np.concatenate([np.zeros(round(before * 24_000)), tone, np.zeros(round(after * 24_000))]).astype(np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, 24_000)
        return wave

    return write


def hash_of(name: str) -> int:
    """A number of its own for every name, the same on every run."""
    return sum((i + 1) * ord(c) for i, c in enumerate(name)) % 97
