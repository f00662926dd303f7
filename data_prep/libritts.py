"""LibriTTS and LibriTTS-R: 2,456 English readers, 585 h at 24 kHz.

RAW holds parts such as train-clean-100, or is one: <part>/<speaker>/<chapter>/<id>.wav with <id>.normalized.txt beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.corpus import parts, prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse, find_audio

EXAMPLE = "python -m data_prep.libritts LibriTTS_R data/libritts_r --trim-seconds 0.1 --hold-out 200 --workers 2"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    clips = []
    for part in parts(raw):
        for sidecar in sorted(part.rglob("*.normalized.txt")):
            name = sidecar.name.removesuffix(".normalized.txt")
            if name.startswith("._"):  # left over from a Mac in LibriTTS-R's archives
                continue
            audio = find_audio((sidecar.parent,), name)
            if audio is None:
                refuse(name, "a text without audio")
                continue
            text = " ".join(sidecar.read_text(encoding="utf-8").split())
            clips.append(Clip(name, audio, text, name.split("_")[0], "en", extra={"part": part.name}))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("libritts", str(__doc__), EXAMPLE, "CC-BY-4.0", read, argv)


if __name__ == "__main__":
    run(main)
