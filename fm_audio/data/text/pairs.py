"""Pairs of texts in files: what is asked, and one or several right answers.

.tsv     source <TAB> target [<TAB> another right answer …]            one column: texts without a source, to write freely
.jsonl   {"source": "…", "target": "…", "references": ["…", …]}        source and references may be left out
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fm_audio.types import FmAudioError


@dataclass(frozen=True)
class Pair:
    """`target` is what training learns; `references` are all right answers, it first."""

    source: str | None
    target: str
    references: tuple[str, ...] = ()

    @property
    def right(self) -> tuple[str, ...]:
        return (self.target, *(r for r in self.references if r != self.target))


def read_pairs(path: str | Path) -> list[Pair]:
    """Raises FmAudioError naming the line of the first thing that is no pair."""
    path = Path(path)
    if path.suffix not in (".tsv", ".jsonl"):
        raise FmAudioError(f"{path}: pairs come as .tsv or .jsonl; make them with data_prep, such as data_prep.pronunciations")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as e:
        raise FmAudioError(f"{path}: cannot be read ({e.strerror}); make it with data_prep, such as data_prep.verses") from e
    except UnicodeDecodeError as e:
        raise FmAudioError(f"{path}: is not UTF-8 text (byte {e.start}); save it as UTF-8") from e
    read = _of_tsv if path.suffix == ".tsv" else _of_json
    pairs = [read(line, f"{path}, line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise FmAudioError(f"{path}: holds no pair; give one on each line")
    if len({p.source is None for p in pairs}) > 1:
        raise FmAudioError(f"{path}: some lines have a source and some have none; give each file one kind")
    return pairs


def write_pairs(path: Path, pairs: Iterable[Pair]) -> int:
    """A .tsv, whole or not at all; how many pairs it holds."""
    lines = ["\t".join([p.target] if p.source is None else [p.source, *p.right]) for p in pairs]
    part = path.with_name(path.name + ".part")
    try:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        part.replace(path)
    except OSError as e:
        raise FmAudioError(f"{path}: cannot write there ({e.strerror}); choose another folder") from e
    return len(lines)


def _of_tsv(line: str, where: str) -> Pair:
    columns = line.split("\t")
    if any(not c.strip() for c in columns):
        raise FmAudioError(f"{where}: a column is empty; write source, a tab, target, and other right answers after more tabs")
    if len(columns) == 1:
        return Pair(None, columns[0])
    return Pair(columns[0], columns[1], tuple(columns[1:]))


def _of_json(line: str, where: str) -> Pair:
    try:
        found: Any = json.loads(line)
    except ValueError as e:
        raise FmAudioError(f"{where}: is not JSON ({e}); write one object a line") from e
    texts = list(_texts(found)) if isinstance(found, dict) else []
    if not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        raise FmAudioError(f'{where}: no pair; write {{"source": "…", "target": "…"}}, perhaps with "references": ["…"]')
    return Pair(found.get("source"), found["target"], tuple(found.get("references", ())))


def _texts(found: dict[str, Any]) -> Iterator[Any]:
    yield found.get("target")
    if found.get("source") is not None:
        yield found["source"]
    references = found.get("references", [])
    yield from references if isinstance(references, list) else [None]
