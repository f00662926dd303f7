"""What the scripts of all corpora take on the command line, and how they end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fm_audio.data.preparation.clip import Clip, normal_text
from fm_audio.data.preparation.prepare import Options, prepare
from fm_audio.data.preparation.report import Report
from fm_audio.types import FmAudioError


def add_arguments(parser: argparse.ArgumentParser, licence: str = "unstated") -> None:
    """The options that all corpus scripts take."""
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder of the corpus as published")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for cuts.jsonl.gz, validation.jsonl.gz and report.json")
    parser.add_argument("--licence", default=licence, help=f"licence of the speech, such as CC0-1.0 ({licence})")
    parser.add_argument("--synthetic", action="store_true", help="the speech was made by a machine")
    parser.add_argument(
        "--trim-seconds", type=float, metavar="MARGIN", help="leave at most MARGIN seconds of silence at the ends"
    )
    parser.add_argument("--silence-db", type=float, default=45.0, help="silence: this far below the loudest moment (45)")
    parser.add_argument("--min-seconds", type=float, default=0.3)
    parser.add_argument("--max-seconds", type=float, default=30.0)
    parser.add_argument("--select", action="append", default=[], metavar="FIELD=VALUE", help="keep clips whose field says so")
    parser.add_argument(
        "--allow-licence", action="append", default=[], metavar="PATTERN", help="keep clips under such a licence, as CC-BY-*"
    )
    parser.add_argument("--exclude-speaker", action="append", default=[], metavar="NAME", help="also mix_*")
    parser.add_argument(
        "--exclude-texts",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="leave out clips that say a line of it",
    )
    parser.add_argument("--hold-out", type=int, default=0, metavar="N", help="about one text in N goes to validation.jsonl.gz")
    parser.add_argument("--copy", action="store_true", help="copy the audio into OUT/audio, so that OUT can be moved")
    parser.add_argument("--relative", action="store_true", help="write audio paths relative to OUT")
    parser.add_argument("--workers", type=int, default=1, help="processes that read audio (1)")


def options_of(args: argparse.Namespace) -> Options:
    select = {}
    for pair in args.select:
        name, sign, value = pair.partition("=")
        if not sign:
            raise FmAudioError(f"--select {pair}: write FIELD=VALUE, for example first_take=true")
        select[name] = value
    texts: set[str] = set()
    for path in args.exclude_texts:
        try:
            texts |= {normal_text(t) for t in path.read_text(encoding="utf-8").splitlines() if t.strip()}
        except OSError as e:
            raise FmAudioError(f"--exclude-texts {path}: cannot be read ({e.strerror})") from e
    return Options(
        licence=args.licence,
        synthetic=args.synthetic,
        trim_seconds=args.trim_seconds,
        silence_db=args.silence_db,
        min_seconds=args.min_seconds,
        max_seconds=args.max_seconds,
        select=select,
        exclude_speakers=tuple(args.exclude_speaker),
        exclude_texts=frozenset(texts),
        licences=tuple(args.allow_licence),
        hold_out=args.hold_out,
        copy=args.copy,
        relative=args.relative,
        workers=args.workers,
    )


def run(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> None:
    """A script's last line: mendable mistakes become one line and exit code 2."""
    try:
        main(argv)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(2) from e


def finish(clips: Iterable[Clip], out: Path, options: Options, report: Report) -> None:
    """Prepare, then print the report."""
    print("\n".join(prepare(clips, out, options, report).lines()))
