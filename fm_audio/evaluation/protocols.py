"""A protocol is what was said and how it was judged. Its fingerprint stands beside each number, so that unlike is not compared.

`harvard40` holds the first four lists of the Harvard sentences (IEEE Recommended Practice for Speech Quality Measurements, 1969):
no training text may contain them. `harvard_dev30` holds the next three, on which settings may be chosen.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from fm_audio.evaluation.normalise import VERSION, normalise
from fm_audio.types import FmAudioError

SHIPPED = ("harvard40", "harvard_dev30")


@dataclass(frozen=True)
class Protocol:
    """Sentences under a name, their language, and the judges' settings."""

    name: str
    sentences: tuple[str, ...]
    language: str = "en"
    judges: dict[str, Any] = field(default_factory=dict)
    normaliser: int = VERSION

    @property
    def fingerprint(self) -> str:
        """12 hexadecimal digits that change with any sentence, setting or version of the text normaliser."""
        content = {k: v for k, v in asdict(self).items() if k != "name"}
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def judged_by(self, **judges: Any) -> Protocol:
        return replace(self, judges={**self.judges, **judges})

    def first(self, limit: int | None) -> Protocol:
        """The first `limit` sentences under a name that says so; all of them when None."""
        if limit is None or limit >= len(self.sentences):
            return self
        return replace(self, name=f"{self.name}[:{limit}]", sentences=self.sentences[:limit])


def load_protocol(name: str, language: str = "en") -> Protocol:
    """A protocol that ships with the package, or a text file with one sentence a line (UTF-8; blank lines are not counted).

    Raises FmAudioError when there is no such name or file, or a line has nothing to say.
    """
    if name in SHIPPED:
        text = files("fm_audio.evaluation").joinpath(f"{name}.txt").read_text(encoding="utf-8")
        return _checked(name, text, name, "en")
    path = Path(name)
    try:
        return _checked(path.stem, path.read_text(encoding="utf-8"), str(path), language)
    except (OSError, UnicodeDecodeError) as e:
        known = ", ".join(SHIPPED)
        raise FmAudioError(
            f"sentences {name!r}: no readable UTF-8 text file ({e}) and not one of {known}; give one of them"
        ) from e


def _checked(name: str, text: str, where: str, language: str) -> Protocol:
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise FmAudioError(f"{where}: holds no sentence; write one a line")
    for number, line in lines:
        if not normalise(line, language):
            raise FmAudioError(f"{where}, line {number}: {line!r} has no words to score; write a sentence or delete the line")
    return Protocol(name, tuple(line for _, line in lines), language)
