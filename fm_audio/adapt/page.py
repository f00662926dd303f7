"""A page to listen to: recordings, the base voice and the new one side by side, the sound inside the file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from fm_audio.audio import Audio

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}table{border-collapse:collapse;width:100%}"
    "td,th{padding:.5em;border-bottom:1px solid #ccc;text-align:left;vertical-align:top}audio{width:16em;max-width:100%}"
)


def embedded(audio: Audio) -> str:
    """An audio element with the sound in it, as FLAC, which loses nothing."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(audio.samples, -1, 1), audio.sample_rate, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'


def page(title: str, note: str, texts: Sequence[str], columns: Mapping[str, Sequence[Audio]]) -> str:
    """HTML with a row for each text and a column for each way to hear it."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("text", *columns))
    rows = []
    for i, text in enumerate(texts):
        cells = "".join(f"<td>{embedded(sounds[i])}</td>" for sounds in columns.values())
        rows.append(f"<tr><td>{escape(text)}</td>{cells}</tr>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><p>{escape(note)}</p>\n<table><tr>{head}</tr>\n"
        + "\n".join(rows)
        + "\n</table></body></html>\n"
    )
