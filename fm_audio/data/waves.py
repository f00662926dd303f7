"""Random crops of recordings, for training vocoders and codecs that need no text.

A source is a Lhotse cut manifest (`cuts.jsonl.gz`, as `data_prep` writes it) or a folder with `manifest*.jsonl` lines of
`{"audio": file, "speaker": …}`. All sources are decoded once to 16-bit samples: into memory, or into a file under `cache`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fm_audio.audio import AudioSpec, load_audio
from fm_audio.types import FmAudioError

log = logging.getLogger(__name__)


class WaveDataModule(lightning.LightningDataModule):
    """Training batches (b (crop_frames + 2·margin)·hop) of random crops; validation batches (1 s) of whole held-out clips.

    The margin is half an analysis window, so that the inner mel frames know nothing of the crop's edges. Every
    `holdout_every`-th clip of each source is held out. An epoch is `steps_per_epoch` batches; batch i of epoch e is always the
    same, so a run resumed from the end of an epoch sees what it would have seen. `gain_db` is the range of a uniform random gain.
    """

    def __init__(
        self,
        spec: AudioSpec,
        sources: Sequence[str],
        batch_size: int = 16,
        crop_frames: int = 48,
        steps_per_epoch: int = 200,
        holdout_every: int = 50,
        validation_clips: int = 20,
        exclude_speakers: Sequence[str] = (),
        gain_db: tuple[float, float] = (-6.0, 3.0),
        cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.spec, self.sources, self.batch_size = spec, list(sources), batch_size
        self.crop_frames, self.steps_per_epoch = crop_frames, steps_per_epoch
        self.holdout_every, self.validation_clips = holdout_every, validation_clips
        self.exclude_speakers = frozenset(exclude_speakers)
        self.gain_db, self.cache, self.seed = gain_db, cache, seed
        self.train_waves: WaveBank | None = None
        self.held_out: WaveBank | None = None

    def setup(self, stage: str | None = None) -> None:
        if self.train_waves is not None:
            return
        train: list[Path] = []
        held: list[Path] = []
        for source in self.sources:
            for i, path in enumerate(audio_paths(source, self.exclude_speakers)):
                (held if i % self.holdout_every == self.holdout_every - 1 else train).append(path)
        step = max(1, len(held) // self.validation_clips)
        self.train_waves = WaveBank.decode(train, self.spec.sample_rate, self.cache)
        self.held_out = WaveBank.decode(held[::step][: self.validation_clips], self.spec.sample_rate, self.cache)

    def train_dataloader(self) -> DataLoader[Tensor]:
        assert self.train_waves is not None
        samples = self.spec.samples_of_frames(self.crop_frames + 2 * margin_frames(self.spec))
        crops = RandomCrops(self.train_waves, samples, self.gain_db, self.seed)
        sampler = EpochSampler(self.steps_per_epoch * self.batch_size)
        return DataLoader(crops, self.batch_size, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Tensor]:
        assert self.held_out is not None
        return DataLoader(self.held_out, batch_size=1)


def margin_frames(spec: AudioSpec) -> int:
    """Frames at an edge whose analysis window reaches outside the wave."""
    return -(-spec.n_fft // 2 // spec.hop_samples)


def audio_paths(source: str, exclude_speakers: frozenset[str] = frozenset()) -> list[Path]:
    """The audio files that a manifest names, in its order.

    Raises FmAudioError if `source` is neither a cut manifest nor a folder with manifests, or names no files.
    """
    place = Path(source)
    manifests = sorted(place.glob("manifest*.jsonl")) if place.is_dir() else []
    cuts = place / "cuts.jsonl.gz" if place.is_dir() else place
    if manifests:
        lines = [json.loads(line) for path in manifests for line in path.read_text(encoding="utf-8").splitlines()]
        paths = [place / line["audio"] for line in lines if line.get("speaker") not in exclude_speakers]
    elif cuts.is_file() and ".jsonl" in cuts.name:
        paths = list(_cut_paths(cuts, exclude_speakers))
    else:
        raise FmAudioError(f"{source}: no cuts.jsonl.gz and no manifest*.jsonl there; give a folder that holds one")
    if not paths:
        raise FmAudioError(f"{source}: the manifest names no clips once speakers {sorted(exclude_speakers)} are left out")
    return paths


def _cut_paths(cuts: Path, exclude_speakers: frozenset[str]) -> Iterator[Path]:
    from lhotse import CutSet

    seen = set()
    for cut in CutSet.from_file(cuts):
        if {s.speaker for s in cut.supervisions} & exclude_speakers:
            continue
        file = Path(cut.recording.sources[0].source)
        path = file if file.is_absolute() or file.is_file() else cuts.parent / file
        if path not in seen:
            seen.add(path)
            yield path


class WaveBank(Dataset[Tensor]):
    """Clips one after the other as 16-bit samples; item i is clip i as float32 (s,) in [-1, 1]."""

    def __init__(self, samples: np.ndarray, ends: np.ndarray) -> None:
        self.samples, self.ends = samples, ends

    @staticmethod
    def decode(paths: Sequence[Path], sample_rate: int, cache: str | None) -> WaveBank:
        """Read every file at `sample_rate`. Unreadable clips are left out, counted and reported."""
        if cache is None:
            return WaveBank(*_read(paths, sample_rate))
        name = hashlib.sha256("\n".join([str(sample_rate), *map(str, paths)]).encode()).hexdigest()[:16]
        waves, ends = Path(cache) / f"{name}.waves.npy", Path(cache) / f"{name}.ends.npy"
        if not (waves.is_file() and ends.is_file()):
            Path(cache).mkdir(parents=True, exist_ok=True)
            for target, values in zip((waves, ends), _read(paths, sample_rate), strict=True):
                part = target.with_suffix(".part.npy")
                np.save(part, values)
                part.replace(target)
        return WaveBank(np.load(waves, mmap_mode="r"), np.load(ends))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Tensor:
        start = int(self.ends[index - 1]) if index else 0
        return self.crop(start, int(self.ends[index]) - start)

    def crop(self, start: int, samples: int) -> Tensor:
        return torch.from_numpy(self.samples[start : start + samples].astype(np.float32) / 32768)


def _read(paths: Sequence[Path], sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    clips: list[np.ndarray] = []
    for path in paths:
        try:
            samples = load_audio(path, sample_rate).samples
        except FmAudioError as e:
            log.warning("left out: %s", e)
            continue
        clips.append((samples.clip(-1, 1) * 32767).astype(np.int16))
    if len(clips) < len(paths):
        log.warning("%d of %d clips could not be read and are left out", len(paths) - len(clips), len(paths))
    if not clips:
        raise FmAudioError(f"none of {len(paths)} clips could be read; first: {paths[0] if paths else 'no paths given'}")
    return np.concatenate(clips), np.cumsum([len(c) for c in clips])


class RandomCrops(Dataset[Tensor]):
    """Crop i is a pure function of (seed, i): clips drawn by length, place and decibels uniform, no clipping."""

    def __init__(self, bank: WaveBank, samples: int, gain_db: tuple[float, float], seed: int) -> None:
        self.bank, self.samples, self.gain_db, self.seed = bank, samples, gain_db, seed

    def __getitem__(self, index: int) -> Tensor:
        random = np.random.default_rng((self.seed, index))
        clip = int(np.searchsorted(self.bank.ends, random.integers(self.bank.ends[-1]), side="right"))
        wave = self.bank[clip]
        spare = len(wave) - self.samples
        start = int(random.integers(spare + 1)) if spare > 0 else 0
        wave = wave[start : start + self.samples]
        wave = torch.nn.functional.pad(wave, (0, self.samples - len(wave)))
        gain = 10 ** (random.uniform(*self.gain_db) / 20)
        return wave * min(gain, 0.99 / max(float(wave.abs().max()), 1e-4))


class EpochSampler(Sampler[int]):
    """Numbers length·e … length·(e + 1) − 1 in epoch e; Lightning calls `set_epoch`."""

    def __init__(self, length: int) -> None:
        self.length, self.epoch = length, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.length * self.epoch, self.length * (self.epoch + 1)))
