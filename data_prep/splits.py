"""Which of train, validation and test a key belongs to: the same for ever, whatever else the corpus holds.

crc32(key) mod 100:    0 … 89 train,    90 … 94 validation,    95 … 99 test
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fm_audio.data.text.pairs import Pair, write_pairs
from fm_audio.types import FmAudioError

SPLITS = ("train", "validation", "test")


def split_of(key: str) -> str:
    place = zlib.crc32(key.encode()) % 100
    return "train" if place < 90 else "validation" if place < 95 else "test"


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for train.tsv, validation.tsv, test.tsv and report.json")


def write_splits(out: Path, keyed: Iterable[tuple[str, Pair]], left_out: Counter[str], licence: str, **more: object) -> None:
    """Write (key, pair) to OUT/<split>.tsv and OUT/report.json, and print what the report says."""
    parts: dict[str, list[Pair]] = {name: [] for name in SPLITS}
    for key, pair in keyed:
        parts[split_of(key)].append(pair)
    empty = [name for name in SPLITS if not parts[name]]
    if empty:
        raise FmAudioError(f"{out}: too few pairs, none fell to {', '.join(empty)}; give more text, or raise the lengths allowed")
    out.mkdir(parents=True, exist_ok=True)
    counts = {name: write_pairs(out / f"{name}.tsv", pairs) for name, pairs in parts.items()}
    report = {"licence": licence, **counts, "left_out": dict(left_out), **more}
    (out / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{out}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    for reason, n in left_out.most_common():
        print(f"  left out: {n} {reason}")
