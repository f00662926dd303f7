"""`fm-audio sound "PROMPT" --seconds 4 -o out.wav`: a sound that a sentence describes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from fm_audio.audio import Audio, load_audio, require_writable
from fm_audio.commands.progress import progress_bar
from fm_audio.commands.running import add_running, add_threads, threads
from fm_audio.commands.sampling import add_adaptive, chosen
from fm_audio.data.sound_bank import Found, SoundBank
from fm_audio.types import FmAudioError
from fm_audio.voices.sounds import DEFAULT_SECONDS, NEAREST, SoundMaker, load_sounds


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio sound",
        description="Make a sound that a sentence describes. The same request gives the same sound.",
        epilog='example: fm-audio sound "rain, then a bell" --seconds 5 -o out.wav',
    )
    made.add_argument("prompt", help="what is to be heard")
    made.add_argument("-o", "--out", type=Path, required=True, help=".wav, .flac or .ogg; with --count out_0.wav, out_1.wav …")
    models = "a model that ships, or a folder of fm-audio export (default: made_sounds)"
    made.add_argument("--model", metavar="NAME|DIR", help=models)
    made.add_argument("--adapter", metavar="DIR", help="sounds that fm-audio adapt learned")
    made.add_argument("--seconds", type=float, help=f"how long (default: {DEFAULT_SECONDS:g}, or as long as the sound given)")
    made.add_argument("--negative", default="", metavar="TEXT", help="what is not to be heard")
    made.add_argument("--count", type=int, metavar="N", help="N variations, each with a seed of its own (default: 1)")
    given = made.add_mutually_exclusive_group()
    given.add_argument("--start", type=Path, metavar="FILE", help="a sound to begin with, changed by --strength")
    given.add_argument("--extend", type=Path, metavar="FILE", help="a sound to go on with, until --seconds")
    given.add_argument("--fill", type=Path, metavar="FILE", help="a sound in which --between is made anew")
    made.add_argument("--strength", type=float, help="0 to 1: how much of --start gives way to the prompt (default: 0.6)")
    made.add_argument("--between", type=float, nargs=2, metavar=("FROM", "TO"), help="seconds of --fill")
    made.add_argument("--bank", type=Path, metavar="DIR", help="a bank of fm-audio bank make, to look among for the prompt")
    made.add_argument("--retrieve", type=int, metavar="N", help="show the model so many of its clips (default: 3)")
    made.add_argument("--steps", type=int, help="solver steps (default: the model's)")
    made.add_argument("--preset", metavar="NAME", help="fast, balanced or best, where fm-audio frontier measured them")
    made.add_argument("--guidance", type=float, help="guidance weight; 1 is off (default: the model's)")
    made.add_argument("--seed", type=int, default=0, help="of the first sound; the next takes the next seed (default: 0)")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add_running(made)
    add_threads(made)
    made.add_argument("--json", action="store_true", help="print a report: files, seconds, seed")
    add_adaptive(made)
    return made


def main(argv: Sequence[str]) -> int:
    """Writes the files. Raises FmAudioError before any is written when one cannot be made."""
    given = parser().parse_args(argv)
    with threads(given.threads):
        return _run(given)


def _run(given: argparse.Namespace) -> int:
    if given.strength is not None and given.start is None:
        raise FmAudioError("--strength: says how much of --start changes; give --start FILE too")
    if (given.between is not None) != (given.fill is not None):
        raise FmAudioError("--fill and --between: give both, a sound and the two times between which it is made anew")
    if given.fill is not None and given.seconds is not None:
        raise FmAudioError("--seconds: a sound that is filled keeps its length; leave it out")
    if given.retrieve is not None and (given.bank is None or given.retrieve < 1):
        raise FmAudioError(f"--retrieve {given.retrieve}: give 1 or more, and --bank DIR to take them from")
    if given.count is not None and given.count < 1:
        raise FmAudioError(f"--count: given {given.count}; give 1 or more")
    count = given.count or 1
    files = [given.out] if given.count is None else [given.out.with_stem(f"{given.out.stem}_{i}") for i in range(count)]
    for path in files:
        require_writable(path)
    maker = load_sounds(given.model, given.device, given.adapter, given.preset, given.precision, given.compile)
    found: list[Found] = []
    near: list[Audio] = []
    if given.bank is not None:
        found, near = maker.from_bank(SoundBank(given.bank), given.prompt, given.retrieve or NEAREST)
    with progress_bar("making") as progress:
        sounds = _made(maker, given, count, near, progress)
    for path, sound in zip(files, sounds, strict=True):
        sound.save(path)
    if given.json:
        shown = [{"file": f.clip.file, "caption": f.clip.caption, "licence": f.clip.licence, "near": f.near} for f in found]
        rows = [
            {"file": str(path), "seconds": round(sound.seconds, 4), "seed": given.seed + i, "shown": shown}
            for i, (path, sound) in enumerate(zip(files, sounds, strict=True))
        ]
        print(json.dumps(rows, indent=2))
    return 0


def _made(
    maker: SoundMaker,
    given: argparse.Namespace,
    count: int,
    near: Sequence[Audio],
    progress: Callable[[float], None] | None,
) -> list[Audio]:
    sampling = chosen(maker.sampling.changed(steps=given.steps, guidance=given.guidance), given)
    named = given.start or given.extend or given.fill
    sound = None if named is None else load_audio(named, maker.spec.sample_rate)
    if sound is None or given.start:
        seconds = given.seconds if given.seconds is not None else sound.seconds if sound else DEFAULT_SECONDS
        strength = 0.6 if given.strength is None and given.start else given.strength or 1.0
        prompts = [given.prompt] * count
        return maker.make(prompts, seconds, given.seed, given.negative, sound, strength, sampling, progress, near)
    if given.extend and given.seconds is None:
        raise FmAudioError("--extend: until when? give --seconds, the length of the whole")
    first, last = given.between or (sound.seconds, given.seconds)
    made = []
    for i in range(count):
        made.append(maker.fill(given.prompt, sound, first, last, given.seed + i, given.negative, sampling, near))
        if progress is not None:
            progress((i + 1) / count)
    return made
