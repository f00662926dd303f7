"""The command line: `fm-audio say "Hello." -o hello.wav`, and the way to the other rooms' commands.

Exit codes: 0 the output was written whole, 2 a mistake that the line on stderr explains, 3 the output was written but --verify
found it wrong, 130 interrupted. torch is imported inside commands, so that --help is quick.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from fm_audio import __version__
from fm_audio.evaluation import voices_command
from fm_audio.progress import progress_bar
from fm_audio.running import add_running, add_threads, threads
from fm_audio.sampling_options import add_adaptive, chosen

if TYPE_CHECKING:
    from fm_audio.evaluation.guard import Guard
    from fm_audio.voices import Voice

NOT_AS_ASKED = 3

# command: (module whose main(arguments) does it, the extra that installs what it needs, one line of help)
ELSEWHERE = {
    "fit": ("fm_audio.training.cli", "train", "train from a recipe: fm-audio fit --config recipes/aligned_tts/smoke.yaml"),
    "validate": ("fm_audio.training.cli", "train", "measure the validation losses of a checkpoint"),
    "test": ("fm_audio.training.cli", "train", "measure the test losses of a checkpoint"),
    "convert": ("fm_audio.convert.cli", "train", "other projects' weights to a model folder, and back"),
    "export": ("fm_audio.training.export_command", "train", "a training run to a model folder, or a model folder to ONNX"),
    "adapt": ("fm_audio.adapt.cli", "train", "a new voice from recordings: an adapter for a voice that exists"),
    "text": ("fm_audio.tasks.text_command", "train", "write text: the answer of a text-to-text model, or text from noise alone"),
    "sound": ("fm_audio.voices.sound_command", "train", "make a sound that a sentence describes"),
    "scene": ("fm_audio.voices.scene_command", "scene", "speech, sounds, files and pauses on one timeline"),
    "bank": ("fm_audio.voices.sound_bank_command", "train", "captioned sounds that fm-audio sound looks among"),
    "transcribe": ("fm_audio.tasks.transcribe_command", "train", "write down what is said in recordings"),
    "distill": ("fm_audio.adapt.distill_command", "train", "teach a model of few steps by one of many"),
    "frontier": ("fm_audio.evaluation.frontier_command", "eval", "how few forwards are enough: solvers, grids, guidance"),
    "eval": ("fm_audio.evaluation.cli", "eval", "word error, similarity, DNSMOS and speed on a list of sentences"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in ELSEWHERE:
            return _run_elsewhere(arguments)
        args = parser().parse_args(arguments)
        with threads(args.threads) if "threads" in args else nullcontext():
            return args.run(args)
    except KeyboardInterrupt:
        print("fm-audio: interrupted", file=sys.stderr)
        return 130
    except ValueError as e:
        from fm_audio.types import FmAudioError

        if not isinstance(e, FmAudioError):
            raise
        print("fm-audio: error:", " ".join(str(e).split()), file=sys.stderr)
        return 2


def _run_elsewhere(arguments: list[str]) -> int:
    command, *rest = arguments
    module, extra, _ = ELSEWHERE[command]
    try:
        run = import_module(module).main
        return run(arguments if module == "fm_audio.training.cli" else rest) or 0
    except ModuleNotFoundError as e:
        from fm_audio.types import FmAudioError

        if (e.name or "").split(".")[0] == "fm_audio":
            raise
        raise FmAudioError(f"{command} needs the package {e.name}; run: pip install 'fm_audio[{extra}]'") from e


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="fm-audio", description="Speech from conditional flow matching: speak, train, measure.")
    made.add_argument("--version", action="version", version=f"fm-audio {__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_say(commands)
    _add_clone(commands)
    _add_edit(commands)
    voices_command.add(commands)
    for name, (_, _, help_line) in ELSEWHERE.items():
        commands.add_parser(name, help=help_line, add_help=False)
    return made


def _add_say(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    say = commands.add_parser(
        "say",
        help="read a text out into a sound file",
        description="Read a text out into a sound file. The same text, voice, seed and options give the same file.",
        epilog='example: fm-audio say "Dr. Smith paid $4.50 on May 3rd." -o smith.wav --voice kathleen --steps 4 --json',
    )
    _add_text(say)
    say.add_argument("--voice", metavar="NAME|DIR", help="a shipped voice (see fm-audio voices) or a model folder")
    say.add_argument("--adapter", metavar="DIR", help="speak as this adapter, which fm-audio adapt wrote")
    runtimes = "insist that --voice has weights for it: onnx for a folder of fm-audio export --onnx (default: whichever it has)"
    say.add_argument("--runtime", choices=("torch", "onnx"), help=runtimes)
    _add_sampling(say, "voice")
    say.add_argument("--pitch", type=float, default=0.0, metavar="SEMITONES", help="higher or lower by so many (default: 0)")
    say.add_argument("--json", action="store_true", help="print a report: length, words with times, real-time factor, forwards")
    _add_verify(say)
    say.set_defaults(run=_say)


def _say(args: argparse.Namespace) -> int:
    text = _text(args)
    from fm_audio.audio import require_writable
    from fm_audio.voices import load

    require_writable(args.output)
    voice = load(args.voice, args.device, args.adapter, args.preset, args.precision, args.compile, args.runtime)
    voice.sampling = chosen(voice.sampling, args)
    guard = _guard(args, voice)
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
    return _verdict(guard, args.output)


def _add_text(command: argparse.ArgumentParser) -> None:
    """What to say, where to, and at what pace."""
    source = command.add_mutually_exclusive_group(required=True)
    what = "what to say; - reads standard input; <break 500ms> is a pause, {flib|F L IH1 B} a word with its phones"
    source.add_argument("text", nargs="?", help=what)
    source.add_argument("--file", type=Path, help="read the text from this UTF-8 file")
    command.add_argument("-o", "--output", type=Path, required=True, help="the file to write: .wav, .flac, .ogg or .mp3")
    pace = command.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, default=1.0, help="2 speaks twice as fast (default: 1, the voice's own pace)")
    pace.add_argument("--seconds", type=float, help="the exact length of the speech")


def _add_sampling(command: argparse.ArgumentParser, whose: str) -> None:
    command.add_argument("--steps", type=int, help=f"solver steps: more is slower and finer (default: the {whose}'s)")
    presets = "how much care, as fm-audio frontier measured it for this model: fast, balanced (default) or best"
    command.add_argument("--preset", metavar="NAME", help=presets)
    command.add_argument("--guidance", type=float, help=f"guidance weight; 1 is off (default: the {whose}'s)")
    command.add_argument("--temperature", type=float, help=f"scale of the noise that speech starts from (default: the {whose}'s)")
    command.add_argument("--seed", type=int, default=0, help="another seed is another reading (default: 0)")
    command.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add_running(command)
    add_threads(command)
    add_adaptive(command)


def _add_verify(command: argparse.ArgumentParser) -> None:
    checks = command.add_argument_group("checking")
    what = "let a judge listen, redraw what is wrong, and say what is wrong still (exit code 3)"
    checks.add_argument("--verify", action="store_true", help=what)
    judges = "whisper-tiny.en, whisper-base, transformers:NAME or a folder; a second one behind a comma is asked in doubt"
    judges += " (default: whisper-tiny.en)"
    checks.add_argument("--judge", default="whisper-tiny.en", metavar="JUDGE", help=judges)
    checks.add_argument("--redraws", type=int, default=3, metavar="N", help="at most so many for each sentence (default: 3)")
    checks.add_argument("--language", default="en", metavar="XX", help="two letters, for the judge (default: en)")


def _guard(args: argparse.Namespace, voice: Voice | None = None) -> Guard | None:
    """The judge that was asked for, before anything is spoken; of a voice, one that knows how it speaks."""
    candidates = getattr(args, "candidates", 1)
    if not args.verify and candidates == 1:
        return None
    import torch

    from fm_audio.evaluation.acoustics import acoustics_of
    from fm_audio.evaluation.guard import Guard
    from fm_audio.evaluation.reading import shipped_reading
    from fm_audio.evaluation.recognisers import load_judges
    from fm_audio.evaluation.verify import Verifier

    first, second = load_judges(args.judge, args.language, torch.get_num_threads())
    known = acoustics_of(voice) if voice else None
    verifier = Verifier(first, args.language, acoustics=known, second=second, reading=shipped_reading())
    return Guard(verifier, args.redraws, candidates)


def _verdict(guard: Guard | None, output: Path) -> int:
    """The exit code of speech that was written; one line on stderr when it is not what was asked for."""
    if guard is None or guard.ok:
        return 0
    draws = sum(len(p.tries) for p in guard.pieces)
    print(f"fm-audio: not as asked, after {draws} draws: {guard.summary}; the best is in {output}", file=sys.stderr)
    return NOT_AS_ASKED


def _add_clone(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "read a text out in the voice of a short recording"
    clone = commands.add_parser(
        "clone",
        help=what,
        description=f"{what.capitalize()}. Use voices only of people who agreed to it.",
        epilog='example: fm-audio clone "Good morning." --reference anna.wav --reference-text "I am Anna." -o out.wav',
    )
    _add_text(clone)
    whose = clone.add_mutually_exclusive_group(required=True)
    whose.add_argument("--reference", metavar="FILE|NAME", help="1 to 20 s of one voice, or a voice of the bank")
    whose.add_argument("--voice-like", metavar="TEXT", help='the voice of the bank that is described so: "calm elderly man"')
    clone.add_argument("--reference-text", help="what the reference says, word for word; the bank knows it of its voices")
    clone.add_argument("--bank", type=Path, metavar="DIR", help="the voice bank (see fm-audio voices --help)")
    _add_cloner(clone)
    _add_sampling(clone, "model")
    rules = "rate: the reference's pace, in phones or letters; learned: the model's own predictor (default: learned where it is)"
    clone.add_argument("--length", choices=("rate", "learned"), help=rules)
    clone.add_argument("--json", action="store_true", help="print a report: length, real-time factor, verification")
    _add_verify(clone)
    lengths = "draw each sentence in N likely lengths and keep the one that the judge likes best; implies --verify (default: 1)"
    clone.add_argument("--candidates", type=int, default=1, metavar="N", help=lengths)
    clone.set_defaults(run=_clone)


def _clone(args: argparse.Namespace) -> int:
    text = _text(args)
    from fm_audio.audio import load_audio, require_writable
    from fm_audio.voices.bank import VoiceBank, reference_of
    from fm_audio.voices.cloner import load_cloner

    require_writable(args.output)
    path, said, card = reference_of(args.reference, args.reference_text, VoiceBank(args.bank), args.voice_like)
    cloner = load_cloner(args.model, args.device, args.preset, args.precision, args.compile)
    cloner.sampling = chosen(cloner.sampling, args)
    guard = _guard(args)
    reference = load_audio(path, cloner.spec.sample_rate)
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
            "reference": asdict(card) if card else {"file": str(path)},
            "length": "seconds" if args.seconds is not None else cloner.model.length_rule(args.length),
        } | ({"verification": guard.report()} if guard else {})
        print(json.dumps(report, indent=2))
    return _verdict(guard, args.output)


def _add_cloner(command: argparse.ArgumentParser) -> None:
    what = "the model that ships (default: english_cloner), or a folder of fm-audio export or fm-audio convert"
    command.add_argument("--model", default="english_cloner", metavar="NAME|DIR", help=what)


def _add_edit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "change words of a recording in its own voice"
    edit = commands.add_parser(
        "edit",
        help=what,
        description=f"{what.capitalize()}; the rest stays bit for bit. Use voices only of people who agreed to it.",
        epilog='example: fm-audio edit in.wav --text-before "I met Anna." --text-after "I met Hannah." -o out.wav',
    )
    edit.add_argument("recording", type=Path, help="up to two minutes, in any format and rate")
    edit.add_argument("--text-before", required=True, help="what the recording says, word for word")
    edit.add_argument("--text-after", required=True, help="what it shall say")
    edit.add_argument("-o", "--output", type=Path, required=True, help="the file to write: .wav or .flac")
    _add_cloner(edit)
    edit.add_argument("--aligner", metavar="VOICE", help="the voice that finds the words (default: the default voice; English)")
    _add_sampling(edit, "model")
    edit.add_argument("--json", action="store_true", help="print the changes and where they are")
    edit.set_defaults(run=_edit)


def _edit(args: argparse.Namespace) -> int:
    from fm_audio.audio import require_writable
    from fm_audio.voices import load
    from fm_audio.voices.aligner import Aligner
    from fm_audio.voices.cloner import load_cloner
    from fm_audio.voices.editor import Editor
    from fm_audio.voices.recording import Recording, require_lossless

    recording = Recording.load(args.recording)
    require_lossless(require_writable(args.output), recording)
    cloner = load_cloner(args.model, args.device, args.preset, args.precision, args.compile)
    cloner.sampling = chosen(cloner.sampling, args)
    editor = Editor(cloner, Aligner(load(args.aligner, args.device).model))
    how = {k: getattr(args, k) for k in ("seed", "steps", "guidance", "temperature")}
    with progress_bar("editing") as progress:
        edited = editor.edit(recording, args.text_before, args.text_after, progress=progress, **how)
    edited.recording.save(args.output)
    if args.json:
        print(json.dumps({"output": str(args.output), "changes": [asdict(c) for c in edited.changes]}, indent=2))
    return 0


def _text(args: argparse.Namespace) -> str:
    """The text to say, from the command line, a file or standard input."""
    if args.file is None and args.text != "-":
        return args.text
    from fm_audio.types import FmAudioError

    try:
        raw = sys.stdin.buffer.read() if args.file is None else args.file.read_bytes()
        return raw.decode("utf-8")
    except OSError as e:
        raise FmAudioError(f"{args.file}: cannot be read ({e.strerror}); give a text file") from e
    except UnicodeDecodeError as e:
        raise FmAudioError(f"{args.file or 'standard input'}: is not UTF-8 text (byte {e.start}); save it as UTF-8") from e


if __name__ == "__main__":
    sys.exit(main())
