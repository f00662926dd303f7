"""Cuts that were made of cuts: a new wave in a file of its own, and the folder that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fm_audio.audio import Audio

if TYPE_CHECKING:
    from lhotse.cut import Cut


def copy_of(
    cut: Cut, name: str, samples: np.ndarray, folder: Path, text: str, custom: Mapping[str, Any], alignment: Any = None
) -> Any:
    """A cut of a wave at the rate of `cut`, kept as `folder`/`name`.flac; the language, the speaker and what is not in `custom`
    are those of its only supervision."""
    from lhotse import MonoCut, Recording

    path = folder / f"{name}.flac"
    Audio(samples, cut.recording.sampling_rate).save(path)
    recording = Recording.from_file(path, recording_id=name)
    [old] = cut.supervisions
    told = {**(old.custom or {}), **custom}
    said = type(old)(name, name, 0.0, recording.duration, 0, text, old.language, old.speaker, None, told, alignment)
    return MonoCut(name, 0.0, recording.duration, 0, [said], recording=recording)


def write_copies(out: Path, cuts: Sequence[Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """OUT/cuts.jsonl.gz and OUT/report.json with the number of clips and their hours, which come back."""
    from lhotse import CutSet

    CutSet.from_cuts(cuts).to_file(out / "cuts.jsonl.gz")
    told = {**report, "clips": len(cuts), "hours": round(sum(cut.duration for cut in cuts) / 3600, 4)}
    (out / "report.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told
