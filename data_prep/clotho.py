"""Clotho 2.1: clips of 15 to 30 s with five captions each, 44.1 kHz. RAW holds clotho_captions_PART.csv, clotho_metadata_PART.csv
and PART/ with the audio, for development, validation and evaluation, or some of them.

Each caption becomes a cut of its own. Licences are those of the clips (Freesound), as the metadata names them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from data_prep.captions import licence_named
from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.types import FmAudioError

EXAMPLE = (
    "python -m data_prep.clotho clotho data/clotho --select part=development "
    "--allow-licence 'CC0-*' --allow-licence 'CC-BY-[0-9]*'"
)
PARTS = ("development", "validation", "evaluation")


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    found = [part for part in PARTS if (raw / f"clotho_captions_{part}.csv").is_file()]
    if not found:
        raise FmAudioError(f"{raw}: holds no clotho_captions_development.csv or its kin; give the folder that has them")
    return [clip for part in found for clip in _part(raw, part, refuse)]


def _part(raw: Path, part: str, refuse: Refuse) -> list[Clip]:
    table, known = raw / f"clotho_metadata_{part}.csv", {}
    if table.is_file():
        with table.open(encoding="latin-1", newline="") as file:
            known = {row["file_name"]: row.get("license", "") for row in csv.DictReader(file)}
    clips = []
    with (raw / f"clotho_captions_{part}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["file_name"]
            path = raw / part / name
            if not path.is_file():
                refuse(f"{part}/{name}", "is not there")
                continue
            extra = {"licence": licence_named(known.get(name, "")), "part": part}
            captions = [(i, row[f"caption_{i}"]) for i in range(1, 6) if (row.get(f"caption_{i}") or "").strip()]
            clips += [Clip(f"{part}-{path.stem}-{i}", path, text.strip(), "sound", "en", extra=extra) for i, text in captions]
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("clotho", str(__doc__), EXAMPLE, "unstated", read, argv, captions=True)


if __name__ == "__main__":
    run(main)
