"""What a sound is like, in numbers that nothing was trained for: its spectrum, how that changes, its rhythms, its silences."""

from __future__ import annotations

import numpy as np
import torch

from fm_audio.audio import Audio, AudioSpec, resample

SPEC = AudioSpec(sample_rate=24_000, n_fft=1024, hop_samples=256, window_samples=1024, bands=64)
BROAD = 8  # bands whose rhythm is told
RHYTHMS_HZ = (0.5, 1.0, 2.0, 3.0, 4.5, 6.5, 10.0, 15.0, 22.0, 32.0)
FLOOR = -10.0  # natural log of magnitude, so far below the loud moments all is silence


def features(audio: Audio) -> np.ndarray:
    """(f,) float64 of a sound of any length: percentiles of each band, of its change, rhythms of broad bands, and how much is
    silent."""
    wave = torch.from_numpy(resample(audio.samples.astype(np.float32), audio.sample_rate, SPEC.sample_rate))
    mel = SPEC.log_mel(wave[None])[0].double().numpy()
    mel = (mel - np.percentile(mel.max(1), 95)).clip(min=FLOOR)  # loudness is no kind
    change = np.abs(np.diff(mel, axis=0, prepend=mel[:1]))
    shares = np.percentile(mel, (10, 50, 90), axis=0), np.percentile(change, (50, 90, 98), axis=0)
    broad = mel.reshape(len(mel), BROAD, -1).mean(2)
    broad = broad - broad.mean(0)
    turns = np.abs(np.fft.rfft(broad * np.hanning(len(broad))[:, None], n=max(len(broad), 512), axis=0)) / len(broad)
    hz = np.fft.rfftfreq(max(len(broad), 512), 1 / SPEC.frame_hz)
    rhythm = [
        turns[(hz >= low) & (hz < high)].max(0, initial=0.0) for low, high in zip(RHYTHMS_HZ, RHYTHMS_HZ[1:], strict=False)
    ]
    quiet = [(mel.max(1) < -threshold).mean() for threshold in (2.0, 4.0)]
    centre = (np.exp(mel) @ np.arange(SPEC.bands)) / np.exp(mel).sum(1)
    glide = np.percentile(np.diff(centre), (5, 95)) if len(centre) > 1 else np.zeros(2)
    return np.concatenate([*map(np.ravel, shares), np.log(np.stack(rhythm) + 1e-3).ravel(), quiet, glide, [centre.std()]])
