"""How well does a speech-to-text model listen? Character and word error on recordings with texts, for each number of steps.

    python -m fm_audio.evaluation.transcripts MODEL manifest.jsonl --steps 1 2 4 8 16

Both texts are normalised as for the judges of speech (`fm_audio.evaluation.normalise`). A row of one step is always there: it
decides each letter by itself. So is, where the model has it, a row of 0 steps: what connectionist temporal classification hears
off the same states without the flow, which the flow must better to be worth its time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fm_audio.audio import load_audio
from fm_audio.checkpoint import load_model
from fm_audio.evaluation.clips import Line, manifest_lines
from fm_audio.evaluation.metrics import Interval, SentenceScore, rate_interval, score_sentence, timed
from fm_audio.extras import require
from fm_audio.tasks.alignment_writer import AlignmentWriter
from fm_audio.tasks.joint import part_of
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.transcription import Transcript, TranscriptRequest
from fm_audio.types import FmAudioError


@dataclass(frozen=True)
class Row:
    """What one number of steps comes to, 0 being greedy CTC; `seconds` of listening a second of sound, all in batches."""

    steps: int
    temperature: float
    characters: Interval
    words: Interval
    forwards: float
    seconds: float
    scores: list[SentenceScore]

    def report(self) -> dict[str, Any]:
        heard = [{"text": s.reference, "heard": s.heard} for s in self.scores]
        plain = {"steps": self.steps, "temperature": self.temperature, "forwards": self.forwards, "seconds": self.seconds}
        return {**plain, "characters": asdict(self.characters), "words": asdict(self.words), "clips": heard}


def measure(model: SpeechToText, lines: Sequence[Line], steps: Sequence[int], temperature: float, language: str) -> list[Row]:
    """A row for each number of steps, one step among them; of models with ctc also of none.

    Raises FmAudioError for lines without a text.
    """
    bare = next((line for line in lines if not line.text), None)
    if bare is not None:
        raise FmAudioError(f"manifest, line {bare.number}: has no text to compare with; give one")
    requests = [TranscriptRequest(load_audio(line.path, model.spec.sample_rate), i) for i, line in enumerate(lines)]
    long = sum(r.audio.seconds for r in requests)
    rows = []
    if isinstance(model.writer, AlignmentWriter):
        heard, seconds = timed(lambda: model.greedy(requests))
        rows.append(_row(0, 0.0, lines, heard, seconds / long, language))
    for count in sorted({1, *steps} - {0}):
        sampling = model.default_sampling().changed(steps=count, temperature=temperature)
        heard, seconds = timed(lambda s=sampling: model.generate(requests, s))  # type: ignore[misc]
        rows.append(_row(count, temperature, lines, heard, seconds / long, language))
    return rows


def _row(
    steps: int, temperature: float, lines: Sequence[Line], heard: Sequence[Transcript], seconds: float, language: str
) -> Row:
    scores = [score_sentence(str(line.text), t.text, language) for line, t in zip(lines, heard, strict=True)]
    characters, words = (rate_interval([getattr(s, name) for s in scores]) for name in ("characters", "words"))
    forwards = sum(t.forwards for t in heard) / len(heard)
    return Row(steps, temperature, characters, words, forwards, seconds, scores)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.transcripts", description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path, help="a model folder of fm-audio export")
    parser.add_argument("manifest", type=Path, help="lines of JSON with audio and text")
    parser.add_argument("--speaker", help="of the manifest, one alone")
    parser.add_argument("--limit", type=int, help="at most so many recordings")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--temperature", type=float, default=0.0, help="scale of the noise at the start (default 0: none)")
    parser.add_argument("--language", default="en", help="two letters, of the texts (default en)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        require("jiwer", "error rates")
        model = part_of(load_model(given.model), "listening")
        if not isinstance(model, SpeechToText):
            raise FmAudioError(f"{given.model}: holds a {type(model).__name__}; give a speech-to-text model")
        lines = manifest_lines(given.manifest, given.speaker, given.limit)
        rows = measure(model, lines, given.steps, given.temperature, given.language)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    if given.json:
        given.json.write_text(json.dumps([row.report() for row in rows], indent=1, ensure_ascii=False), encoding="utf-8")
    print("steps  forwards  character error %      word error %           s a second")
    for row in rows:
        c, w = (f"{100 * i.value:5.1f} [{100 * i.low:5.1f}, {100 * i.high:5.1f}]" for i in (row.characters, row.words))
        print(f"{row.steps or 'CTC':>5}  {row.forwards:8.1f}  {c}  {w}  {row.seconds:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
