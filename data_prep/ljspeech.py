"""LJSpeech 1.1: one woman reading books, 24 h at 22.05 kHz. RAW holds metadata.csv and wavs/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Naming, Refuse, read_table
from fm_audio.types import FmAudioError

EXAMPLE = "python -m data_prep.ljspeech LJSpeech-1.1 data/ljspeech --trim-seconds 0.1 --hold-out 100"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    table = raw / "metadata.csv"
    if not table.is_file():
        raise FmAudioError(f"{raw}: holds no metadata.csv; give the unpacked folder LJSpeech-1.1")
    return read_table(table, Naming("ljspeech", "en"), refuse)


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("ljspeech", str(__doc__), EXAMPLE, "public domain", read, argv)


if __name__ == "__main__":
    run(main)
