"""A scene: speech, sounds, files and pauses on one timeline, written as YAML, checked whole before anything is made.

    loudness: -18                       LUFS of the whole (ITU-R BS.1770); left out: as it comes
    lines:
      - sound: rain                     made by a text-to-audio model
        seconds: 12
        at: 0                           beside the others: the line after it does not wait
        lufs: -35
        fade: 1.5
      - say: Good evening.              said by a voice
        name: greeting
      - pause: 0.5
      - play: door.wav                  read from a file
      - say: Who is there?

A line begins where the last one ended that lies in the row; `at` (seconds) and `with` (the name of an earlier line, to begin
together with it) take a line out of the row. `lufs` is the level of a line, `fade_in` and `fade_out` are seconds, `fade` is both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fm_audio.types import FmAudioError

RATE = 24_000
LONGEST_SECONDS = 3600.0
LEVELS = (-70.0, 0.0)
PLACED: dict[str, type] = {
    "at": float, "with": str, "name": str, "lufs": float, "fade": float, "fade_in": float, "fade_out": float,
}  # fmt: skip
OWN: dict[str, dict[str, type]] = {
    "say": {"voice": str, "seed": int, "speed": float, "steps": int, "pitch": float},
    "sound": {
        "seconds": float, "seed": int, "steps": int, "guidance": float, "negative": str, "model": str, "bank": str,
        "retrieve": int,
    },
    "play": {"from": float, "seconds": float},
    "pause": {},
}  # fmt: skip
TOP: dict[str, type] = {"sample_rate": int, "loudness": float, "model": str, "voice": str, "lines": list}
WORDS = {float: "a number", int: "a whole number", str: "text", list: "a list"}


@dataclass(frozen=True)
class Line:
    """One line: its kind (say, sound, play, pause), what (text, prompt, file or seconds), where, and how it is made."""

    where: str
    kind: str
    what: Any
    at: float | None
    beside: int | None  # the line that it begins with
    lufs: float | None
    fade_in: float
    fade_out: float
    how: Mapping[str, Any]

    @property
    def in_row(self) -> bool:
        return self.at is None and self.beside is None


@dataclass(frozen=True)
class Scene:
    """Lines in order; `folder` is where relative files are looked for."""

    lines: tuple[Line, ...]
    sample_rate: int = RATE
    loudness: float | None = None
    model: str | None = None
    voice: str | None = None
    folder: Path = Path()


def read_scene(path: Path) -> Scene:
    """A scene from a YAML file. Raises FmAudioError on what it cannot mean, with file and line of the scene."""
    try:
        import yaml
    except ImportError as e:
        raise FmAudioError(f"scenes need the package {e.name}; run: pip install 'fm_audio[scene]'") from e
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise FmAudioError(f"{path}: cannot be read ({e}); give a scene in YAML") from e
    except yaml.YAMLError as e:
        raise FmAudioError(f"{path}: is no YAML ({e})") from e
    if not isinstance(told, dict) or not isinstance(told.get("lines"), list) or not told["lines"]:
        raise FmAudioError(f"{path}: a scene has lines: a list of say, sound, play or pause; this has none")
    top = _checked(told, TOP, str(path))
    level = _within(top.get("loudness"), *LEVELS, f"{path}: loudness", "LUFS")
    rate = top.get("sample_rate", RATE)
    if not 8000 <= rate <= 96_000:
        raise FmAudioError(f"{path}: sample_rate is {rate}; give 8000 to 96000")
    named: dict[str, int] = {}
    lines = []
    for i, line in enumerate(told["lines"]):
        lines.append(_line(line, f"{path}: line {i + 1}", named))
        if isinstance(line.get("name"), str):
            if line["name"] in named:
                raise FmAudioError(f"{path}: line {i + 1}: the name {line['name']!r} is taken by line {named[line['name']] + 1}")
            named[line["name"]] = i
    return Scene(tuple(lines), rate, level, top.get("model"), top.get("voice"), path.parent)


def _line(told: Any, where: str, named: Mapping[str, int]) -> Line:
    kinds = [k for k in OWN if isinstance(told, dict) and k in told]
    if len(kinds) != 1:
        raise FmAudioError(f"{where}: is {told!r:.60}; a line has exactly one of {', '.join(OWN)}")
    (kind,) = kinds
    of_what = float if kind == "pause" else str
    where = f"{where} ({kind})"
    own = _checked(told, {kind: of_what, **OWN[kind], **PLACED}, where)
    what = own.pop(kind)
    if isinstance(what, str) and not what.strip():
        raise FmAudioError(f"{where}: is empty; say what is to be heard")
    if kind == "pause":
        _within(what, 0.0, LONGEST_SECONDS, where, "seconds")
        placed = sorted(set(own) & set(PLACED))
        if placed:
            raise FmAudioError(f"{where}: a pause has no {placed[0]}; it moves what comes after it")
    if "at" in own and "with" in own:
        raise FmAudioError(f"{where}: has at and with; give one of them")
    if "with" in own and own["with"] not in named:
        raise FmAudioError(f"{where}: begins with {own['with']!r}; earlier lines are named {', '.join(named) or 'not at all'}")
    if kind == "sound" and "retrieve" in own and "bank" not in own:
        raise FmAudioError(f"{where}: retrieve: from where? give bank: a folder too")
    fade = own.get("fade", 0.0)
    names = ("fade_in", "fade_out")
    fades = [_within(own.get(name, fade), 0.0, LONGEST_SECONDS, f"{where}: {name}", "seconds") for name in names]
    return Line(
        where,
        kind,
        what,
        _within(own.get("at"), 0.0, LONGEST_SECONDS, f"{where}: at", "seconds"),
        named[own["with"]] if "with" in own else None,
        _within(own.get("lufs"), *LEVELS, f"{where}: lufs", "LUFS"),
        fades[0] or 0.0,
        fades[1] or 0.0,
        {k: v for k, v in own.items() if k in OWN[kind]},
    )


def _checked(told: Mapping[Any, Any], known: Mapping[str, type], where: str) -> dict[str, Any]:
    """The fields, each of its type; whole numbers may stand for others, and a number for a text."""
    found = {}
    for name, value in told.items():
        if name not in known:
            near = get_close_matches(str(name), list(known), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise FmAudioError(f"{where}: knows no {name!r}; {hint}There are {', '.join(known)}")
        kind = known[name]
        fits = isinstance(value, {float: (float, int), str: (str, int, float)}.get(kind, kind))
        if not fits or isinstance(value, bool):
            raise FmAudioError(f"{where}: {name} is {value!r:.40}; give {WORDS[kind]}")
        found[name] = kind(value)
    return found


def _within(value: float | None, low: float, high: float, where: str, unit: str) -> float | None:
    if value is not None and not low <= value <= high:
        raise FmAudioError(f"{where}: given {value:g}; allowed is {low:g} to {high:g} {unit}")
    return value


def starts_of(lines: Sequence[Line], seconds: Sequence[float]) -> list[float]:
    """When each line begins, in seconds, given how long each lasts."""
    starts: list[float] = []
    now = 0.0
    for line, length in zip(lines, seconds, strict=True):
        start = line.at if line.at is not None else starts[line.beside] if line.beside is not None else now
        starts.append(start)
        if line.in_row:
            now = start + length
    return starts
