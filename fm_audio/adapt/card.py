"""The card of an adapted voice: whose it is and who agreed, what it learned from, how, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fm_audio.voices.find import UNSTATED


def card(report: Mapping[str, Any]) -> str:
    """Markdown from the report of an adaptation."""
    facts, data, base = report["facts"], report["data"], report["base"]
    lines = [
        f"# {report['voice']}: {report['what']} of {base['name']}",
        "",
        "| | |",
        "|---|---|",
        f"| base | `{base['name']}`, fingerprint `{base['fingerprint']}` |",
        f"| who | {'**recorded** from a person' if facts['recorded'] else '**synthetic**: made by a machine'} |",
        f"| consent | {_stated(facts['consent'], 'ask the person before anybody else hears this voice')} |",
        f"| licence of the recordings | {_stated(facts['licence'], 'find it out before this voice is passed on')} |",
        f"| language | {facts['language']} |",
        f"| learned from | {data['minutes']:.1f} min, {data['clips']} clips; {data['held_out']} clips held out |",
        f"| size | {report['megabytes']:.2f} MB |",
        "",
        "Speech that this voice makes is synthetic and must be labelled so.",
        "",
        "## How it was made",
        "",
        f"    {report['command']}",
        "",
        _how(report),
        "",
        "## What was measured",
        "",
        *_measured(report),
        "",
        "## The recordings",
        "",
        *(f"    {line}" for line in data["report"]),
    ]
    return "\n".join(lines) + "\n"


def _stated(value: str, what_to_do: str) -> str:
    return value if value != UNSTATED else f"**unstated**: {what_to_do}"


def _how(report: Mapping[str, Any]) -> str:
    trained, chosen = report["training"], report["chosen"]
    rank = f"rank {trained['rank']} on {', '.join(trained['targets'])}; " if trained["rank"] else "all weights; "
    replay = f"{100 * trained['replay_share']:.0f} % of the batches replayed; " if trained["replay_share"] else ""
    who = "chosen by the judges" if trained["early"] else "the last, since no judges chose"
    return (
        f"{trained['parameters']:,} numbers trained, {rank}{replay}{trained['steps']} steps in {trained['minutes']:.1f} minutes "
        f"on {trained['device']} with {trained['threads']} threads, checks included. "
        f"It began with a held-out loss of {trained['loss_at_start']:.3f}, {trained['start']}. "
        f"Kept: the weights {chosen['weights']} after step {chosen['step']}, {who}, {100 * chosen['strength']:.0f} % of the way "
        "from the base."
    )


def _measured(report: Mapping[str, Any]) -> list[str]:
    rows = [
        "| who speaks | held-out loss | word error % | similarity to the recordings |",
        "|---|---|---|---|",
        *(_row(row) for row in report["figures"]),
        "",
        f"{report['sentences']} held-out sentences{_others(report['others'])}, each said alone; 95 % bootstrap intervals.",
    ]
    rows.append(f"Judges: {report['judges']}." if report["judges"] else f"Nobody listened: {report['missing']}.")
    rows.append(report["forgotten"])
    return rows


def _others(count: int) -> str:
    return f" and, but for the recordings, {count} of `harvard_dev30`" if count else ""


def _row(row: Mapping[str, Any]) -> str:
    loss = f"{row['held_out_loss']:.3f}" if "held_out_loss" in row else ""
    words = _interval(row.get("word_error_rate"), 100, 1)
    return f"| {row['who']} | {loss} | {words} | {_interval(row.get('similarity'), 1, 3)} |"


def _interval(value: Mapping[str, float] | None, scale: float, digits: int) -> str:
    if value is None:
        return ""
    v, low, high = (scale * value[k] for k in ("value", "low", "high"))
    return f"{v:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
