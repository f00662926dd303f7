"""What a preparation kept, what it left out and why: printed for people, written as report.json for programs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

USUAL = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,;:!?'\"-()’‘“”–—…&%$£€")
SHOWN = 8  # names printed for each reason; report.json has them all


@dataclass
class Report:
    """Filled clip by clip. `found` = kept + dropped, always."""

    source: str
    licence: str
    synthetic: bool
    found: int = 0
    dropped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    noted: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    trimmed_seconds: float = 0.0
    silent_seconds: float = 0.0
    aligned: int = 0
    held_out: int = 0
    by_speaker: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sample_rates: Counter[int] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    unusual_in: dict[str, str] = field(default_factory=dict)

    def drop(self, name: str, why: str) -> None:
        """This clip is left out."""
        self.dropped[why].append(name)

    def note(self, name: str, what: str) -> None:
        """This clip is kept, but somebody should know."""
        self.noted[what].append(name)

    def keep(
        self, name: str, speaker: str, text: str, seconds: float, raw_seconds: float, silent_share: float, rate: int
    ) -> None:
        self.seconds.append(seconds)
        self.by_speaker[speaker].append(seconds)
        self.trimmed_seconds += raw_seconds - seconds
        self.silent_seconds += silent_share * raw_seconds
        self.sample_rates[rate] += 1
        for c in set(text) - USUAL:
            self.unusual_in.setdefault(c, name)
        self.characters.update(text)

    def withdraw(self, name: str, speaker: str, seconds: float, rate: int, why: str) -> None:
        """This clip was kept and is left out after all."""
        self.seconds.remove(seconds)
        self.by_speaker[speaker].remove(seconds)
        self.sample_rates[rate] -= 1
        self.drop(name, why)

    @property
    def kept(self) -> int:
        return len(self.seconds)

    def as_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "licence": self.licence,
            "synthetic": self.synthetic,
            "found": self.found,
            "kept": self.kept,
            "held_out": self.held_out,
            "with_alignment": self.aligned,
            "hours": round(sum(self.seconds) / 3600, 6),
            "hours_trimmed_away": round(self.trimmed_seconds / 3600, 6),
            "silent_share_before_trimming": round(self.silent_seconds / max(sum(self.seconds) + self.trimmed_seconds, 1e-9), 4),
            "seconds": self._spread(),
            "sample_rates": {str(k): v for k, v in sorted(self.sample_rates.items())},
            "speakers": {
                s: {"clips": len(v), "minutes": round(sum(v) / 60, 2)}
                for s, v in sorted(self.by_speaker.items(), key=lambda kv: -sum(kv[1]))
            },
            "unusual_characters": {
                c: {"count": self.characters[c], "first_in": name} for c, name in sorted(self.unusual_in.items())
            },
            "dropped": {why: sorted(names) for why, names in sorted(self.dropped.items())},
            "noted": {what: sorted(names) for what, names in sorted(self.noted.items())},
        }

    def _spread(self) -> dict[str, float]:
        if not self.seconds:
            return {}
        points = np.percentile(self.seconds, [0, 5, 50, 95, 100])
        return {k: round(float(v), 3) for k, v in zip(("least", "p5", "median", "p95", "most"), points, strict=True)}

    def write(self, path: Path) -> None:
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(self.as_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)

    def lines(self) -> list[str]:
        """The report for people."""
        d = self.as_dict()
        out = [
            f"{self.source}: {self.found} clips found, {self.kept} kept ({self.held_out} of them held out), "
            f"{self.found - self.kept} left out; {'synthetic' if self.synthetic else 'recorded'}, licence {self.licence}",
            f"  {d['hours']:.3f} h ({d['hours_trimmed_away']:.3f} h of silence trimmed away); silence before trimming "
            f"{100 * d['silent_share_before_trimming']:.1f} %; sample rates {d['sample_rates']}; with alignment {self.aligned}",
        ]
        if self.seconds:
            out.append("  seconds a clip: " + ", ".join(f"{k} {v:.2f}" for k, v in d["seconds"].items()))
        most = list(d["speakers"].items())
        shown = "; ".join(f"{s} {v['clips']} clips {v['minutes']:.1f} min" for s, v in most[:SHOWN])
        out.append(f"  {len(most)} speakers: {shown}{' …' if len(most) > SHOWN else ''}")
        if self.unusual_in:
            shown = ", ".join(f"{c!r} ×{v['count']} ({v['first_in']})" for c, v in d["unusual_characters"].items())
            out.append(f"  characters outside of the usual: {shown}")
        out += _named("left out", d["dropped"]) + _named("noted", d["noted"])
        return out


def _named(what: str, reasons: dict[str, list[str]]) -> list[str]:
    return [
        f"  {what}: {why}: {len(names)} ({', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''})"
        for why, names in reasons.items()
    ]
