"""`fm-audio scene script.yaml -o out.wav`: speech, sounds, files and pauses on one timeline."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fm_audio.audio import require_writable
from fm_audio.commands.progress import progress_bar
from fm_audio.voices.scene import read_scene
from fm_audio.voices.scene_studio import Studio

EXAMPLE = """example: fm-audio scene evening.yaml -o evening.wav, with evening.yaml
  loudness: -18
  lines:
    - {sound: rain, seconds: 8, at: 0, lufs: -32, fade: 1}
    - pause: 1
    - {say: Good evening., voice: heart, lufs: -18}"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio scene",
        description="Put speech, sounds, files and pauses on one timeline. The same script gives the same file.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("script", type=Path, help="a scene in YAML")
    made.add_argument("-o", "--out", type=Path, required=True, help=".wav, .flac or .ogg")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--json", action="store_true", help="print a report: when each line begins and ends")
    return made


def main(argv: Sequence[str]) -> int:
    """Writes the file. Raises FmAudioError before it is written when a line cannot be made."""
    given = parser().parse_args(argv)
    require_writable(given.out)
    scene = read_scene(given.script)
    with progress_bar("making") as progress:
        audio, placed = Studio(given.device).make(scene, progress)
    audio.save(given.out)
    if given.json:
        report = {"output": str(given.out), "seconds": round(audio.seconds, 4), "lines": [asdict(line) for line in placed]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    return 0
