"""Waves and log-mels. `AudioSpec` is the mel contract: the only place that turns seconds, samples and frames into each other.

    log_mel = (log(max(filters · |STFT(wave)|^power, floor)) − mean) / std

Frame i is centred on sample i·hop (reflection at the edges) when `centred`, as in Vocos and F5-TTS; HiFi-GAN's mels are not
centred and pad (n_fft − hop)/2 on both sides. Both give floor(samples / hop) frames here.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fm_audio.types import FmAudioError, Frames, Wave


@dataclass(frozen=True)
class AudioSpec:
    """Everything two models must share before one may decode what the other generates.

    Defaults are F5-TTS's 24 kHz contract with an affine map to roughly zero mean and unit variance. With a `codec`
    (`fm_audio.codecs`) its latents stand where mel frames would: `bands` are its channels, `hop_samples` its hop, and what is
    about the STFT says nothing.
    """

    sample_rate: int = 24_000
    n_fft: int = 1024
    hop_samples: int = 256
    window_samples: int = 1024
    bands: int = 100
    fmin_hz: float = 0.0
    fmax_hz: float | None = None  # None: half the sample rate
    filter_scale: Literal["htk", "slaney"] = "htk"
    filter_norm: Literal["slaney"] | None = None
    power: float = 1.0
    centred: bool = True
    log_floor: float = 1e-5
    magnitude_epsilon: float = 0.0  # HiFi-GAN: sqrt(|X|² + 1e-9)
    mean: float = 0.0
    std: float = 1.0
    codec: str | None = None

    @property
    def frame_hz(self) -> float:
        return self.sample_rate / self.hop_samples

    @property
    def floor(self) -> float:
        """The value of silence: the log floor after the affine map; 0 for latents, whose padding means nothing."""
        if self.codec is not None:
            return 0.0
        return (math.log(self.log_floor) - self.mean) / self.std

    def frames_of_samples(self, samples: int) -> int:
        return samples // self.hop_samples

    def samples_of_frames(self, frames: int) -> int:
        return frames * self.hop_samples

    def frames_of_seconds(self, seconds: float) -> int:
        """The nearest whole number of frames."""
        return round(seconds * self.sample_rate / self.hop_samples)

    def seconds_of_frames(self, frames: int) -> float:
        return frames * self.hop_samples / self.sample_rate

    def samples_of_seconds(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def band_edges_hz(self) -> np.ndarray:
        """(bands + 2,): band i rises from edge i to its peak at edge i + 1 and falls to edge i + 2."""
        to_mel, to_hz = (_htk_mel, _htk_hz) if self.filter_scale == "htk" else (_slaney_mel, _slaney_hz)
        lowest, highest = to_mel(np.array([self.fmin_hz, self.fmax_hz or self.sample_rate / 2])).tolist()
        return to_hz(np.linspace(lowest, highest, self.bands + 2))

    def filters(self) -> Tensor:
        """(bands, n_fft/2+1): how the STFT's magnitudes make bands."""
        return _filters(self, torch.device("cpu"))

    def log_mel(self, wave: Wave) -> Frames:
        """wave (b s) in [-1, 1] -> normalised log-mel (b n bands), n = floor(s / hop)."""
        self._require_mel()
        n = self.frames_of_samples(wave.shape[-1])
        magnitude = _magnitude(self, wave)[..., :n]
        mel = torch.matmul(_filters(self, wave.device), magnitude)
        return ((mel.clamp(min=self.log_floor).log() - self.mean) / self.std).mT

    def magnitude_of_log_mel(self, mel: Frames) -> Tensor:
        """Least-squares inverse of the filters: log-mel (b n bands) -> non-negative STFT magnitude (b n_fft/2+1 n)."""
        self._require_mel()
        linear = (mel * self.std + self.mean).exp().mT.double()
        return torch.matmul(_inverse_filters(self, mel.device), linear).clamp(min=0).pow(1 / self.power).float()

    def _require_mel(self) -> None:
        if self.codec is not None:
            raise FmAudioError(f"spec: stands for latents of {self.codec}, not for a mel; fm_audio.codecs makes and decodes them")

    def contract(self) -> dict[str, object]:
        """The fields as a plain dictionary, for checkpoints and cards."""
        return asdict(self)

    @staticmethod
    def from_contract(values: dict[str, object]) -> AudioSpec:
        known = {f.name for f in fields(AudioSpec)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise FmAudioError(f"mel contract: unknown fields {unknown}; known are {sorted(known)}")
        return AudioSpec(**values)  # type: ignore[arg-type]

    def require_same(self, other: AudioSpec, mine: str, theirs: str) -> None:
        """Refuse to join two models whose mels differ, with both contracts in the message."""
        if self == other:
            return
        a, b = self.contract(), other.contract()
        lines = [f"  {k}: {a[k]!r} in {mine}, {b[k]!r} in {theirs}" for k in a if a[k] != b[k]]
        raise FmAudioError(
            f"{mine} and {theirs} do not speak of the same mel; they differ in\n"
            + "\n".join(lines)
            + f"\n{mine}: {a}\n{theirs}: {b}\nuse a vocoder trained on {mine}'s mel contract"
        )


@lru_cache(maxsize=16)
def _filters(spec: AudioSpec, device: torch.device) -> Tensor:
    """Triangular mel filters (bands, n_fft/2+1): torchaudio's `melscale_fbanks`, librosa's `filters.mel` (tested against it)."""
    bins_hz = np.linspace(0, spec.sample_rate / 2, spec.n_fft // 2 + 1)
    edges_hz = spec.band_edges_hz()
    width_hz = np.diff(edges_hz)
    slopes = edges_hz[:, None] - bins_hz[None, :]
    rising, falling = -slopes[:-2] / width_hz[:-1, None], slopes[2:] / width_hz[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    if spec.filter_norm == "slaney":
        filters *= (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return torch.tensor(filters, dtype=torch.float32, device=device)


@lru_cache(maxsize=16)
def _inverse_filters(spec: AudioSpec, device: torch.device) -> Tensor:
    """(n_fft/2+1, bands) float64."""
    return torch.linalg.pinv(_filters(spec, device).double())


def _htk_mel(hz: np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + hz / 700)


def _htk_hz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)


def _slaney_mel(hz: np.ndarray) -> np.ndarray:
    """Linear below 1 kHz (3 mels per 200 Hz), logarithmic above (27 mels per factor 6.4), as in Slaney's Auditory Toolbox."""
    return np.where(hz < 1000, 3 * hz / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4))


def _slaney_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(np.log(6.4) * (mel - 15) / 27))


def _magnitude(spec: AudioSpec, wave: Wave) -> Tensor:
    window = torch.hann_window(spec.window_samples, device=wave.device)
    pad = spec.n_fft // 2 if spec.centred else (spec.n_fft - spec.hop_samples) // 2
    wave = _reflect(wave.float(), pad)
    stft = torch.stft(wave, spec.n_fft, spec.hop_samples, spec.window_samples, window, center=False, return_complex=True)
    magnitude = stft.abs() if not spec.magnitude_epsilon else (stft.abs() ** 2 + spec.magnitude_epsilon).sqrt()
    return magnitude if spec.power == 1 else magnitude**spec.power


def _reflect(wave: Wave, pad: int) -> Tensor:
    """Reflection at both edges; what a very short wave cannot reflect is silence."""
    short = max(0, pad + 1 - wave.shape[-1])
    wave = torch.nn.functional.pad(wave, (0, short))
    return torch.nn.functional.pad(wave[:, None], (pad, pad), mode="reflect")[:, 0]


@dataclass(frozen=True)
class Audio:
    """One mono recording: samples float32 (s,) in [-1, 1]."""

    samples: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file whole or not at all; the ending picks the format (.wav, .flac, .ogg, .mp3)."""
        return write_whole(path, np.clip(self.samples, -1.0, 1.0), self.sample_rate)


def require_numbers(samples: np.ndarray, made_by: str) -> np.ndarray:
    """What a vocoder made, as it is. Raises FmAudioError where a sample is none, as when sampling ran away."""
    if np.isfinite(samples).all():
        return samples
    raise FmAudioError(f"{made_by}: samples came out as no numbers, since sampling ran away; take more steps or another solver")


def frame_levels_db(audio: Audio, frame_seconds: float) -> np.ndarray:
    """Decibels of full scale of each frame (n,); a last part of a frame is left out, unless it is all there is."""
    n = max(1, round(frame_seconds * audio.sample_rate))
    frames = max(1, len(audio.samples) // n)
    rows = np.resize(audio.samples[: frames * n], (frames, min(n, len(audio.samples)))).astype(np.float64)
    return 10 * np.log10(np.mean(rows**2, 1) + 1e-12)


def write_whole(path: str | os.PathLike[str], samples: np.ndarray, sample_rate: int, subtype: str | None = None) -> Path:
    """Samples (s,) or (s, c), as floats in [-1, 1] or as the integers of `subtype`, to a file that is whole or not there."""
    import soundfile

    path = require_writable(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        soundfile.write(temporary, samples, sample_rate, subtype=subtype, format=_format(path))
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except (OSError, soundfile.SoundFileError) as e:
        raise FmAudioError(f"{path}: cannot write there ({e}); choose another output") from e
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return path


def require_writable(path: str | os.PathLike[str]) -> Path:
    """The path, if a sound file can be written there; asked before long work."""
    import soundfile

    path = Path(path)
    if _format(path) not in soundfile.available_formats():
        raise FmAudioError(f"{path}: cannot write {path.suffix or 'a file without an ending'}; use .wav, .flac, .ogg or .mp3")
    if not path.parent.is_dir():
        raise FmAudioError(f"{path}: the folder {path.parent} does not exist; make it first")
    if path.is_dir():
        raise FmAudioError(f"{path}: is a folder; give the name of a file")
    if not os.access(path.parent, os.W_OK):
        raise FmAudioError(f"{path}: the folder {path.parent} may not be written to; choose another output")
    return path


def _format(path: Path) -> str:
    return path.suffix.lower().lstrip(".").upper()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_audio(path: str | os.PathLike[str], sample_rate: int) -> Audio:
    """Read a file as mono at `sample_rate`: channels averaged, resampled by soxr when the rates differ."""
    import soundfile

    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as e:
        raise FmAudioError(f"{path}: cannot be read as audio ({e}); give a .wav, .flac, .ogg, .opus or .mp3 file") from e
    return Audio(resample(samples.mean(1), rate, sample_rate), sample_rate)


def resample(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """(s,) at `rate` -> (s',) at `sample_rate`."""
    if rate == sample_rate:
        return samples
    import soxr

    return soxr.resample(samples, rate, sample_rate).astype(np.float32)
