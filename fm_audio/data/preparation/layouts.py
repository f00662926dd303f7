"""Three layouts of a folder with audio and transcripts, read into clips: manifest, metadata.csv, a text beside each file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fm_audio.data.preparation.clip import Clip, words_of
from fm_audio.types import FmAudioError

AUDIO_ENDINGS = (".wav", ".flac", ".opus", ".ogg", ".mp3")
KNOWN_FIELDS = {"id", "audio", "text", "speaker", "language", "seconds", "phones", "durations", "unit_seconds"}


@dataclass(frozen=True)
class Naming:
    """What a layout does not say for itself."""

    speaker: str
    language: str
    unit_seconds: float = 0.025


Refuse = Callable[[str, str], None]


def refuse_all(where: str, why: str) -> None:
    """The strict reading of a bad line: stop and say where it is."""
    raise FmAudioError(f"{where}: {why}; mend the line, or pass --skip-bad to leave such lines out and have them counted")


def read_folder(raw: Path, naming: Naming, refuse: Refuse = refuse_all, by_name: bool = False) -> list[Clip]:
    """All clips of `raw`, whichever of the three layouts it has. A bad line goes to `refuse(where, why)`.

    by_name: where no text lies beside an audio file, the words of its name are its text, as sounds are often filed.
    """
    if not raw.is_dir():
        raise FmAudioError(f"{raw}: is not a folder; give the folder that holds the corpus")
    manifests = sorted(raw.glob("manifest*.jsonl"))
    table = raw / "metadata.csv"
    if manifests:
        clips = [clip for path in manifests for clip in read_manifest(path, naming, refuse)]
    elif table.is_file():
        clips = read_table(table, naming, refuse)
    else:
        clips = read_sidecars(raw, naming, refuse, by_name)
    if not clips:
        raise FmAudioError(
            f"{raw}: no clips found; put manifest*.jsonl (lines with audio and text), or metadata.csv (id|text), "
            f"or a .txt or .lab beside each audio file ({' '.join(AUDIO_ENDINGS)})"
        )
    return clips


def read_manifest(path: Path, naming: Naming, refuse: Refuse = refuse_all) -> list[Clip]:
    """JSON lines: `audio` (path from the manifest's folder) and `text`; other known fields are optional, the rest is extra."""
    clips = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            clips.append(_clip_of_row(json.loads(line), path.parent, naming))
        except json.JSONDecodeError as e:
            refuse(f"{path}, line {number}", f"is not JSON ({e.msg} at column {e.colno})")
        except FmAudioError as e:
            refuse(f"{path}, line {number}", str(e))
    return clips


def _clip_of_row(row: Any, folder: Path, naming: Naming) -> Clip:
    if not isinstance(row, dict):
        raise FmAudioError(f"is a {type(row).__name__}, but an object with audio and text is needed")
    for name in ("audio", "text"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise FmAudioError(f"has no {name!r} (fields: {', '.join(row) or 'none'})")
    audio = folder / row["audio"]
    if not audio.is_file():
        raise FmAudioError(f"names the file {row['audio']}, which is not in {folder}")
    phones, durations = _alignment(row)
    return Clip(
        id=str(row.get("id", Path(row["audio"]).with_suffix("").as_posix().replace("/", "-"))),
        path=audio,
        text=row["text"].strip(),
        speaker=str(row.get("speaker", naming.speaker)),
        language=str(row.get("language", naming.language)),
        phones=phones,
        durations_units=durations,
        unit_seconds=float(row.get("unit_seconds", naming.unit_seconds)),
        extra={k: v for k, v in row.items() if k not in KNOWN_FIELDS},
    )


def _alignment(row: dict[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Phones (a string: one character each; or a list) and durations, with "^" at both ends when two more durations are given."""
    if row.get("durations") is None or row.get("phones") is None:
        return (), ()
    phones, durations = list(row["phones"]), row["durations"]
    if not isinstance(durations, list) or not all(isinstance(d, int) and d >= 0 for d in durations):
        raise FmAudioError("has 'durations' that are not a list of whole numbers from 0 up")
    if len(durations) == len(phones) + 2:
        phones = ["^", *phones, "^"]
    if len(durations) != len(phones):
        raise FmAudioError(f"has {len(durations)} durations for {len(phones)} phones; give one each, or one more at each end")
    return tuple(phones), tuple(durations)


def read_table(path: Path, naming: Naming, refuse: Refuse = refuse_all) -> list[Clip]:
    """LJSpeech's metadata.csv: id|text or id|text|normalised text (taken when there); audio in wavs/ or beside the table."""
    clips = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where, (name, *texts) = f"{path}, line {number}", line.split("|")
        text = next((t.strip() for t in reversed(texts) if t.strip()), "")
        audio = find_audio((path.parent / "wavs", path.parent), name.strip())
        if not text:
            refuse(where, f"has no text after {name!r} (expected id|text or id|text|normalised text)")
        elif audio is None:
            refuse(where, f"names {name!r}, but neither wavs/ nor the table's folder holds it as {' '.join(AUDIO_ENDINGS)}")
        else:
            clips.append(Clip(Path(name.strip()).stem, audio, text, naming.speaker, naming.language))
    return clips


def find_audio(folders: tuple[Path, ...], name: str) -> Path | None:
    """The first audio file of that name, its ending given or not."""
    for folder in folders:
        for ending in ("", *AUDIO_ENDINGS):
            path = folder / f"{name}{ending}"
            if path.suffix.lower() in AUDIO_ENDINGS and path.is_file():
                return path
    return None


def read_sidecars(raw: Path, naming: Naming, refuse: Refuse = refuse_all, by_name: bool = False) -> list[Clip]:
    """Audio files with a .txt or .lab of the same name, at any depth; `by_name`: or with words in their own."""
    clips = []
    files = sorted(p for p in raw.rglob("*") if p.suffix.lower() in AUDIO_ENDINGS and p.is_file())
    for audio in files:
        sidecar = next((s for s in (audio.with_suffix(".txt"), audio.with_suffix(".lab")) if s.is_file()), None)
        text = sidecar.read_text(encoding="utf-8").strip() if sidecar else words_of(audio.name) if by_name else ""
        if not text:
            refuse(str(audio), "has no text beside it (.txt or .lab)" if sidecar is None else f"has an empty {sidecar.name}")
            continue
        name = audio.relative_to(raw).with_suffix("").as_posix().replace("/", "-")
        clips.append(Clip(name, audio, " ".join(text.split()), naming.speaker, naming.language))
    return clips
