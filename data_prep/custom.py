"""Your own folder of audio and transcripts: manifest*.jsonl, an LJSpeech-like metadata.csv, or a .txt/.lab beside each file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from data_prep.prepare import add_arguments, finish, options_of, run
from fm_audio.data.preparation.layouts import Naming, read_folder, refuse_all
from fm_audio.data.preparation.report import Report

EXAMPLE = (
    "example: python -m data_prep.custom my_voice data/my_voice --speaker anna --licence CC0-1.0 --trim-seconds 0.1 --hold-out 50"
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.custom", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--speaker", default="speaker", help="whose voice it is, where the layout does not say")
    parser.add_argument("--language", default="en")
    parser.add_argument("--unit-seconds", type=float, default=0.025, help="what one unit of a manifest's durations lasts")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out bad manifest lines, counted and named, instead of stopping"
    )
    args = parser.parse_args(argv)
    options = options_of(args)
    report = Report(args.raw.name, options.licence, options.synthetic)

    def count(where: str, why: str) -> None:
        report.found += 1
        report.drop(where, f"bad line: {why}")

    naming = Naming(args.speaker, args.language, args.unit_seconds)
    clips = read_folder(args.raw, naming, count if args.skip_bad else refuse_all)
    finish(clips, args.out, options, report)


if __name__ == "__main__":
    run(main)
