"""MusicCaps: 5,521 pieces of ten seconds with long captions by musicians. RAW holds musiccaps-public.csv as published (ytid,
start_s, end_s, aspect_list, caption …) and the audio that you have, anywhere below, as YTID.wav or [YTID]-[START-END].wav.

The captions are CC-BY-SA-4.0; the music belongs to whoever put it on YouTube, so its licence is unstated and no model that ships
may learn from it. Clips of which there is no file are counted. `part` is eval for the evaluation part of AudioSet, else train.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from data_prep.audiocaps import files_by_name
from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.types import FmAudioError

EXAMPLE = "python -m data_prep.musiccaps musiccaps data/musiccaps --select part=train"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    table = raw / "musiccaps-public.csv"
    if not table.is_file():
        raise FmAudioError(f"{raw}: holds no musiccaps-public.csv; give the folder that has it and the audio")
    files, clips = files_by_name(raw), []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["ytid"]
            path = files.get(f"[{name}]-[{row['start_s']}-{row['end_s']}]") or files.get(name)
            if path is None:
                refuse(name, "has no file")
                continue
            part = "eval" if row["is_audioset_eval"] == "True" else "train"
            extra = {"licence": "unstated", "part": part, "youtube": name}
            clips.append(Clip(name, path, " ".join(row["caption"].split()), "music", "en", extra=extra))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("musiccaps", str(__doc__), EXAMPLE, "unstated", read, argv, captions=True)


if __name__ == "__main__":
    run(main)
