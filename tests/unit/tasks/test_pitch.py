"""Pitch: tracked from sound, learned and moved by a task that has it."""

from __future__ import annotations

import math
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.data.pitch import UNHEARD_HZ, PitchTracker
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.types import FmAudioError
from tests.unit.tasks.test_aligned_tts import REQUESTS, batch_of, relative, tiny
from tests.unit.test_harmonics import buzz

SPEC = AudioSpec(mean=-1.7, std=2.6)


def test_a_glide_is_tracked_and_silence_is_not_voiced():
    hz = np.linspace(120, 220, 24_000)
    wave = np.concatenate([np.zeros(12_000, np.float32), buzz(hz), np.zeros(12_000, np.float32)])
    frames = SPEC.frames_of_samples(len(wave))
    log_pitch, voiced = pickle.loads(pickle.dumps(PitchTracker(SPEC)))(wave, frames)  # as a worker gets it
    true_hz = np.interp(np.arange(frames) * SPEC.hop_samples, np.arange(12_000, 36_000), hz)
    inner = slice(52, 136)
    assert voiced[inner].all() and not voiced[:40].any() and not voiced[-40:].any()
    np.testing.assert_allclose(log_pitch[inner].exp(), true_hz[inner], rtol=0.03)
    assert torch.isfinite(log_pitch).all()


def test_a_clip_without_voice_gets_a_pitch_but_no_weight():
    log_pitch, voiced = PitchTracker(SPEC)(np.zeros(24_000, np.float32), 93)
    assert not voiced.any() and torch.allclose(log_pitch.exp(), torch.tensor(UNHEARD_HZ))


def test_a_missing_tracker_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "swift_f0", None)
    with pytest.raises(FmAudioError, match=r"pip install 'fm-audio\[train\]'"):
        PitchTracker(SPEC)(np.zeros(24_000, np.float32), 93)


def with_pitch(batch):
    generator = torch.Generator().manual_seed(9)
    log_pitch = 5 + 0.2 * torch.randn(batch.mask.shape, generator=generator)
    return replace(batch, log_pitch=log_pitch, voiced=batch.mask & (log_pitch > 5))


def test_pitch_in_the_padding_reaches_no_loss_and_unvoiced_pitch_no_pitch_loss():
    task, batch = tiny(pitch=True), with_pitch(batch_of([(5, 31), (9, 40)]))
    spoilt = replace(batch, log_pitch=batch.log_pitch.masked_fill(~batch.mask, torch.nan))
    a, b = (task.loss(x, torch.Generator().manual_seed(0)) for x in (batch, spoilt))
    assert torch.equal(a["loss"], b["loss"])
    unvoiced = replace(batch, log_pitch=batch.log_pitch + (~batch.voiced).float())
    assert torch.equal(task.loss(unvoiced, torch.Generator().manual_seed(0))["pitch"], a["pitch"])
    assert a["loss"].item() == pytest.approx(sum(v.item() for k, v in a.items() if k != "loss"), rel=1e-5)


def test_a_batch_without_pitch_is_refused():
    with pytest.raises(FmAudioError, match="pitch: true"):
        tiny(pitch=True).loss(batch_of([(5, 31)]))


def test_a_moved_pitch_moves_the_mel_of_its_own_request_alone():
    task, sampling = tiny(pitch=True), Sampling(steps=2)
    plain = task.generate(REQUESTS[:2], sampling)
    moved = task.generate([REQUESTS[0], replace(REQUESTS[1], semitones=3.0)], sampling, batch_frames=10_000)
    assert relative(moved[0].mel, plain[0].mel) <= 1e-5
    assert relative(moved[1].mel, plain[1].mel) > 1e-3 and moved[1].words == plain[1].words


def test_impossible_pitches_are_refused():
    with pytest.raises(FmAudioError, match="-12 to 12"):
        SpeechRequest("Hi.", "a", semitones=13)
    with pytest.raises(FmAudioError, match="-12 to 12"):
        SpeechRequest("Hi.", "a", semitones=math.nan)
    with pytest.raises(FmAudioError, match="trained without it"):
        tiny().generate([SpeechRequest("Hi.", "a", semitones=1.0)])
