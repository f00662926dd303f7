"""`fm-audio clone "Good morning." --reference anna.wav …`: a text read out in the voice of a short recording."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

from fm_audio.commands.progress import progress_bar
from fm_audio.commands.sampling import chosen
from fm_audio.commands.speaking import add_cloner, add_sampling, add_text, add_verify, guard_of, text_of, verdict


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "read a text out in the voice of a short recording"
    clone = commands.add_parser(
        "clone",
        help=what,
        description=f"{what.capitalize()}. Use voices only of people who agreed to it.",
        epilog='examples: fm-audio clone "Good morning." --reference anna.wav --reference-text "I am Anna." -o out.wav; '
        'fm-audio clone "Good morning." --adapter voices/anna -o out.wav',
    )
    add_text(clone)
    whose = clone.add_mutually_exclusive_group()
    heard = "1 to 20 s of one voice, or a voice of the bank (default: what the adapter or model keeps, where it does)"
    whose.add_argument("--reference", metavar="FILE|NAME", help=heard)
    whose.add_argument("--voice-like", metavar="TEXT", help='the voice of the bank that is described so: "calm elderly man"')
    clone.add_argument("--reference-text", help="what the reference says, word for word; the bank knows it of its voices")
    clone.add_argument("--bank", type=Path, metavar="DIR", help="the voice bank (see fm-audio voices --help)")
    add_cloner(clone)
    add_sampling(clone, "model")
    rules = "rate: the reference's pace, in phones or letters; learned: the model's own predictor (default: learned where it is)"
    clone.add_argument("--length", choices=("rate", "learned"), help=rules)
    clone.add_argument("--json", action="store_true", help="print a report: length, real-time factor, verification")
    add_verify(clone)
    lengths = "draw each sentence in N likely lengths and keep the one that the judge likes best; implies --verify (default: 1)"
    clone.add_argument("--candidates", type=int, default=1, metavar="N", help=lengths)
    clone.set_defaults(run=_clone)


def _clone(args: argparse.Namespace) -> int:
    text = text_of(args)
    from fm_audio.audio import require_writable
    from fm_audio.voices.bank import VoiceBank, reference_of
    from fm_audio.voices.cloner import load_cloner
    from fm_audio.voices.reference import Reference

    require_writable(args.output)
    given = args.reference is not None or args.voice_like is not None
    asked = reference_of(args.reference, args.reference_text, VoiceBank(args.bank), args.voice_like) if given else None
    cloner = load_cloner(args.model, args.device, args.preset, args.precision, args.compile, args.adapter)
    cloner.sampling = chosen(cloner.sampling, args)
    known, card = (cloner.reference(), None) if asked is None else (Reference(asked[0], asked[1]), asked[2])
    guard = guard_of(args)
    reference, said = known.recording(cloner.spec.sample_rate), known.text
    how = {k: getattr(args, k) for k in ("seed", "steps", "guidance", "temperature", "speed", "seconds", "length")}
    with progress_bar("speaking") as progress:
        start = perf_counter()
        if guard is None:
            audio = cloner.say(text, reference, said, progress=progress, **how)
        else:
            from fm_audio.evaluation.guard import clone
            from fm_audio.evaluation.speaker import installed_judge

            guard.verifier = replace(guard.verifier, speaker=installed_judge())
            audio = clone(cloner, text, reference, said, guard, progress=progress, **how)
        wall_seconds = perf_counter() - start
    audio.save(args.output)
    if args.json:
        report = {
            "output": str(args.output),
            "seconds": audio.seconds,
            "sample_rate": audio.sample_rate,
            "wall_seconds": round(wall_seconds, 4),
            "real_time_factor": round(wall_seconds / audio.seconds, 5),
            "seed": args.seed,
            "precision": args.precision,
            "model": cloner.name,
            "voice": cloner.voice,
            "reference": asdict(card) if card else {"file": str(known.sound), "text": said},
            "length": "seconds" if args.seconds is not None else cloner.model.length_rule(args.length),
        } | ({"verification": guard.report()} if guard else {})
        print(json.dumps(report, indent=2))
    return verdict(guard, args.output)
