"""`fm-audio bank make CUTS -o DIR` and `fm-audio bank find DIR "PROMPT"`: a bank of captioned sounds, and what is in it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from fm_audio.audio import Audio, load_audio
from fm_audio.commands.progress import progress_bar
from fm_audio.data.cuts import source_of, wave_of_cut
from fm_audio.data.sound_bank import BankedSound, SoundBank, licence_of, make_bank, of_cuts
from fm_audio.types import FmAudioError

EXAMPLES = """examples:
  fm-audio bank make data/samples/cuts.jsonl.gz -o banks/samples --allow-licence 'CC0-*'
  fm-audio bank find banks/samples "a vinyl record" --count 3
  fm-audio sound "a vinyl record" -o out.wav --bank banks/samples --retrieve 3"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio bank",
        description="Sounds with captions, which fm-audio sound looks among.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="write a bank of the clips of cut manifests", description="Write a bank.")
    make.add_argument("cuts", nargs="+", type=Path, metavar="CUTS", help="cuts.jsonl.gz of data_prep, with captions")
    make.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="a folder that has no bank yet")
    make.add_argument("--allow-licence", action="append", default=[], metavar="PATTERN", help="only clips under such a licence")
    make.add_argument("--sample-rate", type=int, default=24_000, metavar="HZ", help="of all clips (default: 24000)")
    by = "a text encoder of transformers by name or folder that compares captions (default: by their words)"
    make.add_argument("--compare-by", metavar="NAME", help=by)
    find = actions.add_parser("find", help="which clips are like a prompt, or like a recording", description="Look in a bank.")
    find.add_argument("bank", type=Path, metavar="DIR")
    find.add_argument("prompt", nargs="?", help="what is to be heard")
    find.add_argument("--like", type=Path, metavar="FILE", help="instead: what sounds like this recording")
    find.add_argument("--count", type=int, default=5, metavar="N", help="how many (default: 5)")
    find.add_argument("--json", action="store_true", help="print a report")
    return made


def main(argv: Sequence[str]) -> int:
    given = parser().parse_args(argv)
    return _make(given) if given.action == "make" else _find(given)


def _make(given: argparse.Namespace) -> int:
    if given.sample_rate < 8000:
        raise FmAudioError(f"--sample-rate: given {given.sample_rate}; give 8000 or more, 24000 for the models that ship")
    cuts = of_cuts(given.cuts, given.allow_licence)

    def clips() -> Iterator[tuple[Audio, BankedSound]]:
        for cut in cuts:
            rate = cut.recording.sampling_rate
            known = BankedSound("", cut.supervisions[0].text, licence_of(cut), source_of(cut), 0.0)
            yield Audio(wave_of_cut(cut, rate), rate), known

    with progress_bar("banking") as bar:
        told = (lambda done: bar(done / len(cuts))) if bar else None
        bank = make_bank(given.out, clips(), given.sample_rate, given.compare_by, told)
    print(f"{given.out}: {len(bank)} clips, {sum(c.seconds for c in bank.clips) / 60:.1f} minutes")
    return 0


def _find(given: argparse.Namespace) -> int:
    if (given.prompt is None) == (given.like is None):
        raise FmAudioError("bank find: give a prompt, or --like FILE")
    bank = SoundBank(given.bank)
    if given.prompt is not None:
        found = bank.nearest(given.prompt, given.count)
    else:
        found = bank.like(load_audio(given.like, bank.sample_rate), given.count)
    if given.json:
        rows = [{"near": f.near, **f.clip.__dict__, "file": str(bank.folder / f.clip.file)} for f in found]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    for f in found:
        print(f"{f.near:7.3f}  {f.clip.seconds:5.1f} s  {bank.folder / f.clip.file}  {f.clip.licence}  {f.clip.caption}")
    return 0
