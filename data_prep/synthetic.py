"""Tiny corpora for tests and smoke runs: words whose every symbol is a tone, so text, durations and sound are known exactly.

A speaker is a pitch and a colour. The same arguments give the same bytes. The folder holds wavs, manifest.jsonl (the layout that
`custom` reads, with phones and durations) and the prepared cuts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.prepare import run
from fm_audio.data.preparation.layouts import Naming, read_manifest
from fm_audio.data.preparation.prepare import Options, prepare
from fm_audio.data.preparation.report import Report
from fm_audio.data.text.frontend import COMMON_SYMBOLS, FrontEnd

EXAMPLE = "example: python -m data_prep.synthetic data/synthetic --clips 24 --speakers 2"
WORDS = "one two three red blue green sun moon rain dog cat bird day night home water stone light small long".split()
UNIT_SECONDS = 0.01
SILENT = {"^": (8, 12), " ": (2, 4), ",": (8, 12), ".": (6, 8)}  # units, from and to
SOUNDING = (6, 12)
FRONT_END = "fm_audio.data.text.arpabet.Arpabet"


def make(
    out: Path, clips: int, speakers: int, frontend: FrontEnd, seed: int = 0, sample_rate: int = 24_000, hold_out: int = 6
) -> Report:
    """Write the corpus into `out` and prepare it. Speakers are called tone0, tone1, …"""
    (out / "wavs").mkdir(parents=True, exist_ok=True)
    rows = [_clip(out, i, f"tone{i % speakers}", i % speakers, frontend, seed, sample_rate) for i in range(clips)]
    manifest = out / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    options = Options(licence="CC0-1.0", synthetic=True, relative=True, hold_out=hold_out)
    return prepare(read_manifest(manifest, Naming("tone0", "en")), out, options, Report("synthetic", options.licence, True))


def _clip(out: Path, index: int, name: str, speaker: int, frontend: FrontEnd, seed: int, rate: int) -> dict[str, Any]:
    import soundfile

    rng = np.random.default_rng([seed, index])
    text = " ".join(rng.choice(WORDS, size=rng.integers(2, 6))) + "."
    symbols = frontend.encode(text).symbols
    units = [int(rng.integers(*SILENT.get(s, SOUNDING), endpoint=True)) for s in symbols]
    wave = np.concatenate([tone(s, u, speaker, frontend.symbols, rate) for s, u in zip(symbols, units, strict=True)])
    audio = f"wavs/{index:04d}.wav"
    soundfile.write(out / audio, wave, rate, subtype="PCM_16")
    row = {"id": f"{index:04d}", "audio": audio, "text": text, "speaker": name, "seconds": len(wave) / rate}
    return {**row, "phones": symbols, "durations": units, "unit_seconds": UNIT_SECONDS}


def tone(symbol: str, units: int, speaker: int, symbols: Sequence[str], rate: int) -> np.ndarray:
    """The sound of one symbol: (units · UNIT_SECONDS · rate,) float32, silence for edges, spaces and punctuation."""
    samples = round(units * UNIT_SECONDS * rate)
    if symbol in COMMON_SYMBOLS:
        return np.zeros(samples, dtype=np.float32)
    place = symbols.index(symbol) / len(symbols)
    hertz = 180.0 * 2 ** (4 * place) * (1 + 0.26 * speaker)
    phase = 2 * np.pi * hertz * np.arange(samples) / rate
    wave = np.sin(phase) + 0.5 / (1 + speaker) * np.sin(2 * phase)
    ramp = np.minimum(1.0, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.005 * rate))
    return (0.3 * wave * ramp).astype(np.float32)


def main(argv: Sequence[str] | None = None) -> None:
    from fm_audio.checkpoint import instantiate

    parser = argparse.ArgumentParser(
        "python -m data_prep.synthetic", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--speakers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample-rate", type=int, default=24_000)
    parser.add_argument("--hold-out", type=int, default=6, help="about one text in N for validation")
    parser.add_argument("--frontend", default=FRONT_END, help=f"class whose symbols become tones ({FRONT_END})")
    args = parser.parse_args(argv)
    frontend = instantiate({"class_path": args.frontend, "init_args": {}})
    report = make(args.out, args.clips, args.speakers, frontend, args.seed, args.sample_rate, args.hold_out)
    print("\n".join(report.lines()))


if __name__ == "__main__":
    run(main)
