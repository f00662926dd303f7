"""A bank of captioned sounds, to look among: which clips are said to be like a prompt, and which sound like a recording.

    BANK/clips/000000.flac …    mono, all at one rate
    BANK/bank.safetensors       sounds (n f): `sound_features`, and captions (n e) where a text encoder compares them
    BANK/bank.json              {"format": 1, "sample_rate", "compared_by", "clips": [{"file", "caption", "licence", …}, …]}

The list is written last, so a folder that has one is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fm_audio.audio import Audio, resample, write_whole
from fm_audio.checkpoint import read_json
from fm_audio.data.frozen_captions import FrozenCaptions
from fm_audio.data.neighbours import Neighbours, mean_states
from fm_audio.data.sound_features import features
from fm_audio.types import FmAudioError

FORMAT = 1
LIST, VECTORS = "bank.json", "bank.safetensors"
AGAIN = "make the bank again with fm-audio bank make"
SAME = 0.05  # two clips whose features differ less than so much of a deviation, in the mean, are one sound


@dataclass(frozen=True)
class BankedSound:
    """What is known of a clip; `source` names where it was cut from."""

    file: str
    caption: str
    licence: str
    source: str
    seconds: float


@dataclass(frozen=True)
class Found:
    """A clip of the bank, and how near it is: the cosine of captions, or minus the distance of sounds."""

    clip: BankedSound
    near: float
    index: int


class SoundBank:
    """The bank of a folder. Raises FmAudioError for a folder that holds none, and one that is not whole."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        self.folder = Path(folder)
        found = _read_list(self.folder / LIST)
        self.sample_rate = int(found["sample_rate"])
        self.clips = [BankedSound(**clip) for clip in found["clips"]]
        self.compared_by = None if found["compared_by"] is None else FrozenCaptions(found["compared_by"])
        try:
            vectors = load_file(self.folder / VECTORS)
            self._sounds, self._captions = vectors["sounds"], vectors.get("captions")
        except (OSError, SafetensorError, KeyError) as e:
            raise FmAudioError(f"{self.folder / VECTORS}: cannot be read ({e}); {AGAIN}") from e
        for name, rows in (("sounds", self._sounds), ("captions", self._captions)):
            if rows is not None and len(rows) != len(self.clips):
                many = f"{name} are of {len(rows)} clips, the list has {len(self.clips)}"
                raise FmAudioError(f"{self.folder / VECTORS}: {many}; {AGAIN}")

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def _by_caption(self) -> Neighbours:
        captions, sources = [c.caption for c in self.clips], [c.source for c in self.clips]
        return Neighbours(captions, sources, self.compared_by, self._captions)

    def nearest(self, prompt: str, count: int, without: Collection[str] = (), unlike: Audio | None = None) -> list[Found]:
        """Up to `count` clips whose captions are nearest to the prompt, but none of the sources `without`, and none that is the
        sound `unlike` itself. Raises FmAudioError where no caption has anything in common with the prompt."""
        barred = set(without)
        if unlike is not None:
            barred |= {self.clips[f.index].source for f in self.like(unlike, len(self)) if -f.near < SAME}
        (row,) = self._by_caption.nearest([prompt], count, [barred])
        if not row:
            some = "; ".join(sorted({c.caption for c in self.clips})[:5])
            raise FmAudioError(f"prompt {prompt!r}: no clip of {self.folder} has a word of it; there are {some} …")
        return [Found(self.clips[i], round(near, 4), i) for i, near in row]

    def like(self, sound: Audio, count: int) -> list[Found]:
        """Up to `count` clips that sound most like this one, by mean difference of standardised features."""
        if count < 1:
            raise FmAudioError(f"bank: asked for {count} clips; ask for 1 or more")
        scale = self._sounds.std(0) + 1e-3
        far = np.abs((self._sounds - features(sound).astype(np.float32)) / scale).mean(1)
        return [Found(self.clips[i], -round(float(far[i]), 4), int(i)) for i in np.argsort(far, kind="stable")[:count]]

    def sound(self, index: int, sample_rate: int) -> Audio:
        """A clip at `sample_rate`. Raises FmAudioError for a file that cannot be read or is not at the rate of the bank."""
        import soundfile

        path = self.folder / self.clips[index].file
        try:
            samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
        except (OSError, RuntimeError) as e:
            raise FmAudioError(f"{path}: cannot be read as audio ({e}); {AGAIN}") from e
        if rate != self.sample_rate:
            raise FmAudioError(f"{path}: is at {rate} Hz, all clips of this bank are at {self.sample_rate}; {AGAIN}")
        return Audio(resample(samples.mean(1), rate, sample_rate), sample_rate)


