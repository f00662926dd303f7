"""Sentences spoken by a local teacher: synthetic speech in the manifest layout that `custom` reads, resumable after a kill.

Each line of SENTENCES is said once; which voice says it and how fast is drawn from the seed and the line's number, so a run that
goes on makes the same corpus. A clip is written before its manifest line, and both are written whole.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.prepare import run
from data_prep.teachers import Spoken, Teacher
from data_prep.teachers.command import Espeak, Festival, Flite
from data_prep.teachers.kokoro import Kokoro
from data_prep.teachers.piper import Piper
from fm_audio.audio import resample
from fm_audio.types import FmAudioError

EXAMPLE = """example: python -m data_prep.taught sentences.txt raw/taught --teacher kokoro --model kokoro_files --voice af_heart
         python -m data_prep.custom raw/taught data/taught --licence Apache-2.0 --synthetic --trim-seconds 0.1"""
TEACHERS = {"kokoro": Kokoro, "piper": Piper, "espeak": Espeak, "flite": Flite, "festival": Festival}
RATE_HZ = 24_000


@dataclass(frozen=True)
class Plan:
    """What is drawn for each sentence."""

    voices: tuple[str, ...]
    slowest: float = 0.9
    fastest: float = 1.1
    seed: int = 0

    def of(self, line: int) -> tuple[str, float]:
        rng = random.Random(f"{self.seed}/{line}")
        return rng.choice(self.voices), round(rng.uniform(self.slowest, self.fastest), 2)


def teach(sentences: Sequence[str], out: Path, teacher: Teacher, plan: Plan, ending: str = "flac") -> tuple[int, list[str]]:
    """Say what is not yet in OUT/manifest.jsonl; (clips made now, sentences that the teacher could not say, with why)."""
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.jsonl"
    done = _done(manifest, sentences)
    made, failed = 0, []
    with manifest.open("a", encoding="utf-8") as f:
        for line, text in enumerate(sentences):
            if line in done:
                continue
            voice, speed = plan.of(line)
            try:
                spoken = teacher.say(text, voice, speed)
            except FmAudioError as e:
                failed.append(f"line {line + 1} ({text[:40]}): {e}")
                continue
            row = _row(out, line, text, voice, speed, spoken, teacher, ending)
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
            f.flush()
            os.fsync(f.fileno())
            made += 1
    return made, failed


def _done(manifest: Path, sentences: Sequence[str]) -> set[int]:
    """Lines already said. A last line that a kill cut short is taken away; other texts than the sentences' are refused."""
    if not manifest.is_file():
        return set()
    done, whole = set(), []
    for row in manifest.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            known = json.loads(row)
        except json.JSONDecodeError:
            break
        line = int(known["id"])
        if line >= len(sentences) or sentences[line] != known["text"]:
            raise FmAudioError(
                f"{manifest}: clip {known['id']} says {known['text'][:60]!r}, which is not line {line + 1} of the sentences; "
                "give the same file as before, or a new OUT"
            )
        done.add(line)
        whole.append(row if row.endswith("\n") else row + "\n")
    part = manifest.with_suffix(".part")
    part.write_text("".join(whole), encoding="utf-8")
    part.replace(manifest)
    return done


def _row(
    out: Path, line: int, text: str, voice: str, speed: float, spoken: Spoken, teacher: Teacher, ending: str
) -> dict[str, Any]:
    wave = resample(np.asarray(spoken.samples, dtype=np.float32), spoken.sample_rate, RATE_HZ)
    name = f"{line:06d}"
    _write(out / f"{name}.{ending}", wave)
    row = {"id": name, "audio": f"{name}.{ending}", "text": text, "speaker": voice, "seconds": round(len(wave) / RATE_HZ, 4)}
    if spoken.phones:
        row |= {"phones": list(spoken.phones), "durations": list(spoken.durations_units), "unit_seconds": spoken.unit_seconds}
    return row | {"speed": speed, "synthetic": True, "teacher": type(teacher).__name__.lower(), "licence": teacher.licence}


def _write(path: Path, wave: np.ndarray) -> None:
    import soundfile

    part = path.with_name(f".part-{path.name}")
    kind, subtype = ("OGG", "OPUS") if path.suffix == ".opus" else ("FLAC", "PCM_16")
    soundfile.write(part, np.clip(wave, -1, 1), RATE_HZ, format=kind, subtype=subtype)
    part.replace(path)


def read_sentences(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise FmAudioError(f"{path}: cannot be read as text ({e}); give a UTF-8 file with one sentence a line") from e
    sentences = [" ".join(line.split()) for line in lines if line.strip()]
    if not sentences:
        raise FmAudioError(f"{path}: holds no sentences; write one a line")
    return sentences


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.taught", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sentences", type=Path, metavar="SENTENCES", help="one sentence a line")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--teacher", required=True, choices=sorted(TEACHERS))
    parser.add_argument("--model", type=Path, help="folder with the teacher's files (kokoro, piper)")
    parser.add_argument("--voice", action="append", default=[], help="repeat for several; all of the teacher's by default")
    parser.add_argument("--slowest", type=float, default=0.9)
    parser.add_argument("--fastest", type=float, default=1.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", default="flac", choices=("flac", "opus"))
    args = parser.parse_args(argv)
    teacher = _teacher(args.teacher, args.model)
    known = teacher.voices()
    unknown = [part for v in args.voice for part in v.split("+") if part not in known]
    if unknown and args.teacher in ("kokoro", "piper"):
        raise FmAudioError(f"--voice {unknown[0]}: {args.teacher} has {', '.join(known)}")
    plan = Plan(tuple(args.voice or known), args.slowest, args.fastest, args.seed)
    sentences = read_sentences(args.sentences)
    made, failed = teach(sentences, args.out, teacher, plan, args.format)
    for failure in failed:
        print(f"not said: {failure}", file=sys.stderr)
    print(
        f"{args.out}: {made} clips made now, {len(sentences) - made - len(failed)} were there, {len(failed)} not said; synthetic"
    )
    if failed and len(failed) == len(sentences):
        raise FmAudioError(f"no sentence could be said; the first: {failed[0]}")


def _teacher(name: str, model: Path | None) -> Teacher:
    cls: Any = TEACHERS[name]
    if name not in ("kokoro", "piper"):
        return cls()
    if model is None or not model.is_dir():
        raise FmAudioError(
            f"--teacher {name} needs --model FOLDER with its files, given {model}; see python -m data_prep.taught -h"
        )
    return cls(model)


if __name__ == "__main__":
    run(main)
