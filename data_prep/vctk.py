"""VCTK 0.92 or 0.80: 110 English speakers, 44 h at 48 kHz.

RAW holds txt/<speaker>/<speaker>_<number>.txt and wav48_silence_trimmed/<speaker>/…_mic1.flac, or wav48/<speaker>/….wav.
The second microphone is taken where there is one, as Lhotse does, else the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse, find_audio

EXAMPLE = "python -m data_prep.vctk VCTK-Corpus-0.92 data/vctk --trim-seconds 0.1 --hold-out 100"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    clips = []
    for sidecar in sorted((raw / "txt").rglob("*.txt")):
        speaker, name = sidecar.parent.name, sidecar.stem
        folders = (raw / "wav48_silence_trimmed" / speaker, raw / "wav48" / speaker)
        audio = next((a for n in (f"{name}_mic2", f"{name}_mic1", name) if (a := find_audio(folders, n))), None)
        if audio is None:
            refuse(name, "a text without audio")
            continue
        text = " ".join(sidecar.read_text(encoding="utf-8", errors="replace").split())
        clips.append(Clip(name, audio, text, speaker, "en"))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("vctk", str(__doc__), EXAMPLE, "CC-BY-4.0", read, argv)


if __name__ == "__main__":
    run(main)