def make_bank(
    folder: str | os.PathLike[str],
    clips: Iterable[tuple[Audio, BankedSound]],
    sample_rate: int,
    compared_by: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> SoundBank:
    """Write a bank of clips, each with what is known of it (its `file` and `seconds` are set here).

    Raises FmAudioError for a folder that has a bank already, and for no clips.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    if (folder / LIST).exists():
        raise FmAudioError(f"{folder}: has a bank already; choose another folder, or remove it first")
    encoder = None if compared_by is None else FrozenCaptions(compared_by)
    try:
        (folder / "clips").mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise FmAudioError(f"{folder}: cannot be written to ({e.strerror}); choose another folder") from e
    kept, rows = [], []
    for i, (sound, known) in enumerate(clips):
        whole = Audio(resample(sound.samples, sound.sample_rate, sample_rate), sample_rate)
        file = f"clips/{i:06d}.flac"
        write_whole(folder / file, whole.samples, sample_rate)
        kept.append(BankedSound(**{**asdict(known), "file": file, "seconds": round(whole.seconds, 4)}))
        rows.append(features(whole).astype(np.float32))
        if progress is not None:
            progress(i + 1)
    if not kept:
        raise FmAudioError(f"{folder}: no clips were given; a bank has one or more")
    vectors = {"sounds": np.stack(rows)}
    if encoder is not None:
        vectors["captions"] = mean_states(encoder, [c.caption for c in kept])
    save_file(vectors, folder / VECTORS)
    told = {"format": FORMAT, "sample_rate": sample_rate, "compared_by": compared_by, "clips": [asdict(c) for c in kept]}
    temporary = folder / f".{LIST}"
    temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(folder / LIST)
    return SoundBank(folder)


def _read_list(path: Path) -> dict[str, Any]:
    if not path.is_file():
        make = f"fm-audio bank make CUTS -o {path.parent}"
        raise FmAudioError(f"{path.parent}: is no sound bank (it has no {LIST}); make one: {make}")
    found = read_json(path, "sound bank", AGAIN)
    keys = {"format", "sample_rate", "compared_by", "clips"}
    if not isinstance(found, dict) or set(found) != keys or found["format"] != FORMAT:
        raise FmAudioError(f"{path}: is no sound bank of format {FORMAT}; {AGAIN}")
    wanted = {f.name for f in fields(BankedSound)}
    bad = next((i for i, c in enumerate(found["clips"]) if not isinstance(c, dict) or set(c) != wanted), None)
    if bad is not None or not found["clips"]:
        what = "has no clips" if bad is None else f"clip {bad} does not have {', '.join(sorted(wanted))}"
        raise FmAudioError(f"{path}: {what}; {AGAIN}")
    return found


def of_cuts(paths: Sequence[str | Path], licences: Sequence[str] = ()) -> list[Any]:
    """Cuts of manifests that have a caption, under licences that match one of the patterns (none: all)."""
    from fnmatch import fnmatchcase

    from fm_audio.data.cuts import load_cuts

    cuts = [cut for path in paths for cut in load_cuts(path)]
    mute = [c.id for c in cuts if len(c.supervisions) != 1 or not c.supervisions[0].text]
    if mute:
        raise FmAudioError(f"bank: {len(mute)} of {len(cuts)} cuts have no caption or several ({', '.join(mute[:5])})")
    kept = [c for c in cuts if not licences or any(fnmatchcase(licence_of(c), p) for p in licences)]
    if not kept:
        there = sorted({licence_of(c) for c in cuts})
        raise FmAudioError(f"bank: none of {len(cuts)} cuts is under {', '.join(licences)}; they are under {', '.join(there)}")
    return kept


def licence_of(cut: Any) -> str:
    return str((cut.supervisions[0].custom or {}).get("licence", "unstated"))
