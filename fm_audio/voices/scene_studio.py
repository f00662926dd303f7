"""Makes what a scene asks for: each line by its task, brought to its level, laid on the timeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fm_audio.audio import Audio, load_audio, resample
from fm_audio.checkpoint import CONFIG, read_config
from fm_audio.data.sound_bank import SoundBank
from fm_audio.types import FmAudioError
from fm_audio.voices.find import KINDS, load
from fm_audio.voices.scene import LONGEST_SECONDS, Line, Scene, starts_of
from fm_audio.voices.sounds import DEFAULT_SECONDS, NEAREST, load_sounds

BLOCK_SECONDS = 0.4  # of BS.1770; a shorter clip is one block
PEAK = 0.98


@dataclass(frozen=True)
class Placed:
    """A line as it lies in the scene."""

    kind: str
    what: Any
    start_seconds: float
    end_seconds: float
    lufs: float | None


def loudness(samples: np.ndarray, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4, pyloudnorm); -inf for silence."""
    try:
        import pyloudnorm
    except ImportError as e:
        raise FmAudioError(f"levels need the package {e.name}; run: pip install 'fm_audio[scene]'") from e
    block = min(BLOCK_SECONDS, len(samples) / sample_rate)
    if not np.any(samples):
        return float("-inf")
    return float(pyloudnorm.Meter(sample_rate, block_size=block).integrated_loudness(samples.astype(np.float64)))


def at_level(samples: np.ndarray, sample_rate: int, lufs: float, where: str) -> np.ndarray:
    """The samples, louder or softer. Raises FmAudioError for silence, which no gain brings anywhere."""
    now = loudness(samples, sample_rate)
    if not np.isfinite(now):
        raise FmAudioError(f"{where}: is silent, so it cannot be brought to {lufs:g} LUFS; leave its level out")
    return samples * np.float32(10 ** ((lufs - now) / 20))


def faded(samples: np.ndarray, sample_rate: int, fade_in: float, fade_out: float) -> np.ndarray:
    """The samples, rising over the first seconds and falling over the last, each at most as long as they are."""
    n = len(samples)
    ramp = np.arange(n, dtype=np.float32) / sample_rate
    gain = np.ones(n, np.float32)
    if fade_in > 0:
        gain *= np.minimum(1.0, ramp / min(fade_in, n / sample_rate))
    if fade_out > 0:
        gain *= np.minimum(1.0, ramp[::-1] / min(fade_out, n / sample_rate))
    return samples * gain


