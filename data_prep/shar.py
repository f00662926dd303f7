"""Cuts and their audio packed into tar shards (Lhotse Shar), which training streams from disk or a network without seeking."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from data_prep.prepare import run
from fm_audio.data.cuts import is_shar, load_cuts
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.shar data/libritts/cuts.jsonl.gz data/libritts/shar --shard-clips 1000"


def export(cuts: Path, out: Path, shard_clips: int = 1000, audio_format: str = "flac") -> int:
    """Write shards into a new folder; gives back how many clips they hold. A clip's audio is stored as trimmed."""
    if out.exists() and any(out.iterdir()):
        raise FmAudioError(f"{out}: is not empty; give a new folder, so that no old shard is read with the new ones")
    part = out.with_name(f".part-{out.name}")
    part.mkdir(parents=True, exist_ok=True)
    source = load_cuts(cuts)
    source.to_shar(part, fields={"recording": audio_format}, shard_size=shard_clips, num_jobs=1, verbose=False)
    if out.exists():
        out.rmdir()
    part.rename(out)
    if not is_shar(out):
        raise FmAudioError(f"{cuts}: holds no clips; nothing was exported")
    return len(source)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.shar", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cuts", type=Path, metavar="CUTS", help="cuts.jsonl.gz")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder for the shards")
    parser.add_argument("--shard-clips", type=int, default=1000)
    parser.add_argument("--audio-format", default="flac", choices=("flac", "wav", "opus"))
    args = parser.parse_args(argv)
    print(f"{args.out}: {export(args.cuts, args.out, args.shard_clips, args.audio_format)} clips")


if __name__ == "__main__":
    run(main)
