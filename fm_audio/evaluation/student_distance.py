"""How far a student's mels lie from where its teacher goes without haste, beside the teacher in as many steps.

    error = E ‖ mel − mel∞ ‖ / E ‖ mel∞ − mel∞ of another seed ‖        mel∞: the teacher by RK4 (`fm_audio.evaluation.frontier`)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fm_audio.evaluation.frontier import Frontier
from fm_audio.evaluation.protocols import load_protocol
from fm_audio.evaluation.report import save_json
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.types import FmAudioError
from fm_audio.voices import load

EXAMPLE = "example: python -m fm_audio.evaluation.student_distance heart runs/english_fast --json distances.json"


@dataclass(frozen=True)
class Speech:
    """The mels of a voice, as `Frontier` asks for them."""

    voice: Any
    texts: Sequence[str]

    def __call__(self, item: int, seed: int, sampling: Sampling) -> torch.Tensor:
        request = SpeechRequest(self.texts[item], self.voice.speakers[self.voice.name], seed)
        return self.voice.model.generate([request], sampling)[0].mel

    def mels(self, sampling: Sampling) -> list[torch.Tensor]:
        return [self(i, i, sampling) for i in range(len(self.texts))]

    def forwards(self, sampling: Sampling) -> int | None:
        return self.voice.model.head.forwards(sampling)


def distances(
    teacher: Speech, student: Speech, own: Sampling, steps: Sequence[int], student_steps: Sequence[int]
) -> dict[str, list[dict[str, float]]]:
    """teacher, teacher by midpoint, and student -> steps, forwards and error for each number of steps."""
    frontier = Frontier(teacher, len(teacher.texts), own)
    midpoint = replace(own, solver="midpoint")
    plain = replace(own, guidance=1.0)  # what a student was taught holds the guidance
    asked = {
        "teacher": (teacher, own, steps),
        "teacher, midpoint": (teacher, midpoint, [n // 2 for n in steps if n % 2 == 0]),  # in as many forwards
        "student": (student, plain, student_steps),
    }
    found: dict[str, list[dict[str, float]]] = {}
    for name, (speech, sampling, counts) in asked.items():
        ways = [replace(sampling, steps=n) for n in counts]
        found[name] = [
            {"steps": way.steps, "forwards": speech.forwards(way) or 0, "error": frontier.error(speech.mels(way))} for way in ways
        ]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fm_audio.evaluation.student_distance", description=str(__doc__).splitlines()[0], epilog=EXAMPLE
    )
    parser.add_argument("teacher", metavar="TEACHER", help="a voice by name or folder")
    parser.add_argument("student", metavar="STUDENT", help="what `fm-audio distill` made of it; DIR/NAME is one of its voices")
    parser.add_argument("--data", default="harvard_dev30", metavar="FILE|NAME", help="sentences (default: harvard_dev30)")
    parser.add_argument("--limit", type=int, default=6, metavar="N", help="the first N of them (default: 6)")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], metavar="N", help="of the teacher")
    parser.add_argument("--student-steps", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N", help="of the student")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args(argv)
    try:
        if min([given.limit, given.threads, *given.steps, *given.student_steps]) < 1:
            raise FmAudioError("--limit, --threads, --steps and --student-steps: give whole numbers from 1")
        torch.set_num_threads(given.threads)
        texts = load_protocol(given.data, "en").first(given.limit).sentences
        teacher, student = (Speech(load(name), texts) for name in (given.teacher, given.student))
        sampling = teacher.voice.sampling
        own = replace(sampling, solver="euler", grid="uniform", tolerance=None)
        found = distances(teacher, student, own, given.steps, given.student_steps)
        if given.json:
            save_json(given.json, {"voice": teacher.voice.name, "data": given.data, "items": len(texts), "distances": found})
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    for name, points in found.items():
        print(f"{name}: " + ", ".join(f"{p['steps']} steps, {p['forwards']} forwards {p['error']:.3f}" for p in points))
    return 0


if __name__ == "__main__":
    sys.exit(main())
