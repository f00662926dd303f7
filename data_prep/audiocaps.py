"""AudioCaps: captions of ten seconds of AudioSet. RAW holds train.csv, val.csv and test.csv as published (audiocap_id,
youtube_id, start_time, caption), or some of them, and the audio that you have, anywhere below, as YOUTUBEID.wav or
YOUTUBEID_START.wav.

The captions are published under the MIT licence; the sound belongs to whoever put it on YouTube, so its licence is unstated and
no model that ships may learn from it. Clips of which there is no file are counted.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import AUDIO_ENDINGS, Refuse
from fm_audio.types import FmAudioError

EXAMPLE = "python -m data_prep.audiocaps audiocaps data/audiocaps --select part=train --max-seconds 11"


def files_by_name(raw: Path) -> dict[str, Path]:
    """Audio anywhere below, by its name without ending."""
    return {path.stem: path for path in sorted(raw.rglob("*")) if path.suffix.lower() in AUDIO_ENDINGS}


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    tables = [p for p in (raw / f"{part}.csv" for part in ("train", "val", "test")) if p.is_file()]
    if not tables:
        raise FmAudioError(f"{raw}: holds none of train.csv, val.csv and test.csv; give the folder that has them and the audio")
    files, clips = files_by_name(raw), []
    for table in tables:
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name, start = row["youtube_id"], row["start_time"]
                path = files.get(f"{name}_{start}") or files.get(name)
                if path is None:
                    refuse(f"{table.stem} {row['audiocap_id']}", f"has no file {name}.wav or {name}_{start}.wav")
                    continue
                extra = {"licence": "unstated", "part": table.stem, "youtube": name}
                clips.append(Clip(f"{table.stem}-{row['audiocap_id']}", path, row["caption"].strip(), "sound", "en", extra=extra))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("audiocaps", str(__doc__), EXAMPLE, "unstated", read, argv, captions=True)


if __name__ == "__main__":
    run(main)
