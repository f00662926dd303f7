"""A recording as its file stores it, every channel, rate and number: what is not changed stays bit for bit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fm_audio.audio import Audio, write_whole
from fm_audio.types import FmAudioError

LOSSLESS = (".wav", ".flac")
# subtype of soundfile -> the type that holds its numbers exactly; the rest (mp3, Vorbis, Opus) is decoded to 16 bits
_TYPES = {"PCM_24": "int32", "PCM_32": "int32", "FLOAT": "float32", "DOUBLE": "float64"}
_SAME = {"PCM_16", "PCM_U8", "PCM_S8", "ULAW", "ALAW", *_TYPES}


@dataclass(frozen=True)
class Recording:
    """samples (s, c) of `subtype` as soundfile names it, at `sample_rate`."""

    samples: np.ndarray
    sample_rate: int
    subtype: str

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Recording:
        """Raises FmAudioError on what is no sound file."""
        import soundfile

        try:
            stored = soundfile.info(str(path)).subtype
            samples, rate = soundfile.read(str(path), dtype=_TYPES.get(stored, "int16"), always_2d=True)
        except (OSError, RuntimeError) as e:
            raise FmAudioError(f"{path}: cannot be read as audio ({e}); give a .wav, .flac, .ogg, .opus or .mp3 file") from e
        return Recording(samples, rate, stored if stored in _SAME else "PCM_16")

    @property
    def scale(self) -> float:
        """The number that stands for 1.0."""
        return 1.0 if self.samples.dtype.kind == "f" else float(2 ** (8 * self.samples.dtype.itemsize - 1))

    def mono(self) -> Audio:
        """Channels averaged, in [-1, 1]."""
        return Audio((self.samples.mean(1) / self.scale).astype(np.float32), self.sample_rate)

    def stored(self, samples: np.ndarray) -> np.ndarray:
        """(s,) or (s, c) in [-1, 1] -> (s, c) as numbers of this recording, clipped."""
        wide = np.broadcast_to(samples.reshape(len(samples), -1), (len(samples), self.samples.shape[1]))
        if self.scale == 1.0:
            return wide.astype(self.samples.dtype)
        return np.clip(np.round(wide * self.scale), -self.scale, self.scale - 1).astype(self.samples.dtype)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Whole or not at all, as .wav or .flac; see `require_lossless`."""
        return write_whole(require_lossless(path, self), self.samples, self.sample_rate, self.subtype)


def require_lossless(path: str | os.PathLike[str], recording: Recording) -> Path:
    """The path, if its format keeps the recording's numbers."""
    import soundfile

    path = Path(path)
    ending = path.suffix.lower()
    if ending not in LOSSLESS:
        raise FmAudioError(f"{path}: would not keep the recording as it is; use {' or '.join(LOSSLESS)}")
    if not soundfile.check_format(ending[1:].upper(), recording.subtype):
        raise FmAudioError(f"{path}: {ending[1:]} cannot hold {recording.subtype} samples; use .wav")
    return path