class Studio:
    """Makes scenes; models are loaded once. `folder` of a scene is where its files and models are looked for first."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._voice = cache(lambda name: load(name, device))
        self._sounds = cache(lambda name: load_sounds(name, device))
        self._bank = cache(SoundBank)

    def make(self, scene: Scene, progress: Callable[[float], None] | None = None) -> tuple[Audio, list[Placed]]:
        """The whole scene, and where each of its lines lies. Raises FmAudioError, with its line, for what cannot be made."""
        for line in scene.lines:
            self._require(scene, line)
        waves = []
        for i, line in enumerate(scene.lines):
            waves.append(self._wave(scene, line))
            if progress is not None:
                progress((i + 1) / len(scene.lines))
        rate = scene.sample_rate
        starts = starts_of(scene.lines, [len(wave) / rate for wave in waves])
        ends = [start + len(wave) / rate for start, wave in zip(starts, waves, strict=True)]
        if max(ends) > LONGEST_SECONDS:
            raise FmAudioError(f"scene: would last {max(ends):.0f} s; allowed is {LONGEST_SECONDS:g}")
        whole = np.zeros(max(round(start * rate) + len(wave) for start, wave in zip(starts, waves, strict=True)), np.float32)
        for start, wave in zip(starts, waves, strict=True):
            at = round(start * rate)
            whole[at : at + len(wave)] += wave
        if scene.loudness is not None:
            whole = at_level(whole, rate, scene.loudness, "scene")
        whole = whole * min(1.0, PEAK / (float(np.abs(whole).max(initial=0.0)) + 1e-9))
        placed = [
            Placed(line.kind, line.what, round(start, 4), round(end, 4), line.lufs)
            for line, start, end in zip(scene.lines, starts, ends, strict=True)
        ]
        return Audio(whole.astype(np.float32), rate), placed

    def _require(self, scene: Scene, line: Line) -> None:
        """What a line needs is there, before the first is made."""
        try:
            if line.kind == "play":
                path = _beside(scene, line.what)
                if not path.is_file():
                    raise FmAudioError(f"{path}: no such file")
            elif line.kind == "say":
                self._speaker(scene, line)
            elif line.kind == "sound":
                self._maker(scene, line)
                if "bank" in line.how:
                    self._bank(str(_beside(scene, line.how["bank"])))
        except FmAudioError as e:
            raise FmAudioError(f"{line.where}: {e}") from e

    def _speaker(self, scene: Scene, line: Line) -> Any:
        """The voice of a line: its own, the scene's, that of the scene's model, or the default."""
        name = line.how.get("voice", scene.voice)
        if scene.model is not None and read_config(_beside(scene, scene.model)).get("kind") in KINDS:
            folder = _beside(scene, scene.model)
            return self._voice(str(folder / name if name else folder))
        if name is not None and (_beside(scene, name) / CONFIG).is_file():
            return self._voice(str(_beside(scene, name)))
        return self._voice(name)

    def _maker(self, scene: Scene, line: Line) -> Any:
        name = line.how.get("model", scene.model)
        if name is None:
            return self._sounds(None)
        return self._sounds(str(_beside(scene, name)))

    def _wave(self, scene: Scene, line: Line) -> np.ndarray:
        rate = scene.sample_rate
        if line.kind == "pause":
            return np.zeros(round(line.what * rate), np.float32)
        try:
            made = {"say": self._said, "sound": self._sounded, "play": self._played}[line.kind](scene, line)
        except FmAudioError as e:
            raise FmAudioError(f"{line.where}: {e}") from e
        wave = resample(made.samples.astype(np.float32), made.sample_rate, rate)
        if line.lufs is not None:
            wave = at_level(wave, rate, line.lufs, line.where)
        return faded(wave, rate, line.fade_in, line.fade_out)

    def _said(self, scene: Scene, line: Line) -> Audio:
        how = {k: v for k, v in line.how.items() if k != "voice"}
        return self._speaker(scene, line).say(line.what, **how)

    def _sounded(self, scene: Scene, line: Line) -> Audio:
        maker, how = self._maker(scene, line), dict(line.how)
        found: list[Audio] = []
        if "bank" in how:
            bank = self._bank(str(_beside(scene, how["bank"])))
            found = maker.from_bank(bank, line.what, how.get("retrieve", NEAREST))[1]
        sampling = maker.sampling.changed(steps=how.get("steps"), guidance=how.get("guidance"))
        seconds, seed, negative = how.get("seconds", DEFAULT_SECONDS), how.get("seed", 0), how.get("negative", "")
        return maker.make([line.what], seconds, seed, negative, sampling=sampling, found=found)[0]

    def _played(self, scene: Scene, line: Line) -> Audio:
        whole = load_audio(_beside(scene, line.what), scene.sample_rate)
        first = round(line.how.get("from", 0.0) * scene.sample_rate)
        last = first + round(line.how["seconds"] * scene.sample_rate) if "seconds" in line.how else len(whole.samples)
        part = whole.samples[first:last]
        if not len(part):
            lasts = f"{line.what} lasts {whole.seconds:.2f} s"
            raise FmAudioError(f"from: given {line.how.get('from', 0.0):g}; {lasts}, so nothing of it is left")
        return Audio(part, scene.sample_rate)


def _beside(scene: Scene, name: str) -> Path:
    """A file or folder that the scene names: beside it, or else from where one stands."""
    near = scene.folder / name
    return near if near.exists() else Path(name)
