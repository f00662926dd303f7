"""Captioned sounds made by rule (CC0), alone and two together: python -m data_prep.procedural_sounds OUT --clips 2000

    "two low beeps"     "wind blowing, then a bird singing"     "rain while an engine is running"

OUT holds wavs, manifest.jsonl (each part's kind, start and end) and the prepared cuts; a cut's speaker is the kind of its
only part, or `mixed`. The same arguments give the same bytes. Held out are one clip in N, and all clips of about one pair of
kinds in N: who trains on the others has never heard those two together in that order.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.prepare import run
from data_prep.sound_sources import SOURCES, Wave
from fm_audio.data.preparation.layouts import Naming, read_manifest
from fm_audio.data.preparation.prepare import Options, prepare, text_hash
from fm_audio.data.preparation.report import Report
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.procedural_sounds data/procedural --clips 2000 --hold-out 12"
RATE = 24_000
SECONDS = (1.0, 5.0)
LOUDNESS = 0.1  # root mean square of each part, about −20 dB
FADE_SECONDS = 0.01
THEN = ("{}, then {}", "{} followed by {}", "{} and then {}")
WHILE = ("{} while there is {}", "{} with {} in the background", "{} and {} at the same time")


def clip(draw: np.random.Generator, mixed: float) -> tuple[str, Wave, list[dict[str, Any]]]:
    """A caption, its wave, and what is in it from when to when. `mixed`: the share of clips with two sounds."""
    first = _part(draw)
    if draw.random() >= mixed:
        return first[0], first[2], [_told(first, 0.0)]
    second = _part(draw, unlike=first[1])
    if draw.random() < 0.5:
        caption, at = str(draw.choice(THEN)), len(first[2]) / RATE
        wave = np.concatenate([first[2], second[2]])
    else:
        caption, at, n = str(draw.choice(WHILE)), 0.0, max(len(first[2]), len(second[2]))
        wave = np.sum([np.pad(x[2], (0, n - len(x[2]))) for x in (first, second)], axis=0)
        wave = wave * min(1.0, 0.9 / np.abs(wave).max())
    return caption.format(first[0], second[0]), wave, [_told(first, 0.0), _told(second, at)]


def _part(draw: np.random.Generator, unlike: str = "") -> tuple[str, str, Wave]:
    kind = str(draw.choice([k for k in SOURCES if k != unlike]))
    caption, wave = SOURCES[kind](draw, float(draw.uniform(*SECONDS)), RATE)
    n = np.arange(len(wave))
    wave = wave * np.minimum(1.0, np.minimum(n, n[::-1]) / (FADE_SECONDS * RATE))
    loud = np.sqrt(np.mean(wave**2)) + 1e-9
    return caption, kind, wave * min(LOUDNESS / loud, 0.9 / (np.abs(wave).max() + 1e-9))


def _told(part: tuple[str, str, Wave], start: float) -> dict[str, Any]:
    return {"kind": part[1], "start": round(start, 3), "end": round(start + len(part[2]) / RATE, 3)}


def make(out: Path, clips: int, mixed: float, seed: int = 0, hold_out: int = 12, jobs: int = 1) -> Report:
    (out / "wavs").mkdir(parents=True, exist_ok=True)
    written = partial(_written, out, mixed, seed, hold_out)
    if jobs == 1:
        lines = list(map(written, range(clips)))
    else:
        with ProcessPoolExecutor(jobs) as pool:
            lines = list(pool.map(written, range(clips), chunksize=16))
    manifest = out / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = Options(licence="CC0-1.0", synthetic=True, relative=True, workers=jobs)
    clips_read = read_manifest(manifest, Naming("mixed", "en"))
    return prepare(clips_read, out, options, Report("procedural sounds", options.licence, True))


def _written(out: Path, mixed: float, seed: int, hold_out: int, i: int) -> str:
    """Clip i as a file, and its line of the manifest."""
    import soundfile

    caption, wave, parts = clip(np.random.default_rng([seed, i]), mixed)
    audio = f"wavs/{i:05d}.wav"
    soundfile.write(out / audio, np.clip(wave, -1, 1), RATE, subtype="PCM_16")
    kinds = [part["kind"] for part in parts]
    held = i % hold_out == 0 or (len(kinds) > 1 and text_hash(" ".join(kinds)) % hold_out == 0) if hold_out else False
    row = {"id": f"{i:05d}", "audio": audio, "text": caption, "speaker": kinds[0] if len(kinds) == 1 else "mixed"}
    return json.dumps({**row, "held": held, "parts": parts})


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.procedural_sounds", description=__doc__, epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--mixed", type=float, default=0.5, help="share of clips with two sounds (0.5)")
    parser.add_argument("--seed", type=int, default=0)
    held_out = "about one clip and one pair of kinds in N for validation (12); 0 is none"
    parser.add_argument("--hold-out", type=int, default=12, help=held_out)
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side (1)")
    args = parser.parse_args(argv)
    if min(args.clips, args.jobs) < 1 or not 0 <= args.mixed <= 1:
        asked = f"--clips {args.clips} --jobs {args.jobs} --mixed {args.mixed}"
        raise FmAudioError(f"{asked}: give 1 or more clips and jobs, and a share from 0 to 1")
    print("\n".join(make(args.out, args.clips, args.mixed, args.seed, args.hold_out, args.jobs).lines()))


if __name__ == "__main__":
    run(main)
