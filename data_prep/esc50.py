"""ESC-50: 2,000 clips of 5 s in 50 kinds, 44.1 kHz. RAW holds audio/ and meta/esc50.csv.

The set is CC-BY-NC-3.0; its part ESC-10 is CC-BY-3.0 and marked so, clip by clip. A cut's speaker is its kind, `fold` is the
published one of five: leave one out with --select fold=1 and its kin.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from data_prep.captions import said
from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip, words_of
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.types import FmAudioError

EXAMPLE = "python -m data_prep.esc50 ESC-50-master data/esc50 --allow-licence 'CC-BY-3.0'"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    table = raw / "meta" / "esc50.csv"
    if not table.is_file():
        raise FmAudioError(f"{raw}: holds no meta/esc50.csv; give the unpacked folder ESC-50-master")
    clips = []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = raw / "audio" / row["filename"]
            if not path.is_file():
                refuse(row["filename"], "is not in audio/")
                continue
            kind = row["category"]
            licence = "CC-BY-3.0" if row["esc10"] == "True" else "CC-BY-NC-3.0"
            extra = {"licence": licence, "fold": row["fold"], "kind": kind}
            clips.append(Clip(path.stem, path, said(words_of(kind), path.stem), kind, "en", extra=extra))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("esc50", str(__doc__), EXAMPLE, "CC-BY-NC-3.0", read, argv)


if __name__ == "__main__":
    run(main)
