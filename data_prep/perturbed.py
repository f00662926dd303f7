"""A corpus again, in other voices and rooms: each clip faster or slower, coloured, in noise (`fm_audio.data.perturb_waves`).

With --damaged, moments of some copies are what nobody could have said (`fm_audio.data.damage_waves`), and each cut says which.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.copies import copy_of, write_copies
from data_prep.prepare import run
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.damage_waves import WaveDamage
from fm_audio.data.perturb_waves import WavePerturbation
from fm_audio.types import FmAudioError

if TYPE_CHECKING:
    from lhotse.cut import Cut

EXAMPLE = "example: python -m data_prep.perturbed data/kokoro_voices/cuts.jsonl.gz data/kokoro_perturbed --copies 2"
SUFFIX = "x"


def copied(cut: Cut, copy: int, audio: Path, perturbation: WavePerturbation, damage: WaveDamage, seed: int) -> Any:
    """One clip damaged and perturbed, in a file of its own, its alignment as much shorter; drawn by seed, copy and
    the cut's name."""
    from lhotse.supervision import AlignmentItem

    rate = cut.recording.sampling_rate
    draw = np.random.default_rng([seed, copy, *cut.id.encode()])
    whole, moments = damage(wave_of_cut(cut, rate), rate, np.random.default_rng([seed, copy, 1, *cut.id.encode()]))
    samples, speed = perturbation(whole, rate, draw)
    [supervision] = cut.supervisions
    alignment = {
        kind: [AlignmentItem(i.symbol, i.start / speed, i.duration / speed, i.score) for i in items]
        for kind, items in (supervision.alignment or {}).items()
    }
    custom: dict[str, Any] = {"perturbed": round(speed, 4)}
    if damage.share:
        custom["damaged"] = [[round(start / speed, 4), round(end / speed, 4)] for start, end in moments]
    return copy_of(cut, f"{cut.id}{SUFFIX}{copy}", samples, audio, supervision.text, custom, alignment)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.perturbed", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cuts", type=Path, metavar="CUTS", help="a cut manifest that data_prep wrote")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for audio, cuts.jsonl.gz and report.json")
    parser.add_argument("--copies", type=int, default=1, metavar="N", help="of each clip (1)")
    parser.add_argument("--damaged", type=float, default=0.0, metavar="SHARE", help="of the copies to damage somewhere (0)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.copies < 1:
        raise FmAudioError(f"--copies {args.copies}: give 1 or more")
    if not 0 <= args.damaged <= 1:
        raise FmAudioError(f"--damaged {args.damaged}: give a share of 0 to 1")
    cuts = load_cuts(args.cuts)
    audio = args.out / "audio"
    audio.mkdir(parents=True, exist_ok=True)
    how = audio.resolve(), WavePerturbation(), WaveDamage(args.damaged), args.seed
    made = [copied(cut, k, *how) for cut in cuts for k in range(args.copies)]
    report = {"source": str(args.cuts), "copies": args.copies, "damaged": args.damaged, "seed": args.seed}
    told = write_copies(args.out, made, report)
    print(f"{args.out}: {len(made)} clips, {told['hours']} h")


if __name__ == "__main__":
    run(main)
