"""`fm-audio transcribe in.wav --model DIR`: what is said in a recording."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fm_audio.audio import load_audio
from fm_audio.checkpoint import load_model
from fm_audio.commands.writing import add_writing, writing_sampling
from fm_audio.tasks.joint import part_of
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.transcription import Transcript, TranscriptRequest
from fm_audio.types import FmAudioError
from fm_audio.voices.find import device_named


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio transcribe",
        description="Write down what is said in recordings, a line for each. The same request gives the same text.",
        epilog="example: fm-audio transcribe in.wav --model runs/speech_to_text/model --json",
    )
    made.add_argument("audio", nargs="+", metavar="FILE", help="recordings: .wav, .flac, .ogg, .opus or .mp3")
    made.add_argument("--model", type=Path, required=True, metavar="DIR", help="a model folder of fm-audio export")
    add_writing(made)
    made.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--json", action="store_true", help="print a report: text, passages with seconds, forwards")
    return made


def main(argv: Sequence[str]) -> int:
    """Prints one line for each file. Raises FmAudioError before anything is printed when something cannot be heard."""
    given = parser().parse_args(argv)
    loaded = load_model(given.model).to(device_named(given.device))
    model = part_of(loaded, "listening")
    if not isinstance(model, SpeechToText):
        raise FmAudioError(f"{given.model}: holds a {type(model).__name__}, which does not listen; give a speech-to-text model")
    requests = [TranscriptRequest(load_audio(path, model.spec.sample_rate), given.seed) for path in given.audio]
    own = writing_sampling(given.model, loaded, model, given.preset)
    sampling = own.changed(steps=given.steps, temperature=given.temperature)
    wishes = {name: getattr(given, name) for name in ("length", "candidates", "samples")}
    decoding = replace(model.default_decoding(), **{name: wish for name, wish in wishes.items() if wish is not None})
    heard = model.generate(requests, sampling, decoding)
    if given.json:
        print(json.dumps([_report(p, t) for p, t in zip(given.audio, heard, strict=True)], indent=2, ensure_ascii=False))
    else:
        print("\n".join(t.text for t in heard))
    return 0


def _report(path: str, heard: Transcript) -> dict[str, object]:
    return {"file": path, **asdict(heard)}
