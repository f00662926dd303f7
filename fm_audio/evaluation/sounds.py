"""Does a text-to-audio model make what it is asked for? A judge learns from real clips what kinds of sound are like.

    python -m fm_audio.evaluation.sounds MODEL --judge-cuts judge/cuts.jsonl.gz --held-out procedural/validation.jsonl.gz

--judge-cuts: clips that the model was not trained on, a kind each (the cut's speaker), which fit the judge (`sound_judge`).
--held-out: others, whose captions and lengths are asked of the model and whose sounds are what it is compared with. Beside the
figures stand those of the held-out clips themselves, and chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fm_audio.audio import Audio
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.sound_features import SPEC
from fm_audio.evaluation.metrics import Interval, proportion_interval
from fm_audio.evaluation.report import save_json
from fm_audio.evaluation.sound_judge import SoundJudge, fit_judge, frechet, spread
from fm_audio.types import FmAudioError
from fm_audio.voices.sounds import SoundMaker, load_sounds

MIXED = "mixed"  # the kind of clips that have several; no judge of single kinds can tell
VARIATIONS, OF_PROMPTS = 6, 12  # for diversity: sounds of one prompt, and how many prompts


@dataclass(frozen=True)
class Clip:
    caption: str
    kind: str
    sound: Audio


@dataclass(frozen=True)
class Row:
    """One way to sample. accuracy: of the kinds that were asked for; distance: Fréchet's, to the held-out clips; diversity: mean
    distance of sounds of one prompt to each other."""

    steps: int
    guidance: float
    accuracy: Interval
    distance: float
    diversity: float


def clips_of(path: str, limit: int | None = None) -> list[Clip]:
    """Clips of one kind each, spread over the manifest."""
    cuts = [c for c in load_cuts(path) if c.supervisions and c.supervisions[0].speaker not in (None, MIXED)]
    if not cuts:
        raise FmAudioError(f"{path}: holds no clip of a single kind; the speaker of a cut names it")
    picked = cuts if limit is None else [cuts[k * len(cuts) // limit] for k in range(min(limit, len(cuts)))]
    rate = SPEC.sample_rate
    return [Clip(c.supervisions[0].text, c.supervisions[0].speaker, Audio(wave_of_cut(c, rate), rate)) for c in picked]


def asked(maker: SoundMaker, clips: Sequence[Clip], steps: int, guidance: float, seed: int = 0) -> list[Audio]:
    """The model's answer to each caption, as long as the clip."""
    sampling = maker.sampling.changed(steps=steps, guidance=guidance)
    return [
        maker.make([clip.caption], clip.sound.seconds, seed + i, sampling=sampling)[0] for i, clip in enumerate(clips)
    ]


def measure(maker: SoundMaker, judge: SoundJudge, clips: Sequence[Clip], steps: int, guidance: float, seed: int = 0) -> Row:
    real = judge.embed([clip.sound for clip in clips])
    made = judge.embed(asked(maker, clips, steps, guidance, seed))
    hits = sum(kind == clip.kind for kind, clip in zip(judge.kinds_of(made), clips, strict=True))
    sampling = maker.sampling.changed(steps=steps, guidance=guidance)
    prompts = [clips[k * len(clips) // OF_PROMPTS] for k in range(min(OF_PROMPTS, len(clips)))]
    varied = [
        spread(judge.embed(maker.make([clip.caption] * VARIATIONS, clip.sound.seconds, seed, sampling=sampling)))
        for clip in prompts
    ]
    accuracy = proportion_interval(hits, len(clips))
    return Row(steps, guidance, accuracy, frechet(made, real), float(np.mean(varied)))


def of_real(judge: SoundJudge, clips: Sequence[Clip]) -> tuple[Interval, float, float]:
    """The judge's accuracy on the held-out clips, Fréchet's distance of one half of them to the other, and how unlike clips of
    one caption are."""
    embedded = judge.embed([clip.sound for clip in clips])
    hits = sum(kind == clip.kind for kind, clip in zip(judge.kinds_of(embedded), clips, strict=True))
    same = [embedded[[c.caption == caption for c in clips]] for caption in {c.caption for c in clips}]
    spreads = [spread(group) for group in same if len(group) > 1]
    unlike = float(np.mean(spreads)) if spreads else float("nan")
    return proportion_interval(hits, len(clips)), frechet(embedded[::2], embedded[1::2]), unlike


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.sounds", description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a text-to-audio model, of fm-audio export")
    parser.add_argument("--judge-cuts", required=True, metavar="CUTS", help="clips of one kind each, for the judge alone")
    parser.add_argument("--held-out", required=True, metavar="CUTS", help="clips whose captions are asked of the model")
    parser.add_argument("--limit", type=int, help="at most so many of them")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 16, 32], help="solver steps (default: 4 8 16 32)")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 3.0], help="weights of guidance (default: 1 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        maker = load_sounds(given.model)
        fitted, clips = clips_of(given.judge_cuts), clips_of(given.held_out, given.limit)
        judge = fit_judge([clip.sound for clip in fitted], [clip.kind for clip in fitted])
        strange = sorted({clip.kind for clip in clips} - set(judge.kinds))
        if strange:
            raise FmAudioError(f"{given.held_out}: kinds {', '.join(strange[:5])} are not among the judge's clips")
        real = of_real(judge, clips)
        rows = [measure(maker, judge, clips, s, g, given.seed) for g in given.guidance for s in given.steps]
        if given.json:
            save_json(given.json, _report(given, judge, real, rows))
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(f"{given.model}: {len(clips)} captions of {len(judge.kinds)} kinds; chance {100 / len(judge.kinds):.1f} %")
    print("steps  guidance   kind right %            Fréchet   diversity")
    print(f"real clips         {_percent(real[0])}   {real[1]:7.2f}   {real[2]:9.2f}")
    for row in rows:
        print(f"{row.steps:5}  {row.guidance:8g}   {_percent(row.accuracy)}   {row.distance:7.2f}   {row.diversity:9.2f}")
    return 0


def _report(given: argparse.Namespace, judge: SoundJudge, real: Any, rows: Sequence[Row]) -> dict[str, Any]:
    held = {"accuracy": asdict(real[0]), "distance_of_halves": real[1], "diversity": real[2]}
    asked_for = {"model": str(given.model), "seed": given.seed, "kinds": judge.kinds, "chance": 1 / len(judge.kinds)}
    return {**asked_for, "held_out": held, "rows": [asdict(row) for row in rows]}


def _percent(i: Interval) -> str:
    return f"{100 * i.value:5.1f} [{100 * i.low:5.1f}, {100 * i.high:5.1f}]"


if __name__ == "__main__":
    sys.exit(main())
