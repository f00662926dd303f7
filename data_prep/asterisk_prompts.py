"""Telephone prompts of the Asterisk project: recorded people with real transcripts, about 25 minutes a language at 16 kHz.

RAW is any folder that holds the sounds (.g722, .sln16 or .wav) and core-sounds-LANG.txt or .txt.gz, for example what
    apt-get download asterisk-core-sounds-en asterisk-core-sounds-en-g722 && dpkg -x each.deb RAW
leaves. G.722 is decoded by ffmpeg. Lines in brackets (tones, silence) are no speech and are left out. The licence asks that
what is made from the prompts is shared alike (en, es, fr: CC-BY-SA-3.0; it, ru: CC-BY-3.0).
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from data_prep.corpus import clips_of
from data_prep.prepare import add_arguments, finish, options_of, run
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.data.preparation.report import Report
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.asterisk_prompts RAW data/asterisk --language en --trim-seconds 0.1 --min-seconds 1"
LICENCES = {"en": "CC-BY-SA-3.0", "es": "CC-BY-SA-3.0", "fr": "CC-BY-SA-3.0", "it": "CC-BY-3.0", "ru": "CC-BY-3.0"}
SPEAKERS = {"en": "allison", "es": "allison_es", "fr": "june", "it": "carlo", "ru": "ru"}
RATE_HZ = 16_000
ENDINGS = (".g722", ".sln16", ".wav")


def transcript(raw: Path, language: str) -> tuple[Path, list[tuple[int, str, str]]]:
    """The transcript file and its (line number, prompt, text); comments and prompts in brackets are left out."""
    for path in sorted(raw.rglob(f"core-sounds-{language}.txt*")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = [(n, *line.partition(":")[::2]) for n, line in enumerate(data.decode("utf-8").splitlines(), 1) if ":" in line]
        return path, [
            (n, p.strip(), " ".join(t.split())) for n, p, t in lines if not p.startswith(";") and not t.strip().startswith("[")
        ]
    raise FmAudioError(f"{raw}: holds no core-sounds-{language}.txt(.gz); it is in the package asterisk-core-sounds-{language}")


def read(raw: Path, refuse: Refuse, language: str, audio_folder: Path) -> list[Clip]:
    """Clips whose audio, decoded to FLAC, lies in `audio_folder`."""
    path, prompts = transcript(raw, language)
    sounds = {_prompt_of(p): p for ending in ENDINGS for p in sorted(raw.rglob(f"*{ending}"))}
    if any(p.suffix == ".g722" for p in sounds.values()) and shutil.which("ffmpeg") is None:
        raise FmAudioError(
            "G.722 needs ffmpeg, which is not installed; install it (apt-get install ffmpeg) or give .sln16 or .wav sounds"
        )
    clips = []
    for number, prompt, text in prompts:
        source = sounds.get(prompt)
        if source is None or not text:
            refuse(f"{path.name}, line {number}", "no text" if source else f"no sound for {prompt!r}")
            continue
        audio = audio_folder / f"{prompt.replace('/', '-')}.flac"
        try:
            decode(source, audio)
        except FmAudioError as e:
            refuse(prompt, str(e))
            continue
        clips.append(Clip(prompt.replace("/", "-"), audio, text, SPEAKERS[language], language))
    return clips


def _prompt_of(path: Path) -> str:
    """digits/1 for …/en_US_f_Allison/digits/1.g722; prompts at the top have no folder."""
    folder = path.parent.name
    top = folder.count("_") >= 2 or folder in ("sounds", "en", "es", "fr", "it", "ru")
    return path.stem if top else f"{folder}/{path.stem}"


def decode(source: Path, target: Path) -> None:
    """One prompt to 16 kHz FLAC, written whole or not at all; what is already there stays."""
    import numpy as np
    import soundfile

    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{target.name}")
    if source.suffix == ".g722":
        _ffmpeg(source, part)
    elif source.suffix == ".sln16":
        data = source.read_bytes()
        soundfile.write(part, np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2"), RATE_HZ, format="FLAC")
    else:
        shutil.copyfile(source, part)
    part.replace(target)


def _ffmpeg(source: Path, target: Path) -> None:
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-y",
        "-f",
        "g722",
        "-i",
        str(source),
        "-ar",
        str(RATE_HZ),
        "-f",
        "flac",
        str(target),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        raise FmAudioError(f"ffmpeg could not decode it ({done.stderr.strip().splitlines()[-1:] or done.returncode})")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.asterisk_prompts",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, "by language")
    parser.add_argument("--language", default="en", choices=sorted(LICENCES))
    args = parser.parse_args(argv)
    if args.licence == "by language":
        args.licence = LICENCES[args.language]
    options = options_of(args)
    report = Report("asterisk_prompts", options.licence, options.synthetic)
    clips = clips_of(args.raw, lambda raw, refuse: read(raw, refuse, args.language, args.out / "audio"), report)
    finish(clips, args.out, options, report)


if __name__ == "__main__":
    run(main)
