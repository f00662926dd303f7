"""Does a text-to-audio model make what it is asked for? A judge learns from real clips what kinds of sound are like.

    python -m fm_audio.evaluation.sounds MODEL --judge-cuts judge/cuts.jsonl.gz --held-out procedural/validation.jsonl.gz

--judge-cuts: clips that the model was not trained on, a kind each (the cut's speaker), which fit the judge (`sound_judge`).
--held-out: others, whose captions and lengths are asked of the model and whose sounds are what it is compared with. Beside the
figures stand those of the held-out clips themselves, and chance; where few are right, rank tells more: the share of the other
kinds that a sound is less likely to be of than the one that was asked for (a guess: 50 %). With --bank the model is shown clips
that are found for each caption, never the held-out clip itself; --rare asks for kinds that were seldom trained on alone. --clap
tells beside it how well a sound fits its caption by a model of transformers (`evaluation.clap`).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fm_audio.audio import Audio, AudioSpec
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.sound_bank import SoundBank
from fm_audio.data.sound_features import SPEC
from fm_audio.evaluation.clap import ClapJudge
from fm_audio.evaluation.metrics import Interval, mean_interval, proportion_interval
from fm_audio.evaluation.pictures import draw_mels
from fm_audio.evaluation.report import save_json
from fm_audio.evaluation.sound_judge import SoundJudge, fit_judge, frechet, spread
from fm_audio.flow.sampling import Sampling
from fm_audio.types import FmAudioError
from fm_audio.voices.sounds import SoundMaker, load_sounds

MIXED = "mixed"  # the kind of clips that have several; no judge of single kinds can tell
DRAWN = 8  # clips of a picture
VARIATIONS, OF_PROMPTS = 6, 12  # for diversity: sounds of one prompt, and how many prompts


@dataclass(frozen=True)
class Clip:
    caption: str
    kind: str
    sound: Audio


@dataclass(frozen=True)
class Row:
    """One way to sample, with so many clips of a bank shown. accuracy: of the kinds that were asked for; rank: of those among
    all kinds, ranks: by clip; distance: Fréchet's, to the held-out clips; diversity: mean distance of sounds of one prompt;
    clap: the cosine of sound and caption, where a model was given."""

    steps: int
    guidance: float
    shown: int
    accuracy: Interval
    rank: Interval
    ranks: tuple[float, ...]
    distance: float
    diversity: float
    clap: Interval | None = None

    def above(self, other: Row) -> Interval:
        """How much higher the ranks are than another row's, clip by clip."""
        return mean_interval([a - b for a, b in zip(self.ranks, other.ranks, strict=True)])


def kinds_in(paths: Sequence[str]) -> Counter[str]:
    """How many clips of each kind manifests hold."""
    cuts = [c for path in paths for c in load_cuts(path)]
    return Counter(c.supervisions[0].speaker for c in cuts if c.supervisions and c.supervisions[0].speaker)


def clips_of(
    path: str, limit: int | None = None, only: Collection[str] | None = None, rate: int = SPEC.sample_rate
) -> list[Clip]:
    """Clips of one kind each, spread over the manifest; `only` of these kinds."""
    cuts = [c for c in load_cuts(path) if c.supervisions and c.supervisions[0].speaker not in (None, MIXED)]
    cuts = [c for c in cuts if only is None or c.supervisions[0].speaker in only]
    if not cuts:
        raise FmAudioError(f"{path}: holds no clip of a single kind that is asked for; the speaker of a cut names it")
    picked = cuts if limit is None else spread_over(cuts, limit)
    return [Clip(c.supervisions[0].text, c.supervisions[0].speaker, Audio(wave_of_cut(c, rate), rate)) for c in picked]


