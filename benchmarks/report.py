"""A benchmark's rows as a table to read and paste, and as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine

Row = Mapping[str, Any]


def table(rows: Sequence[Row]) -> str:
    """A Markdown table, its columns the keys of all rows in the order in which they appear; what a row has not stays empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([_shown(row.get(c)) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def report(
    name: str,
    arguments: Sequence[str],
    rows: Sequence[Row],
    machine: Machine,
    missing: Mapping[str, str],
    notes: Sequence[str],
    file: Path | None,
) -> None:
    """The table with machine and command on stdout, everything in `file` too if there is one."""
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *arguments])
    print(table(rows))
    print(f"\n{machine}\n{command}")
    for who, why in missing.items():
        print(f"left out: {who}: {' '.join(why.split())}")
    for note in notes:
        print(note)
    if file is not None:
        told = {"benchmark": name, "command": command, "machine": asdict(machine), "rows": [dict(row) for row in rows]}
        told |= {"left_out": dict(missing), "notes": list(notes)}
        file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
