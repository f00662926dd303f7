"""What coupling noise and data by optimal transport gives: in two dimensions, at mel size, and where there are conditions.

    python -m fm_audio.evaluation.transport --cuts data/kokoro_voices/cuts.jsonl.gz --picture transport.png --json transport.json

Three tables: small flows to toys (`toy_flows`), with and without; by how much an assignment shortens the mean squared distance of
noise to crops of real log-mels, and how long it takes; conditional flows, whose noise plain transport skews.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fm_audio.audio import AudioSpec
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.evaluation.report import save_json
from fm_audio.evaluation.toy_flows import FINE, TOYS, ToyFlow, floor, quality, skew, straightness, train
from fm_audio.flow.coupling import Coupling, Independent, MinibatchOT, distances
from fm_audio.types import Cond, FmAudioError

STEPS = (1, 2, 4, 8, FINE)
GROUPS = (16, 64, 256)  # items that are coupled together
FRAMES = (1, 8, 64, 300)
BATCHES = (16, 64, 256)
WEIGHTS = (0.0, 1.0, 10.0, 100.0)
CLIPS, DRAWS = 400, 5


@dataclass(frozen=True)
class ToyRow:
    """One flow: `group` items coupled together (1: independent), `weight` of the condition; W2 by Euler's steps."""

    toy: str
    group: int
    weight: float | None
    straightness: float
    distances: dict[int, float]
    skew: float | None = None


@dataclass(frozen=True)
class MelRow:
    """By how much the assignment shortens the mean squared distance, and how long it takes."""

    frames: int
    batch: int
    shorter: float
    seconds: float


def toy_row(toy: str, group: int, weight: float | None, steps: int, seed: int) -> tuple[ToyRow, ToyFlow]:
    """Without a weight the flow is told no label."""
    coupling: Coupling = Independent() if group == 1 else MinibatchOT(weight or 0.0)
    flow = train(toy, coupling, group, weight is not None, steps, seed=seed)
    g = torch.Generator().manual_seed(seed)
    some = TOYS[toy](1000, g)
    straight = straightness(flow, torch.randn(1000, 2, generator=g), some.label)
    far = {n: quality(flow, toy, n) for n in STEPS}
    skewed = None if weight is None else skew(coupling, toy, max(GROUPS))
    return ToyRow(toy, group, weight, straight, far, skewed), flow


def log_mels(cuts: Sequence[str], clips: int, frames: int) -> list[Tensor]:
    """Normalised log-mels (n bands) of the first clips that have so many frames.

    Raises FmAudioError where there are fewer.
    """
    spec, found = AudioSpec(), []
    for path in cuts:
        for cut in load_cuts(path):
            if spec.frames_of_seconds(cut.duration) >= frames:
                found.append(spec.log_mel(torch.from_numpy(wave_of_cut(cut, spec.sample_rate))[None])[0])
            if len(found) == clips:
                return found
    raise FmAudioError(f"--cuts: {len(found)} clips have {frames} frames, {clips} are needed; give more, or a lower --clips")


def crops(mels: Sequence[Tensor], batch: int, frames: int, generator: torch.Generator) -> Float[Tensor, "b n d"]:
    """Of different clips, each beginning somewhere."""
    chosen = torch.randperm(len(mels), generator=generator)[:batch].tolist()
    starts = [int(torch.randint(len(mels[i]) - frames + 1, (1,), generator=generator)) for i in chosen]
    return torch.stack([mels[i][start : start + frames] for i, start in zip(chosen, starts, strict=True)])


def shortening(x1: Float[Tensor, "b n d"], generator: torch.Generator) -> tuple[float, float]:
    """1 − (mean squared distance of assigned pairs) / (of any), and the seconds that the coupling took."""
    x0, mask = torch.randn(x1.shape, generator=generator), torch.ones(x1.shape[:2], dtype=torch.bool)
    begun = perf_counter()
    moved = MinibatchOT(0.0)(x0, x1, mask, Cond())
    seconds = perf_counter() - begun
    any_pair = distances(x0, x1, mask).mean()
    return float(1 - (moved - x1).square().mean() / any_pair), seconds


