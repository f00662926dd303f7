"""What the scripts of published corpora share: arguments, a report, and bad entries counted instead of stopping.

Lhotse's own recipes open every file while they build manifests and stop at the first broken one, so the scripts read the
published layout themselves and leave the audio to `checks`. `lhotse download <corpus>` fetches most of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.prepare import add_arguments, finish, options_of
from fm_audio.data.preparation.clip import Clip
from fm_audio.data.preparation.layouts import Refuse
from fm_audio.data.preparation.report import Report
from fm_audio.types import FmAudioError

Read = Callable[[Path, Refuse], list[Clip]]


def prepare_corpus(
    name: str, about: str, example: str, licence: str, read: Read, argv: Sequence[str] | None, captions: bool = False
) -> None:
    """The main function of a corpus: `read(raw, refuse)` finds the clips, the rest is the same for all. `captions`: of which a
    sound may have several."""
    parser = argparse.ArgumentParser(
        f"python -m data_prep.{name}",
        description=about,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser, licence)
    args = parser.parse_args(argv)
    options = replace(options_of(args), captions=captions)
    report = Report(name, options.licence, options.synthetic)
    finish(clips_of(args.raw, read, report), args.out, options, report)


def clips_of(raw: Path, read: Read, report: Report) -> list[Clip]:
    """What `read` finds; entries it refuses are counted in the report. Raises FmAudioError when nothing is found."""

    def refuse(where: str, why: str) -> None:
        report.found += 1
        report.drop(where, f"bad entry: {why}")

    if not raw.is_dir():
        raise FmAudioError(f"{raw}: is not a folder; give the folder that the corpus was unpacked to")
    clips = read(raw, refuse)
    if not clips:
        raise FmAudioError(
            f"{raw}: no clips of {report.source} found; its layout is described by python -m data_prep.{report.source} -h"
        )
    return clips


def parts(raw: Path) -> list[Path]:
    """The corpus's parts (train-clean-100, dev-other, …), or the folder itself when it is one part or a tree of them."""
    found = sorted(p for p in raw.iterdir() if p.is_dir() and p.name.split("-")[0] in ("train", "dev", "test"))
    return found or [raw]