def spread_over(cuts: Sequence[Any], limit: int) -> list[Any]:
    """At most `limit` of them, from all over."""
    count = min(limit, len(cuts))
    return [cuts[k * len(cuts) // count] for k in range(count)]


@dataclass(frozen=True)
class Asker:
    """Asks a model for clips' captions, each as long as its clip, with `shown` clips of a bank found for it."""

    maker: SoundMaker
    sampling: Sampling
    bank: SoundBank | None = None
    shown: int = 0

    def __call__(self, clip: Clip, seed: int, count: int = 1) -> list[Audio]:
        found: list[Audio] = []
        if self.bank is not None and self.shown:
            near = self.bank.nearest(clip.caption, self.shown, unlike=clip.sound)
            found = [self.bank.sound(f.index, self.maker.spec.sample_rate) for f in near]
        return self.maker.make([clip.caption] * count, clip.sound.seconds, seed, sampling=self.sampling, found=found)


def measure(
    ask: Asker, judge: SoundJudge, clips: Sequence[Clip], seed: int = 0, varied: bool = True, clap: ClapJudge | None = None
) -> Row:
    """`varied`: measure diversity too, which asks more often (nan otherwise)."""
    real = judge.embed([clip.sound for clip in clips])
    answers = [ask(clip, seed + i)[0] for i, clip in enumerate(clips)]
    made, fit = judge.embed(answers), fitting(clap, clips, answers)
    hits = sum(kind == clip.kind for kind, clip in zip(judge.kinds_of(made), clips, strict=True))
    ranks = judge.ranks_of(made, [clip.kind for clip in clips]).tolist()
    prompts = [clips[k * len(clips) // OF_PROMPTS] for k in range(min(OF_PROMPTS, len(clips)))] if varied else []
    spreads = [spread(judge.embed(ask(clip, seed, VARIATIONS))) for clip in prompts]
    diversity = float(np.mean(spreads)) if spreads else float("nan")
    accuracy, rank = proportion_interval(hits, len(clips)), mean_interval(ranks)
    of = ask.sampling
    return Row(of.steps, of.guidance, ask.shown, accuracy, rank, tuple(ranks), frechet(made, real), diversity, fit)


def fitting(clap: ClapJudge | None, clips: Sequence[Clip], sounds: Sequence[Audio]) -> Interval | None:
    """How well sounds fit the captions of these clips, where a model can say."""
    return None if clap is None else mean_interval(clap.scores(sounds, [clip.caption for clip in clips]))


def of_real(judge: SoundJudge, clips: Sequence[Clip]) -> tuple[Interval, float, float]:
    """The judge's accuracy on the held-out clips, Fréchet's distance of one half of them to the other, and how unlike clips of
    one caption are."""
    embedded = judge.embed([clip.sound for clip in clips])
    hits = sum(kind == clip.kind for kind, clip in zip(judge.kinds_of(embedded), clips, strict=True))
    same = [embedded[[c.caption == caption for c in clips]] for caption in {c.caption for c in clips}]
    spreads = [spread(group) for group in same if len(group) > 1]
    unlike = float(np.mean(spreads)) if spreads else float("nan")
    return proportion_interval(hits, len(clips)), frechet(embedded[::2], embedded[1::2]), unlike


def of_copies(judge: SoundJudge, clips: Sequence[Clip], copies: Sequence[Audio]) -> tuple[Interval, float]:
    """The same accuracy of copies of the held-out clips, and their Fréchet distance to these."""
    made = judge.embed(copies)
    hits = sum(kind == clip.kind for kind, clip in zip(judge.kinds_of(made), clips, strict=True))
    return proportion_interval(hits, len(clips)), frechet(made, judge.embed([clip.sound for clip in clips]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.sounds", description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a text-to-audio model, of fm-audio export")
    parser.add_argument("--judge-cuts", required=True, metavar="CUTS", help="clips of one kind each, for the judge alone")
    parser.add_argument("--held-out", required=True, metavar="CUTS", help="clips whose captions are asked of the model")
    parser.add_argument("--limit", type=int, help="at most so many of them")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 16, 32], help="solver steps (default: 4 8 16 32)")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 3.0], help="weights of guidance (default: 1 3)")
    parser.add_argument("--bank", metavar="DIR", help="a bank of fm-audio bank make, to look among")
    shown = "with so many clips of the bank shown; 0 is none (default: 0, and 3 with --bank)"
    parser.add_argument("--retrieve", type=int, nargs="+", metavar="N", help=shown)
    parser.add_argument("--trained-on", nargs="+", metavar="CUTS", help="what the model learnt from, for --rare")
    rare = "ask only for kinds of which --trained-on has from 1 to N clips"
    parser.add_argument("--rare", type=int, metavar="N", help=rare)
    parser.add_argument("--picture", type=Path, metavar="FILE", help=f"mels of {DRAWN} clips and of what is made for them, PNG")
    parser.add_argument("--no-diversity", action="store_true", help="spare the time that asking again and again takes")
    parser.add_argument("--clap", metavar="MODEL", help="a CLAP of transformers, a name on the hub or a folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        maker, bank = load_sounds(given.model), None if given.bank is None else SoundBank(given.bank)
        counts = given.retrieve or ([0] if bank is None else [0, 3])
        if any(counts) and (bank is None or maker.model.clips is None):
            raise FmAudioError("--retrieve: give --bank DIR, and a model that was trained with retrieval")
        fitted, clips = clips_of(given.judge_cuts), clips_of(given.held_out, given.limit, _rare(given))
        judge = fit_judge([clip.sound for clip in fitted], [clip.kind for clip in fitted])
        strange = sorted({clip.kind for clip in clips} - set(judge.kinds))
        if strange:
            raise FmAudioError(f"{given.held_out}: kinds {', '.join(strange[:5])} are not among the judge's clips")
        clap, copies = None if given.clap is None else ClapJudge(given.clap), [maker.copy(clip.sound) for clip in clips]
        real, copied = of_real(judge, clips), of_copies(judge, clips, copies)
        fits = [fitting(clap, clips, sounds) for sounds in ([clip.sound for clip in clips], copies)]
        rows = []
        for shown, guidance, steps in product(counts, given.guidance, given.steps):
            ask = Asker(maker, maker.sampling.changed(steps=steps, guidance=guidance), bank, shown)
            rows.append(measure(ask, judge, clips, given.seed, not given.no_diversity, clap))
        if given.picture:
            _draw(given.picture, clips, Asker(maker, maker.sampling, bank, counts[-1]), given.seed)
        if given.json:
            save_json(given.json, _report(given, judge, real, copied, fits, rows))
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(f"{given.model}: {len(clips)} captions of {len(judge.kinds)} kinds; chance {100 / len(judge.kinds):.1f} %")
    fit = "" if given.clap is None else "                 CLAP"
    print(f"steps  guidance  shown   kind right %            Fréchet   diversity   rank %{fit}")
    print(f"real clips                {_percent(real[0])}   {real[1]:7.2f}   {real[2]:9.2f}{_cosine(fits[0], 25)}")
    print(f"copied by the vocoder     {_percent(copied[0])}   {copied[1]:7.2f}{_cosine(fits[1], 37)}")
    for row in rows:
        way = f"{row.steps:5}  {row.guidance:8g}  {row.shown:5}"
        shares = f"{_percent(row.accuracy)}   {row.distance:7.2f}   {row.diversity:9.2f}   {_percent(row.rank)}"
        print(f"{way}   {shares}{_cosine(row.clap)}")
    for row, without in _with_and_without(rows):
        how = f"{row.steps} steps, guidance {row.guidance:g}: with {row.shown} clips shown the rank is"
        print(f"{how} {_percent(row.above(without), '+')} higher, in pairs")
    return 0


def _draw(path: Path, clips: Sequence[Clip], ask: Asker, seed: int) -> None:
    """Clips of different kinds, and the model's answers as it samples by itself."""
    drawn = list({clip.kind: clip for clip in reversed(clips)}.values())[::-1]
    drawn = [drawn[k * len(drawn) // DRAWN] for k in range(min(DRAWN, len(drawn)))]
    columns = {"real": [clip.sound for clip in drawn], "made": [ask(clip, seed)[0] for clip in drawn]}
    if ask.shown and ask.bank is not None:
        columns["made without the bank"] = [replace(ask, shown=0)(clip, seed)[0] for clip in drawn]
    draw_mels(path, [clip.caption for clip in drawn], columns, AudioSpec(sample_rate=SPEC.sample_rate), DRAWN)


def _rare(given: argparse.Namespace) -> set[str] | None:
    """The kinds that --rare asks for."""
    if given.rare is None:
        return None
    if not given.trained_on:
        raise FmAudioError("--rare: among what? give --trained-on CUTS, what the model learnt from")
    return {kind for kind, count in kinds_in(given.trained_on).items() if count <= given.rare}


def _report(
    given: argparse.Namespace, judge: SoundJudge, real: Any, copied: Any, fits: Sequence[Interval | None], rows: Sequence[Row]
) -> dict[str, Any]:
    of_held, of_copied = (None if fit is None else asdict(fit) for fit in fits)
    held = {"accuracy": asdict(real[0]), "distance_of_halves": real[1], "diversity": real[2], "clap": of_held}
    asked_for = {"model": str(given.model), "seed": given.seed, "kinds": judge.kinds, "chance": 1 / len(judge.kinds)}
    through = {"accuracy": asdict(copied[0]), "distance": copied[1], "clap": of_copied}
    ways = _with_and_without(rows)
    higher = [{"steps": r.steps, "guidance": r.guidance, "shown": r.shown, **asdict(r.above(without))} for r, without in ways]
    told = {"rows": [asdict(row) for row in rows], "rank_above_none_shown": higher}
    return {**asked_for, "held_out": held, "copied": through, **told}


def _with_and_without(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Rows with clips shown, each with the one that differs in that alone."""
    plain = {(row.steps, row.guidance): row for row in rows if not row.shown}
    return [(row, plain[row.steps, row.guidance]) for row in rows if row.shown and (row.steps, row.guidance) in plain]


def _percent(i: Interval, sign: str = "") -> str:
    return f"{100 * i.value:{sign}5.1f} [{100 * i.low:{sign}5.1f}, {100 * i.high:{sign}5.1f}]"


def _cosine(i: Interval | None, before: int = 3) -> str:
    return "" if i is None else f"{'':{before}}{i.value:6.3f} [{i.low:6.3f}, {i.high:6.3f}]"


if __name__ == "__main__":
    sys.exit(main())
