"""`fm-audio say "Hello." -o hello.wav`: a text read out by a voice that ships, or one of your own."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from time import perf_counter

from fm_audio.commands.progress import progress_bar
from fm_audio.commands.sampling import chosen
from fm_audio.commands.speaking import add_sampling, add_text, add_verify, guard_of, text_of, verdict


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    say = commands.add_parser(
        "say",
        help="read a text out into a sound file",
        description="Read a text out into a sound file. The same text, voice, seed and options give the same file.",
        epilog='example: fm-audio say "Dr. Smith paid $4.50 on May 3rd." -o smith.wav --voice kathleen --steps 4 --json',
    )
    add_text(say)
    say.add_argument("--voice", metavar="NAME|DIR", help="a shipped voice (see fm-audio voices) or a model folder")
    say.add_argument("--adapter", metavar="DIR", help="speak as this adapter, which fm-audio adapt wrote")
    runtimes = "insist that --voice has weights for it: onnx for a folder of fm-audio export --onnx (default: whichever it has)"
    say.add_argument("--runtime", choices=("torch", "onnx"), help=runtimes)
    add_sampling(say, "voice")
    say.add_argument("--pitch", type=float, default=0.0, metavar="SEMITONES", help="higher or lower by so many (default: 0)")
    say.add_argument("--json", action="store_true", help="print a report: length, words with times, real-time factor, forwards")
    add_verify(say)
    say.set_defaults(run=_say)


def _say(args: argparse.Namespace) -> int:
    text = text_of(args)
    from fm_audio.audio import require_writable
    from fm_audio.voices import load

    require_writable(args.output)
    voice = load(args.voice, args.device, args.adapter, args.preset, args.precision, args.compile, args.runtime)
    voice.sampling = chosen(voice.sampling, args)
    guard = guard_of(args, voice)
    how = {k: getattr(args, k) for k in ("seed", "steps", "guidance", "speed", "seconds", "temperature", "pitch")}
    with progress_bar("speaking") as progress:
        start = perf_counter()
        if guard is None:
            spoken = voice.say_detailed(text, progress=progress, **how)
        else:
            from fm_audio.evaluation.guard import say

            spoken = say(voice, text, guard, progress=progress, **how)
        wall_seconds = perf_counter() - start
    spoken.audio.save(args.output)
    if args.json:
        report = {
            "output": str(args.output),
            "seconds": spoken.audio.seconds,
            "sample_rate": spoken.audio.sample_rate,
            "words": [asdict(word) for word in spoken.words],
            "wall_seconds": round(wall_seconds, 4),
            "real_time_factor": round(wall_seconds / spoken.audio.seconds, 5),
            "steps": spoken.steps,
            "forwards": spoken.forwards,
            "seed": spoken.seed,
            "precision": args.precision,
            "model": voice.model_name,
            "voice": spoken.voice,
        } | ({"verification": guard.report()} if guard else {})
        print(json.dumps(report, indent=2))
    return verdict(guard, args.output)
