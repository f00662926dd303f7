"""What a clip's sound says about itself: length, loudness, silence, clipping, where the speech begins and ends."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fm_audio.types import FmAudioError

FRAME_SECONDS = 0.005
CLIPPED = 0.999  # of full scale
CLIPPED_RUN = 3  # samples in a row, so that one loud peak is not called clipping
SILENT_PEAK = 1e-3  # -60 dB: nothing can be heard


@dataclass(frozen=True)
class Measured:
    """Counts in samples at the file's own rate; speech runs from `speech_start` to `speech_end`."""

    rate: int
    samples: int
    channels: int
    peak: float
    clipped_samples: int
    silent_share: float
    speech_start: int
    speech_end: int
    digest: str

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def measure(path: Path, silence_db: float = 45.0) -> Measured:
    """Read the whole file and measure it; what is `silence_db` below the loudest frame counts as silence.

    Raises FmAudioError when the file cannot be read, is empty, cut short, or holds values that are no numbers.
    """
    return measure_samples(*read_whole(path), silence_db)


def measure_samples(samples: np.ndarray, rate: int, silence_db: float = 45.0) -> Measured:
    """samples (s, channels) float32 in [-1, 1], at least one."""
    mono = samples.mean(1)
    energy = energy_db(mono, rate)
    first, last = speech_frames(energy, silence_db)
    hop = frame_samples(rate)
    return Measured(
        rate=rate,
        samples=len(mono),
        channels=samples.shape[1],
        peak=float(np.abs(samples).max()),
        clipped_samples=clipped_samples(samples),
        silent_share=float((energy < -silence_db).mean()),
        speech_start=first * hop,
        speech_end=min(len(mono), (last + 1) * hop),
        digest=hashlib.sha1(np.ascontiguousarray(samples).tobytes()).hexdigest(),
    )


def read_whole(path: Path) -> tuple[np.ndarray, int]:
    """(samples, channels) float32 in [-1, 1] and the rate; refuses files that hold less than their header promises."""
    import soundfile

    if path.stat().st_size == 0:
        raise FmAudioError("the file is empty (0 bytes)")
    try:
        with soundfile.SoundFile(str(path)) as f:
            promised, rate = f.frames, f.samplerate
            samples = f.read(dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as e:
        raise FmAudioError(f"cannot be read as audio ({str(e).strip().rstrip('.')})") from e
    if len(samples) == 0:
        raise FmAudioError("holds no samples")
    if len(samples) < promised:
        raise FmAudioError(f"is cut short: {len(samples)} of {promised} samples")
    if not np.isfinite(samples).all():
        raise FmAudioError("holds values that are not numbers")
    return samples, rate


def frame_samples(rate: int) -> int:
    return max(1, round(FRAME_SECONDS * rate))


def energy_db(mono: np.ndarray, rate: int) -> np.ndarray:
    """(s,) -> (frames,) power of each FRAME_SECONDS in dB below the loudest; the last frame may be shorter."""
    hop = frame_samples(rate)
    padded = np.pad(mono, (0, -len(mono) % hop)).reshape(-1, hop)
    power = 10 * np.log10(np.square(padded, dtype=np.float64).mean(1) + 1e-12)
    return power - power.max()


def speech_frames(energy: np.ndarray, silence_db: float) -> tuple[int, int]:
    """The first and the last frame louder than silence. The loudest is 0 dB, so there is always one."""
    loud = np.flatnonzero(energy >= -silence_db)
    return int(loud[0]), int(loud[-1])


def clipped_samples(samples: np.ndarray) -> int:
    """How many samples stand at full scale in runs of CLIPPED_RUN or more. samples (s, channels)."""
    at_top = np.abs(samples) >= CLIPPED
    if not at_top.any():
        return 0
    total = 0
    for channel in at_top.T:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], channel.astype(np.int8), [0]])))
        runs = edges[1::2] - edges[::2]
        total += int(runs[runs >= CLIPPED_RUN].sum())
    return total
