"""The command line: `fm-audio say "Hello." -o hello.wav`, and the way to the other commands.

Exit codes: 0 the output was written whole, 2 a mistake that the line on stderr explains, 3 the output was written but --verify
found it wrong, 130 interrupted, 141 nobody reads what is printed any more (`| head`). torch is imported inside commands, so that
--help is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module

from fm_audio import __version__
from fm_audio.commands import clone, edit, say, voices
from fm_audio.commands.running import threads

# command: (module whose main(arguments) does it, the extra that installs what it needs, one line of help)
ELSEWHERE = {
    "fit": ("fm_audio.training.cli", "train", "train from a recipe: fm-audio fit --config recipes/aligned_tts/smoke.yaml"),
    "validate": ("fm_audio.training.cli", "train", "measure the validation losses of a checkpoint"),
    "test": ("fm_audio.training.cli", "train", "measure the test losses of a checkpoint"),
    "convert": ("fm_audio.commands.convert", "train", "other projects' weights to a model folder, and back"),
    "export": ("fm_audio.commands.export", "train", "a training run to a model folder, or a model folder to ONNX"),
    "adapt": ("fm_audio.commands.adapt", "train", "a new voice from recordings: an adapter for a voice that exists"),
    "text": ("fm_audio.commands.text", "train", "write text: the answer of a text-to-text model, or text from noise alone"),
    "sound": ("fm_audio.commands.sound", "train", "make a sound that a sentence describes"),
    "scene": ("fm_audio.commands.scene", "scene", "speech, sounds, files and pauses on one timeline"),
    "bank": ("fm_audio.commands.bank", "train", "captioned sounds that fm-audio sound looks among"),
    "transcribe": ("fm_audio.commands.transcribe", "train", "write down what is said in recordings"),
    "distill": ("fm_audio.commands.distill", "train", "teach a model of few steps by one of many"),
    "frontier": ("fm_audio.commands.frontier", "eval", "how few forwards are enough: solvers, grids, guidance"),
    "eval": ("fm_audio.commands.evaluate", "eval", "word error, similarity, DNSMOS and speed on a list of sentences"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
        sys.stdout.flush()  # what is printed may go nowhere: to be noticed here, not at exit
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("fm-audio: interrupted", file=sys.stderr)
        return 130
    except ValueError as e:
        from fm_audio.types import FmAudioError

        if not isinstance(e, FmAudioError):
            raise
        print("fm-audio: error:", " ".join(str(e).split()), file=sys.stderr)
        return 2


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in ELSEWHERE:
        return _run_elsewhere(arguments)
    args = parser().parse_args(arguments)
    with threads(args.threads) if "threads" in args else nullcontext():
        return args.run(args)


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
    for light in (say, clone, edit, voices):
        light.add(commands)
    for name, (_, _, help_line) in ELSEWHERE.items():
        commands.add_parser(name, help=help_line, add_help=False)
    return made


if __name__ == "__main__":
    sys.exit(main())
