"""The results of an evaluation to look at: a table, the sentences heard wrongly, a picture, and one JSON file."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fm_audio.evaluation.judge import Result
from fm_audio.evaluation.metrics import Interval
from fm_audio.evaluation.protocols import Protocol
from fm_audio.extras import require
from fm_audio.types import FmAudioError

PACKAGES = ("fm-audio", "torch", "faster-whisper", "ctranslate2", "transformers", "jiwer", "Resemblyzer", "speechmos")


def as_report(protocol: Protocol, source: dict[str, Any], threads: int, results: Sequence[Result]) -> dict[str, Any]:
    """Everything as plain values. Rates are fractions; intervals hold 95 %."""
    return {
        "protocol": {
            "name": protocol.name,
            "fingerprint": protocol.fingerprint,
            "sentences": len(protocol.sentences),
            "language": protocol.language,
            "normaliser": protocol.normaliser,
            "judges": protocol.judges,
        },
        "source": source,
        "threads": threads,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "settings": [r.report() for r in results],
        "word_error_rate_above_first": [{"label": r.label, "difference": vars(r.wer_above(results[0]))} for r in results[1:]],
    }


def table(protocol: Protocol, results: Sequence[Result]) -> Any:
    """A rich table with one row for each setting."""
    escape = require("rich.markup", "the table of results").escape
    made = require("rich.table", "the table of results").Table(
        title=escape(f"{protocol.name}: {len(protocol.sentences)} sentences, judge {protocol.judges['name']}"),
        caption="in brackets: 95 % bootstrap interval over sentences; Δ against the first row, in pairs",
    )
    columns: dict[str, Callable[[Result], str]] = {
        "setting": lambda r: r.label,
        "WER %": lambda r: _percent(r.wer),
        "CER %": lambda r: _percent(r.cer),
        "Δ WER": lambda r: "" if r is results[0] else _percent(r.wer_above(results[0]), signed=True),
        "left out": lambda r: str(r.left_out),
        "twice": lambda r: str(r.said_twice),
        "similarity": lambda r: _plain(r.similarity) if r.similarity else "",
        "DNSMOS": lambda r: _plain(r.quality["overall"]) if r.quality else "",
        "forwards": lambda r: str(r.forwards or ""),
        "RTF": lambda r: f"{r.real_time_factor:.3f}" if r.real_time_factor else "",
        "protocol": lambda r: r.fingerprint,
    }
    shown = {name: [cell(r) for r in results] for name, cell in columns.items()}
    shown = {name: cells for name, cells in shown.items() if any(cells)}
    for name in shown:
        made.add_column(
            name, justify="left" if name in ("setting", "protocol") else "right", no_wrap=name in ("setting", "protocol")
        )
    for row in zip(*shown.values(), strict=True):
        made.add_row(*(escape(cell) for cell in row))
    return made


def wrong_sentences(result: Result) -> str:
    """The sentences that were not heard as written, one under the other."""
    lines = [f"{result.label}: {len(result.wrong())} of {len(result.hearings)} sentences heard otherwise"]
    for i, hearing in result.wrong():
        score = hearing.score
        lines += [f"  {i:03d}  asked  {score.reference}", f"       heard  {score.heard or '(nothing)'}"]
        if score.left_out:
            lines.append(f"       left out: {' '.join(score.left_out)}")
        if score.said_twice:
            lines.append(f"       said twice: {' '.join(score.said_twice)}")
    return "\n".join(lines)


def save_picture(path: Path, protocol: Protocol, results: Sequence[Result]) -> None:
    """Bars of word error for each setting with their intervals, as a PNG."""
    figure = require("matplotlib.figure", "the picture of results").Figure(figsize=(max(4.0, 1.2 * len(results) + 2), 4))
    axes = figure.subplots()
    values = [100 * r.wer.value for r in results]
    below = [100 * (r.wer.value - r.wer.low) for r in results]
    above = [100 * (r.wer.high - r.wer.value) for r in results]
    axes.bar(range(len(results)), values, yerr=[below, above], capsize=6, color="#4c78a8")
    axes.set_xticks(range(len(results)), [r.label.replace(", ", "\n") for r in results])
    axes.set_ylabel("word error rate, % (95 % interval)")
    axes.set_ylim(0, max(1.0, 1.1 * max(100 * r.wer.high for r in results)))
    judged = f"{protocol.judges['name']}, protocol {protocol.fingerprint}"
    axes.set_title(f"{protocol.name}, {len(protocol.sentences)} sentences\n{judged}")
    figure.tight_layout()
    _write_whole(path, lambda name: figure.savefig(name, format="png", dpi=120))


def save_json(path: Path, report: dict[str, Any]) -> None:
    """Write the report, whole or not at all."""
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    _write_whole(path, lambda name: Path(name).write_text(text, encoding="utf-8"))


def _write_whole(path: Path, write: Callable[[str], Any]) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            write(str(made))
            os.replace(made, path)
    except OSError as e:
        raise FmAudioError(f"{path}: cannot write there ({e.strerror}); choose another folder with --out") from e


def _percent(interval: Interval, signed: bool = False) -> str:
    form = "{:+.1f} [{:+.1f}, {:+.1f}]" if signed else "{:.1f} [{:.1f}, {:.1f}]"
    return form.format(*(100 * v for v in (interval.value, interval.low, interval.high)))


def _plain(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
