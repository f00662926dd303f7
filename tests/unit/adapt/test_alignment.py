"""The base says when each symbol of somebody's recordings is said, and training goes by it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

import fm_audio
from fm_audio.adapt.alignment import align, align_again, of_nearest, of_seen, of_speaker
from fm_audio.adapt.batches import Endless, Once
from fm_audio.adapt.recordings import Source, gather
from fm_audio.data.clips import SpeechDataset
from fm_audio.voices.cloner import load_cloner


def test_another_language_is_aligned_again_by_what_was_learned(tiny_voice: Path, recordings: Path, tmp_path: Path) -> None:
    model = fm_audio.load(tiny_voice).model
    cuts = gather(Source(recordings, "bernard"), tmp_path, model.frontend).train
    mine, held_out = Endless(cuts, model, model.frontend, 5.0, seed=0), Once(cuts[:2], model, model.frontend, 5.0)
    before = [batch.durations_frames.clone() for batch in held_out]
    list(mine.loader)  # each clip is met once
    align_again([mine, held_out], of_speaker(model, next(iter(model.speakers))), torch.device("cpu"))
    assert not all(torch.equal(a, batch.durations_frames) for a, batch in zip(before, held_out, strict=True))
    for batch in [*mine.loader, *held_out]:
        assert batch.has_durations.all()
        assert torch.equal(batch.durations_frames.sum(1), batch.mask.sum(1))
        assert (batch.durations_frames[batch.symbols_mask] > 0).all()
        assert batch.durations_frames.requires_grad is False and not batch.durations_frames.is_inference()


@pytest.mark.parametrize("by", ["speaks", "clones"])
def test_recordings_get_durations_that_training_takes_as_they_are(by: str, tmp_path: Path) -> None:
    """By a voice under the speaker who fits best, by a model that clones in the voice of each recording."""
    voice = fm_audio.load()
    texts = ["The two men shook hands.", "Nobody came back.", "Pack the kit quickly.", "It began to rain at ten."]
    for i, text in enumerate(texts):
        voice.say(text, seed=i, voice="michael").save(tmp_path / f"{i}.wav")
        (tmp_path / f"{i}.txt").write_text(text)
    (tmp_path / "work").mkdir()
    found = gather(Source(tmp_path, "carl"), tmp_path / "work", voice.model.frontend)
    cuts = [*found.train, *found.held_out]
    cloner = load_cloner().model
    if by == "clones":
        taken = align(cuts, cloner, lambda _: of_seen(cloner))
    else:
        taken = align(cuts, voice.model, partial(of_nearest, voice.model))
    assert taken == [], "nothing was in another language"
    dataset = SpeechDataset(voice.model.spec, voice.model.frontend)
    for cut in cuts:
        clip = dataset.clip(cut)
        assert clip is not None and clip.durations_frames is not None
        assert clip.durations_frames.sum() == len(clip.mel) and (clip.durations_frames > 0).all()
        assert (clip.durations_frames == 1).float().mean() < 0.05
    assert not dataset.without_durations
