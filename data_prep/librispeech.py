"""LibriSpeech: English readers, 1,000 h at 16 kHz, texts in capitals without punctuation (written here in lower case).

RAW holds parts such as train-clean-100, or is one: <part>/<speaker>/<chapter>/<speaker>-<chapter>.trans.txt, whose lines are
an id and its text, with <id>.flac beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.corpus import parts, prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse, find_audio

EXAMPLE = "python -m data_prep.librispeech LibriSpeech data/librispeech --hold-out 200 --workers 2"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    clips = []
    for part in parts(raw):
        for transcript in sorted(part.rglob("*.trans.txt")):
            for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), 1):
                name, _, text = line.strip().partition(" ")
                audio = find_audio((transcript.parent,), name) if name else None
                if audio is None or not text:
                    refuse(f"{transcript.name}, line {number}", "no text" if audio else f"no audio for {name!r}")
                    continue
                clips.append(Clip(name, audio, text.lower(), name.split("-")[0], "en", extra={"part": part.name}))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("librispeech", str(__doc__), EXAMPLE, "CC-BY-4.0", read, argv)


if __name__ == "__main__":
    run(main)
