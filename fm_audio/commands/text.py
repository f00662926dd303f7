"""`fm-audio text "INPUT" --model DIR`: what a text-to-text model answers, or what a free one writes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fm_audio.checkpoint import load_model
from fm_audio.commands.writing import add_writing, writing_sampling
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.autoregressive_text import AutoregressiveText
from fm_audio.tasks.joint import part_of
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_models import folder_of
from fm_audio.tasks.text_requests import GeneratedText, TextRequest
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.types import FmAudioError
from fm_audio.voices.find import device_named

FLOW_ONLY = ("steps", "guidance", "length", "candidates", "preset")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio text",
        description="Write text: a model's answer to each line, or texts of its own. The same request gives the same text.",
        epilog='example: fm-audio text "flibbertigibbet" --model g2p --json',
    )
    asked = made.add_mutually_exclusive_group()
    asked.add_argument("text", nargs="?", help="what to answer; - reads standard input, one a line; leave it out to write freely")
    asked.add_argument("--file", type=Path, help="what to answer, one a line of UTF-8 text; empty lines are passed over")
    made.add_argument(
        "--model", required=True, metavar="NAME|DIR", help="g2p (spelling to sound), or a folder of fm-audio export"
    )
    add_writing(made)
    made.add_argument("--guidance", type=float, help="guidance weight; 1 is off (default: 1)")
    made.add_argument("--count", type=int, metavar="N", help="texts to write freely (default: 1)")
    made.add_argument("--seed", type=int, default=0, help="of the first text; the next takes the next seed (default: 0)")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--json", action="store_true", help="print a report: text, log probability, forwards, samples")
    return made


def main(argv: Sequence[str]) -> int:
    """Prints one line for each text. Raises FmAudioError before anything is printed when something cannot be answered."""
    given = parser().parse_args(argv)
    if given.count is not None and given.count < 1:
        raise FmAudioError(f"--count: given {given.count}; give 1 or more")
    if given.count is not None and (given.text is not None or given.file is not None):
        raise FmAudioError(f"--count {given.count}: counts texts that are written freely; leave out the text, or --count")
    inputs = _inputs(given)
    folder = folder_of(given.model)
    loaded = load_model(folder).to(device_named(given.device))
    model = part_of(loaded, "writing")
    own = writing_sampling(folder, loaded, model, given.preset) if isinstance(model, TextToText | TextInPlace) else None
    made = _written(model, own, [TextRequest(text, given.seed + i) for i, text in enumerate(inputs)], given)
    if given.json:
        print(json.dumps([_report(text, one) for text, one in zip(inputs, made, strict=True)], indent=2, ensure_ascii=False))
    else:
        print("\n".join(one.text for one in made))
    return 0


def _written(
    model: object, own: Sampling | None, requests: Sequence[TextRequest], given: argparse.Namespace
) -> list[GeneratedText]:
    if isinstance(model, AutoregressiveText):
        needless = [f"--{name}" for name in FLOW_ONLY if getattr(given, name) is not None]
        if needless:
            raise FmAudioError(f"{given.model}: writes token after token and knows no {', '.join(needless)}; leave it out")
        return model.generate(requests, given.temperature, given.samples or 1)
    if not isinstance(model, TextToText | TextInPlace) or own is None:
        raise FmAudioError(f"{given.model}: holds a {type(model).__name__}, which writes no text; give a text-to-text model")
    sampling = own.changed(steps=given.steps, temperature=given.temperature, guidance=given.guidance)
    wishes = {name: getattr(given, name) for name in ("length", "candidates", "samples")}
    decoding = replace(model.default_decoding(), **{name: wish for name, wish in wishes.items() if wish is not None})
    return model.generate(requests, sampling, decoding)


def _inputs(given: argparse.Namespace) -> list[str | None]:
    """Lines to answer; None for each text to write freely."""
    if given.file is None and given.text is None:
        return [None] * (given.count or 1)
    if given.file is None and given.text != "-":
        return [given.text]
    try:
        text = (sys.stdin.buffer.read() if given.file is None else given.file.read_bytes()).decode("utf-8")
    except OSError as e:
        raise FmAudioError(f"{given.file}: cannot be read ({e.strerror}); give a text file") from e
    except UnicodeDecodeError as e:
        raise FmAudioError(f"{given.file or 'standard input'}: is not UTF-8 text (byte {e.start}); save it as UTF-8") from e
    lines: list[str | None] = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise FmAudioError(f"{given.file or 'standard input'}: holds no line to answer; write one text a line")
    return lines


def _report(text: str | None, one: GeneratedText) -> dict[str, object]:
    answer = {"input": text, "text": one.text, "log_probability": round(one.log_probability, 6), "forwards": one.forwards}
    return answer | {"samples": list(one.samples)}
