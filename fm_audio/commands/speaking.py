"""Options that the commands that speak share: what to say, how to generate it, who checks it.

torch is imported inside functions, so that --help is quick.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fm_audio.commands.running import add_running, add_threads
from fm_audio.commands.sampling import add_adaptive

if TYPE_CHECKING:
    from fm_audio.evaluation.guard import Guard
    from fm_audio.voices import Voice

NOT_AS_ASKED = 3  # exit code: written, but --verify found it wrong


def add_text(command: argparse.ArgumentParser) -> None:
    """What to say, where to, and at what pace."""
    source = command.add_mutually_exclusive_group(required=True)
    what = "what to say; - reads standard input; <break 500ms> is a pause, {flib|F L IH1 B} a word with its phones"
    source.add_argument("text", nargs="?", help=what)
    source.add_argument("--file", type=Path, help="read the text from this UTF-8 file")
    command.add_argument("-o", "--output", type=Path, required=True, help="the file to write: .wav, .flac, .ogg or .mp3")
    pace = command.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, default=1.0, help="2 speaks twice as fast (default: 1, the voice's own pace)")
    pace.add_argument("--seconds", type=float, help="the exact length of the speech")


def text_of(args: argparse.Namespace) -> str:
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


def add_sampling(command: argparse.ArgumentParser, whose: str) -> None:
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


def add_cloner(command: argparse.ArgumentParser) -> None:
    what = "the model that ships (default: english_cloner), or a folder of fm-audio export or fm-audio convert"
    command.add_argument("--model", metavar="NAME|DIR", help=what)
    worn = "an adapter that fm-audio adapt wrote for such a model, which is found by itself"
    command.add_argument("--adapter", type=Path, metavar="DIR", help=worn)


def add_verify(command: argparse.ArgumentParser) -> None:
    checks = command.add_argument_group("checking")
    what = "let a judge listen, redraw what is wrong, and say what is wrong still (exit code 3)"
    checks.add_argument("--verify", action="store_true", help=what)
    judges = "whisper-tiny.en, whisper-base, transformers:NAME or a folder; a second one behind a comma is asked in doubt"
    judges += " (default: whisper-tiny.en)"
    checks.add_argument("--judge", default="whisper-tiny.en", metavar="JUDGE", help=judges)
    checks.add_argument("--redraws", type=int, default=3, metavar="N", help="at most so many for each sentence (default: 3)")
    checks.add_argument("--language", default="en", metavar="XX", help="two letters, for the judge (default: en)")


def guard_of(args: argparse.Namespace, voice: Voice | None = None) -> Guard | None:
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

    reads = shipped_reading() if args.language == "en" else None
    first, second = load_judges(args.judge, args.language, torch.get_num_threads())
    known = acoustics_of(voice) if voice else None
    verifier = Verifier(first, args.language, acoustics=known, second=second, reading=reads)
    return Guard(verifier, args.redraws, candidates)


def verdict(guard: Guard | None, output: Path) -> int:
    """The exit code of speech that was written; one line on stderr when it is not what was asked for."""
    if guard is None or guard.ok:
        return 0
    draws = sum(len(p.tries) for p in guard.pieces)
    print(f"fm-audio: not as asked, after {draws} draws: {guard.summary}; the best is in {output}", file=sys.stderr)
    return NOT_AS_ASKED
