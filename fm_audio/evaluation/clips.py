"""Where the recordings come from that judges hear: spoken now by a voice, or read from files made by anybody.

Files make it possible to judge people, teachers and other systems with the same protocol as our own voices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from fm_audio.audio import Audio, load_audio
from fm_audio.evaluation.metrics import timed
from fm_audio.evaluation.protocols import Protocol
from fm_audio.types import FmAudioError

SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")


@dataclass(frozen=True)
class Clip:
    """A recording; `compute_seconds` is how long making it took, when it was made here."""

    audio: Audio
    compute_seconds: float | None = None
    forwards: int | None = None


@dataclass(frozen=True)
class Setting:
    """How a voice is asked to speak; None leaves the voice's own default."""

    steps: int | None = None
    temperature: float | None = None
    guidance: float | None = None

    @property
    def label(self) -> str:
        named = {"steps": self.steps, "temperature": self.temperature, "guidance": self.guidance}
        return ", ".join(f"{k} {v}" for k, v in named.items() if v is not None) or "default"

    def arguments(self) -> dict[str, Any]:
        named = {"steps": self.steps, "temperature": self.temperature, "guidance": self.guidance}
        return {k: v for k, v in named.items() if v is not None}


def speak(voice: Any, sentences: Iterable[str], setting: Setting, seed: int = 0, speaker: str | None = None) -> Iterator[Clip]:
    """One clip for each sentence, said one at a time and timed, vocoder included, after the first was said once to warm up.

    voice: what `fm_audio.load` gives. Sentence i is drawn with seed + i.
    """
    how = setting.arguments() | ({} if speaker is None else {"voice": speaker})
    for i, sentence in enumerate(sentences):
        if i == 0:
            voice.say(sentence, seed=seed, **how)
        spoken, seconds = timed(lambda text=sentence, n=i: voice.say_detailed(text, seed=seed + n, **how))  # type: ignore[misc]
        yield Clip(spoken.audio, seconds, spoken.forwards)


def indexed_files(folder: Path, count: int) -> list[Path]:
    """The recording of sentence i is the file whose name is i (0.wav, 007.flac; the first sentence is 0).

    Raises FmAudioError naming the sentences that have no file.
    """
    if not folder.is_dir():
        raise FmAudioError(f"{folder}: no such folder; give the folder with the recordings, or a manifest that ends in .jsonl")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.stem.isdecimal():
            number = int(path.stem)
            if number in found:
                raise FmAudioError(f"{folder}: {found[number].name} and {path.name} are both sentence {number}; keep one")
            found[number] = path
    missing = [i for i in range(count) if i not in found]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
        raise FmAudioError(
            f"{folder}: {len(missing)} of {count} sentences have no recording (numbers {shown}, counted from 0); "
            f"name files by number, like 007.wav ({', '.join(SUFFIXES)}), or lower --limit"
        )
    return [found[i] for i in range(count)]


@dataclass(frozen=True)
class Line:
    """A line of a manifest: its number from 1, a recording and, where the corpus has them, the text and the speaker."""

    number: int
    path: Path
    text: str | None
    speaker: str | None = None


def manifest_lines(path: Path, speaker: str | None = None, limit: int | None = None) -> list[Line]:
    """Lines of JSON with `audio` (relative to the manifest) and, if any, `text` and `speaker`; the first `limit` of one speaker.

    Raises FmAudioError with the line's number when it cannot be read, and with the names when the speaker is unknown.
    """
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise FmAudioError(f"manifest {path}: cannot be read ({e}); give a .jsonl file with one recording a line") from e
    lines: list[Line] = []
    speakers: set[str] = set()
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        entry = _entry(row, f"{path}, line {number}")
        speakers.add(str(entry.get("speaker")))
        if speaker is None or entry.get("speaker") == speaker:
            lines.append(Line(number, path.parent / entry["audio"], entry.get("text"), entry.get("speaker")))
    if not lines:
        known = ", ".join(sorted(speakers)) or "no line at all"
        raise FmAudioError(f"manifest {path}: no recording of speaker {speaker!r}; it has {known}")
    for line in lines[:limit]:
        if not line.path.is_file():
            raise FmAudioError(f"manifest {path}, line {line.number}: there is no file {line.path}; mend or delete the line")
    return lines[:limit]


def _entry(row: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(row)
    except json.JSONDecodeError as e:
        raise FmAudioError(f"{where}: not JSON ({e})") from e
    if not isinstance(entry, dict) or not isinstance(entry.get("audio"), str):
        raise FmAudioError(f'{where}: has no "audio"; write {{"audio": "file.wav", "text": "what is said"}}')
    return entry


def manifest_protocol(path: Path, lines: list[Line], language: str) -> Protocol:
    """The texts of a manifest as a protocol."""
    without = [line.path.name for line in lines if not line.text]
    if without:
        raise FmAudioError(f"manifest {path}: {len(without)} recordings have no text (first: {without[0]}); word error needs one")
    return Protocol(path.stem, tuple(str(line.text) for line in lines), language)


def references(source: Path, speaker: str | None = None, limit: int = 20) -> list[Audio]:
    """Recordings of a speaker: one file, the first `limit` of a folder in the order of names, or of a manifest."""
    if source.suffix == ".jsonl":
        paths = [line.path for line in manifest_lines(source, speaker, limit)]
    elif source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES)[:limit]
    else:
        paths = [source]
    if not paths:
        raise FmAudioError(f"{source}: holds no recording ({', '.join(SUFFIXES)}); give a file, a folder or a manifest")
    return [read(p) for p in paths]


def read(path: Path) -> Audio:
    """A file at its own sample rate, mono."""
    try:
        rate = soundfile.info(str(path)).samplerate
    except (OSError, RuntimeError) as e:
        raise FmAudioError(f"{path}: cannot be read as audio ({e}); give a file that exists, as {', '.join(SUFFIXES)}") from e
    return load_audio(path, rate)
