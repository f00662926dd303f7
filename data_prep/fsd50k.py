"""FSD50K: 51,197 clips of Freesound with labels of AudioSet's ontology, 44.1 kHz. RAW holds FSD50K.dev_audio/,
FSD50K.eval_audio/, FSD50K.ground_truth/ and FSD50K.metadata/ as published.

A caption lists a clip's most particular labels ("bark, dog", not "animal"). Each clip has a licence of its own, which the
metadata name; a cut's `part` is train, val or eval.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from data_prep.captions import licence_named, listed, said
from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.types import FmAudioError

EXAMPLE = (
    "python -m data_prep.fsd50k FSD50K data/fsd50k --select part=train --allow-licence 'CC0-*' --allow-licence 'CC-BY-[0-9]*'"
)
PARTICULAR = 2  # labels come from the particular to the general


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    tables = [p for p in (raw / "FSD50K.ground_truth" / f"{part}.csv" for part in ("dev", "eval")) if p.is_file()]
    if not tables:
        raise FmAudioError(f"{raw}: holds no FSD50K.ground_truth/dev.csv; give the folder with the five parts as published")
    return [clip for table in tables for clip in _part(raw, table, refuse)]


def _part(raw: Path, table: Path, refuse: Refuse) -> list[Clip]:
    half = table.stem
    facts = raw / "FSD50K.metadata" / f"{half}_clips_info_FSD50K.json"
    known = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    clips = []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name, path = row["fname"], raw / f"FSD50K.{half}_audio" / f"{row['fname']}.wav"
            if not path.is_file():
                refuse(f"{half}/{name}", "is not there")
                continue
            labels = [label.replace("_", " ").replace(" and ", ", ").lower() for label in row["labels"].split(",")]
            licence = licence_named(known.get(name, {}).get("license", ""))
            extra = {"licence": licence, "part": row.get("split") or half, "labels": labels}
            caption = said(listed(list(dict.fromkeys(labels[:PARTICULAR]))), name)
            clips.append(Clip(f"{half}-{name}", path, caption, labels[0], "en", extra=extra))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("fsd50k", str(__doc__), EXAMPLE, "unstated", read, argv)


if __name__ == "__main__":
    run(main)
