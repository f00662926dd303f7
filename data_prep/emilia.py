"""Emilia: 101,654 h of podcasts, talks and books in six languages at 24 kHz (He et al. 2024, arXiv 2407.05361), not for commerce.

RAW is the corpus as published, either way: <LANGUAGE>/*.jsonl (also under raw/) with the audio in folders beside them, as
Lhotse's recipe reads it, or its tar files unpacked, with <id>.json beside each <id>.mp3. Access has to be asked for on its page.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.corpus import clips_of
from data_prep.prepare import add_arguments, finish, options_of, run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.data.preparation.report import Report
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.emilia Emilia data/emilia --language en --min-dnsmos 3.0 --hold-out 20000 --workers 32"
LANGUAGES = ("de", "en", "fr", "ja", "ko", "zh")


def read(raw: Path, refuse: Refuse, language: str, min_dnsmos: float) -> list[Clip]:
    """Clips of one language whose predicted quality, which the corpus gives, is not less than `min_dnsmos`."""
    clips = []
    for where, folder, entry in _entries(_folder(raw, language), refuse):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("id", "text", "speaker")):
            refuse(where, "no id, text and speaker")
            continue
        audio = folder / str(entry.get("wav") or f"{entry['id']}.mp3")
        if not audio.is_file():
            audio = folder / f"{entry['id']}.mp3"
        if not audio.is_file():
            refuse(entry["id"], "a text without audio")
        elif float(entry.get("dnsmos") or 0.0) < min_dnsmos:
            refuse(entry["id"], "quality below --min-dnsmos")
        else:
            extra = {"dnsmos": entry.get("dnsmos")}
            clips.append(Clip(entry["id"], audio, " ".join(entry["text"].split()), entry["speaker"], language, extra=extra))
    return clips


def _folder(raw: Path, language: str) -> Path:
    for folder in (raw / "raw" / language.upper(), raw / language.upper()):
        if folder.is_dir():
            return folder
    raise FmAudioError(f"{raw}: holds no folder {language.upper()}, also not under raw; unpack that language's part of Emilia")


def _entries(folder: Path, refuse: Refuse) -> Iterator[tuple[str, Path, Any]]:
    """Where each entry stands, the folder that its audio is named from, and the entry: lines of lists, or files by the audio."""
    lists = sorted(folder.glob("*.jsonl"))
    for path in lists or sorted(folder.rglob("*.json")):
        with path.open(encoding="utf-8") as lines:
            rows = enumerate(lines, 1) if lists else [(1, lines.read())]
            for number, row in rows:
                where = f"{path.name}, line {number}"
                if not row.strip():
                    continue
                try:
                    yield where, path.parent, json.loads(row)
                except json.JSONDecodeError:
                    refuse(where, "not JSON")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.emilia", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, "CC-BY-NC-4.0")
    parser.add_argument("--language", default="en", choices=LANGUAGES)
    parser.add_argument("--min-dnsmos", type=float, default=0.0, metavar="SCORE", help="leave out clips of lower quality (0)")
    args = parser.parse_args(argv)
    options = options_of(args)
    report = Report("emilia", options.licence, options.synthetic)
    clips = clips_of(args.raw, lambda raw, refuse: read(raw, refuse, args.language, args.min_dnsmos), report)
    finish(clips, args.out, options, report)


if __name__ == "__main__":
    run(main)
