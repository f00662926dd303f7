"""Lhotse cuts on disk: manifests whose audio may lie beside them, Shar folders, and the wave of one cut."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fm_audio.audio import load_audio, resample
from fm_audio.types import FmAudioError

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def load_cuts(path: str | Path) -> CutSet:
    """A cut manifest (eager, audio paths resolved from the manifest's own folder) or a Shar folder (streamed).

    Raises FmAudioError when there is neither.
    """
    path = Path(path)
    cut_set = _lhotse()
    if is_shar(path):
        return cut_set.from_shar(in_dir=path, split_for_dataloading=False, shuffle_shards=False)
    if not path.is_file():
        raise FmAudioError(f"cuts: {path} does not exist; make it with python -m data_prep.custom RAW OUT (or another corpus)")
    try:
        cuts = cut_set.from_file(path).to_eager()
    except Exception as e:  # whatever a broken gzip or JSON line raises
        raise FmAudioError(f"cuts: {path} cannot be read as a cut manifest ({e}); make it again with data_prep") from e
    return cut_set.from_cuts(_resolve(cut, path.parent) for cut in cuts)


def is_shar(path: str | Path) -> bool:
    """A folder with cuts.*.jsonl.gz shards."""
    return Path(path).is_dir() and any(Path(path).glob("cuts.*.jsonl*"))


def _lhotse() -> type[CutSet]:
    try:
        from lhotse import CutSet
    except ImportError as e:
        raise FmAudioError("reading corpora needs lhotse; install it with: pip install 'fm-audio[train]'") from e
    return CutSet


def _resolve(cut: Cut, folder: Path) -> Cut:
    for source in cut.recording.sources:
        if source.type == "file" and not Path(source.source).is_absolute():
            source.source = str(folder / source.source)
    return cut


def wave_of_cut(cut: Cut, sample_rate: int) -> np.ndarray:
    """The cut's samples, mono, at `sample_rate`: round(duration · rate) of them.

    A file is read whole and then sliced, because seeking in a compressed file is not exact to the sample. Raises FmAudioError
    when it cannot be read or is shorter than the manifest says.
    """
    recording = cut.recording
    if recording.sources[0].type == "file":
        whole = load_audio(recording.sources[0].source, recording.sampling_rate).samples
    else:
        whole = _from_memory(cut)
    start = round(cut.start * recording.sampling_rate)
    samples = round(cut.duration * recording.sampling_rate)
    wave = whole[start : start + samples]
    if len(wave) < samples:
        raise FmAudioError(f"{cut.id}: {len(whole)} samples in the file, {start + samples} in the manifest; prepare it again")
    return np.ascontiguousarray(resample(wave, recording.sampling_rate, sample_rate))


def source_of(cut: Cut) -> str:
    """The file a cut was cut from, or the name of its recording where that is no file."""
    first = cut.recording.sources[0]
    return str(first.source) if first.type == "file" else str(cut.recording_id)


def _from_memory(cut: Cut) -> np.ndarray:
    try:
        return cut.recording.load_audio().mean(0)
    except Exception as e:  # lhotse raises whatever its decoders raise
        raise FmAudioError(f"{cut.id}: its audio cannot be decoded ({e})") from e