def mel_rows(mels: Sequence[Tensor], seed: int) -> Iterator[MelRow]:
    for frames in FRAMES:
        for batch in BATCHES:
            g = torch.Generator().manual_seed(seed)
            drawn = [shortening(crops(mels, batch, frames, g), g) for _ in range(DRAWS)]
            shorter, seconds = (sum(values) / DRAWS for values in zip(*drawn, strict=True))
            yield MelRow(frames, batch, shorter, seconds)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.transport", description=str(__doc__).splitlines()[0])
    parser.add_argument("--cuts", nargs="+", default=[], metavar="CUTS", help="speech for a table of mels (default: none)")
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"how many of them, 256 or more (default: {CLIPS})")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of each toy (default: 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="ways, conditional flows and mels, PNG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        if given.clips < max(BATCHES) or given.steps < 1:
            raise FmAudioError(f"--clips {given.clips}, --steps {given.steps}: give {max(BATCHES)} clips or more, 1 step or more")
        mels = log_mels(given.cuts, given.clips, max(FRAMES)) if given.cuts else []
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    plain = [toy_row(toy, group, None, given.steps, given.seed) for toy in TOYS for group in (1, *GROUPS)]
    ways: list[tuple[int, float]] = [(1, 0.0), *((max(GROUPS), weight) for weight in WEIGHTS)]
    told = [toy_row("two moons", group, weight, given.steps, given.seed) for group, weight in ways]
    rows = list(mel_rows(mels, given.seed)) if mels else []
    for line in report([r for r, _ in plain], [r for r, _ in told], rows):
        print(line)
    if given.json:
        save_json(given.json, {"toys": [asdict(r) for r, _ in plain], "conditional": [asdict(r) for r, _ in told],
                               "mels": [asdict(r) for r in rows], "seed": given.seed, "steps": given.steps})  # fmt: skip
    if given.picture:
        draw(given.picture, plain, told, rows)
    return 0


def report(plain: Sequence[ToyRow], told: Sequence[ToyRow], mels: Sequence[MelRow]) -> Iterator[str]:
    heads = "  ".join(f"{n:>6}" for n in STEPS)
    yield f"toy              coupled  straightness   W2 after Euler's steps: {heads}"
    for r in plain:
        yield f"{r.toy:16} {_coupled(r):7}  {r.straightness:12.3f}   {' ':23} {_far(r)}"
    for toy in TOYS:
        yield f"{toy:16} data themselves {floor(toy):.3f}"
    yield ""
    yield f"told its label   coupled  weight  skew   straightness   W2 of a label: {heads}"
    for r in told:
        yield f"{r.toy:16} {_coupled(r):7}  {r.weight:6g}  {r.skew:.3f}  {r.straightness:12.3f}   {' ':14} {_far(r)}"
    yield f"{told[0].toy:16} data themselves {floor(told[0].toy, True):.3f}"
    if mels:
        yield ""
        yield "frames  batch  shorter %  milliseconds"
    for m in mels:
        yield f"{m.frames:6}  {m.batch:5}  {100 * m.shorter:9.2f}  {1000 * m.seconds:12.1f}"


def _coupled(r: ToyRow) -> str:
    return "alone" if r.group == 1 else f"OT {r.group}"


def _far(r: ToyRow) -> str:
    return "  ".join(f"{r.distances[n]:6.3f}" for n in STEPS)


def draw(
    path: Path, plain: Sequence[tuple[ToyRow, ToyFlow]], told: Sequence[tuple[ToyRow, ToyFlow]], mels: Sequence[MelRow]
) -> None:
    """Ways without and with transport; what three conditional flows make; how much mels gain."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.5), layout="constrained")
    axes = figure.subplots(2, 3)
    first = [(r, f) for r, f in plain if r.toy == plain[0][0].toy]
    for place, (r, flow) in zip(axes[0], (first[0], first[-1]), strict=False):
        _draw_ways(place, flow, f"{r.toy}, {_coupled(r)}: straightness {r.straightness:.3f}")
    for m in sorted({m.batch for m in mels}):
        own = [row for row in mels if row.batch == m]
        axes[0][2].plot([row.frames for row in own], [100 * row.shorter for row in own], "o-", label=f"batches of {m}")
    axes[0][2].set(xscale="log", yscale="log", xlabel="frames of a mel", ylabel="shorter, %", title="log-mels of speech")
    if mels:
        axes[0][2].legend()
    for place, (r, flow) in zip(axes[1], (told[0], told[1], told[-1]), strict=True):
        title = "independent" if r.group == 1 else f"OT, condition_weight {r.weight:g}"
        _draw_labels(place, r.toy, flow, f"{title}: W2 {r.distances[FINE]:.3f}")
    figure.savefig(path, format="png", dpi=90)


def _draw_ways(place: Any, flow: ToyFlow, title: str) -> None:
    x0 = torch.randn(150, 2, generator=torch.Generator().manual_seed(3))
    ways = flow.ways(x0, torch.zeros(150, dtype=torch.long), FINE)
    place.plot(ways[..., 0], ways[..., 1], "-", color="0.6", lw=0.5)
    place.plot(*ways[0].T, ".", ms=3, label="noise")
    place.plot(*ways[-1].T, ".", ms=4, label="made")
    place.set(title=title, aspect="equal")
    place.legend(fontsize=8)


def _draw_labels(place: Any, toy: str, flow: ToyFlow, title: str) -> None:
    g = torch.Generator().manual_seed(4)
    some = TOYS[toy](1200, g)
    made = flow.ways(torch.randn(1200, 2, generator=g), some.label, FINE)[-1]
    place.plot(*some.x.T, ".", color="0.8", ms=3, label="data")
    for label in range(some.labels):
        place.plot(*made[some.label == label].T, ".", ms=2, label=f"made, label {label}")
    place.set(title=title, aspect="equal", xlim=(-3.2, 3.2), ylim=(-2.4, 2.4))
    place.legend(fontsize=8)


if __name__ == "__main__":
    sys.exit(main())
