"""Any folder of sounds whose names say what they are: RAW/Animals/dog_bark_02.wav is a dog bark.

Captions are the words of the file's name, or of its folder where the name has none; numbers and dates are left out. A cut's
speaker is its folder. Good for CC0 packs such as the samples of Sonic Pi (Debian: sonic-pi-samples).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_prep.captions import said
from data_prep.corpus import prepare_corpus
from data_prep.prepare import run
from fm_audio.data.preparation.clip import Clip, words_of
from fm_audio.data.preparation.layouts import AUDIO_ENDINGS, Refuse

EXAMPLE = "python -m data_prep.sound_folder /usr/share/sonic-pi/samples data/samples --licence CC0-1.0"


def read(raw: Path, refuse: Refuse) -> list[Clip]:
    clips = []
    for path in sorted(p for p in raw.rglob("*") if p.suffix.lower() in AUDIO_ENDINGS):
        name = path.relative_to(raw).with_suffix("").as_posix()
        what = words_of(name) or (words_of(path.parent.name) if path.parent != raw else "")
        if not what:
            refuse(name, "has no words in its name, nor has its folder")
            continue
        kind = path.parent.name.lower() if path.parent != raw else "sound"
        clips.append(Clip(name.replace("/", "-"), path, said(what, name), kind, "en"))
    return clips


def main(argv: Sequence[str] | None = None) -> None:
    prepare_corpus("sound_folder", str(__doc__), EXAMPLE, "unstated", read, argv)


if __name__ == "__main__":
    run(main)
