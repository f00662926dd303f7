"""The base says when each symbol of somebody's recordings is said, and training goes by it."""

from __future__ import annotations

from pathlib import Path

import fm_audio
from fm_audio.adapt.alignment import align
from fm_audio.adapt.recordings import Source, gather
from fm_audio.data.clips import SpeechDataset


def test_recordings_get_durations_that_training_takes_as_they_are(tmp_path: Path) -> None:
    voice = fm_audio.load()
    texts = ["The two men shook hands.", "Nobody came back.", "Pack the kit quickly.", "It began to rain at ten."]
    for i, text in enumerate(texts):
        voice.say(text, seed=i, voice="michael").save(tmp_path / f"{i}.wav")
        (tmp_path / f"{i}.txt").write_text(text)
    (tmp_path / "work").mkdir()
    found = gather(Source(tmp_path, "carl"), tmp_path / "work", voice.model.frontend)
    cuts = [*found.train, *found.held_out]
    assert align(cuts, voice.model) == [], "nothing was in another language"
    dataset = SpeechDataset(voice.model.spec, voice.model.frontend)
    for cut in cuts:
        clip = dataset.clip(cut)
        assert clip is not None and clip.durations_frames is not None
        assert clip.durations_frames.sum() == len(clip.mel) and (clip.durations_frames > 0).all()
        assert (clip.durations_frames == 1).float().mean() < 0.05
    assert not dataset.without_durations
