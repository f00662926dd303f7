"""`fm-audio frontier MODEL --data LIST`: measure solvers, grids and guidance of a model; write presets into its folder."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from fm_audio import __version__
from fm_audio.checkpoint import read_json
from fm_audio.commands.frontier_subjects import Subject, subject_of
from fm_audio.commands.progress import progress_bar
from fm_audio.evaluation.frontier import (
    ADAPTIVE,
    LEARNED,
    MODES,
    STEPS,
    TWO_NULL,
    Frontier,
    Generate,
    Point,
    pareto,
    presets,
)
from fm_audio.evaluation.protocols import SHIPPED as LISTS
from fm_audio.evaluation.report import save_json
from fm_audio.flow.sampling import GRIDS, QUANTILE, SOLVERS, Sampling
from fm_audio.types import FmAudioError
from fm_audio.voices.presets import FILE, FORMAT

EXAMPLE = """examples:
  fm-audio frontier heart --data harvard_dev30 --limit 6
  fm-audio frontier made_sounds --data captions.txt --seconds 4 --most-forwards 64 --solver euler --solver ab2
  fm-audio frontier english_cloner --data harvard_dev30 --limit 2 --reference anna.wav --reference-text "I am Anna."
  fm-audio frontier g2p --data pairs.tsv --limit 300 --temperature 1 --no-presets --out results
  fm-audio say "Hello." -o hello.wav --voice heart --preset fast"""
USUAL_SOLVERS = ("euler", "ab2", "dpm++2m", "midpoint", "heun", "rk4", "adaptive_heun", "bosh3", "dopri5")
USUAL_GRIDS = ("uniform", "sway", "shifted", "cosine", "epss", LEARNED)
WHERE_ADAPTIVE = (
    "adaptive solvers take a tolerance; others the rest, with the model's own guidance on the uniform grid in 3 steps or more; "
    "--guidance-alike needs guidance"
)
RESULTS, PICTURE = "frontier.json", "frontier.png"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio frontier",
        description="Which ways to sample come nearest to the model's converged answer for how many forwards.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("model", metavar="NAME|DIR", help="a voice, or a model that clones, makes sounds, writes or listens")
    asked = f"one sentence, caption or text a line, pairs (.tsv, .jsonl), recordings (.jsonl), or {', '.join(LISTS)}"
    made.add_argument("--data", required=True, metavar="FILE|NAME", help=asked)
    made.add_argument("--limit", type=int, default=6, metavar="N", help="the first N lines (default: 6)")
    made.add_argument("--seconds", type=float, default=4.0, help="length of sounds (default: 4); speech finds its own")
    made.add_argument("--reference", metavar="FILE|NAME", help="whom a model that clones hears: a file, or a voice of the bank")
    made.add_argument("--reference-text", help="what the reference says, word for word; the bank knows it of its voices")
    made.add_argument("--temperature", type=float, metavar="T", help="of the noise; presets keep it (default: the model's)")
    made.add_argument("--solver", action="append", choices=sorted(SOLVERS), help="may be repeated (default: all but ddim)")
    grids = sorted([*GRIDS, QUANTILE, LEARNED])
    made.add_argument("--grid", action="append", choices=grids, help="may be repeated (default: all)")
    counts = f"(default: {' '.join(map(str, STEPS))})"
    made.add_argument("--steps", type=int, nargs="+", default=list(STEPS), metavar="N", help=counts)
    modes = "may be repeated (default: own, and for guided models interval, off, and two_null where there is that)"
    made.add_argument("--guidance", action="append", choices=MODES, help=modes)
    for name, values in ADAPTIVE.items():
        told = f"values of `Sampling.{name}`, by which items differ (default: {' '.join(map(str, values))}); none: leave out"
        made.add_argument(f"--{name.replace('_', '-')}", type=float, nargs="*", metavar="X", help=told)
    made.add_argument("--most-forwards", type=int, default=40, metavar="N", help="leave out what takes more (default: 40)")
    made.add_argument("--out", type=Path, metavar="DIR", help=f"where {RESULTS} and {PICTURE} go (default: the model's folder)")
    made.add_argument("--no-presets", action="store_true", help=f"leave the model's {FILE} as it is")
    made.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    made.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads (default: 2)")
    made.add_argument("--json", action="store_true", help="print the report")
    return made


def main(argv: Sequence[str]) -> int:
    """Raises FmAudioError before anything is measured when something asked for is not possible."""
    given = parser().parse_args(argv)
    if min([given.limit, given.most_forwards, given.threads, *given.steps]) < 1:
        raise FmAudioError("--limit, --steps, --most-forwards and --threads: give whole numbers from 1")
    before = torch.get_num_threads()
    torch.set_num_threads(given.threads)  # before the model is there: those of ONNX keep what they find
    try:
        subject = subject_of(given)
        own = subject.own if given.temperature is None else replace(subject.own, temperature=given.temperature)
        out = given.out or subject.folder
        if not out.is_dir():
            raise FmAudioError(f"--out {out}: is no folder; make it first")
        points = _measured(given, subject, own)
    finally:
        torch.set_num_threads(before)
    if not points:
        raise FmAudioError(
            "frontier: nothing asked for can be measured; raise --most-forwards, or give --steps that the grid has "
            "(epss: 5, 6, 7, 10, 12 or 16; learned: up to 48; others than uniform: from 2)"
        )
    chosen = presets(points)
    report = _report(given, subject, own, points, chosen)
    save_json(out / RESULTS, report)
    draw(out / PICTURE, subject.name, points, chosen)
    if not chosen:
        print(f"fm-audio frontier: no presets: none of them can say {TWO_NULL}; measure another --guidance too", file=sys.stderr)
    elif not given.no_presets:
        _write_presets(subject.folder, _presets(report, given, own, chosen))
    idle = [name for name in ADAPTIVE if getattr(given, name) and not any(name in p.adaptive for p in points)]
    if idle:
        asked = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        print(f"fm-audio frontier: not measured: {asked}; {WHERE_ADAPTIVE}", file=sys.stderr)
    if given.json:
        print(json.dumps(report, indent=2))
        return 0
    for line in table(points, chosen):
        print(line)
    return 0


def _measured(given: argparse.Namespace, subject: Subject, own: Sampling) -> list[Point]:
    """All ways that are asked for and that the model can go."""
    if TWO_NULL in (given.guidance or ()) and TWO_NULL not in subject.of_modes:
        raise FmAudioError(f"--guidance {TWO_NULL}: is for models that clone and lean away from both at once; leave it out")
    solvers = given.solver or USUAL_SOLVERS
    if not subject.adapts:
        refused = [name for name in solvers if SOLVERS[name]().forwards_per_step is None]
        if given.solver and refused:
            lacks = "tries steps again, which a self-conditioned head answers otherwise; leave it out"
            raise FmAudioError(f"--solver {refused[0]}: {lacks}")
        solvers = [name for name in solvers if name not in refused]
    with progress_bar("measuring") as bar:
        frontier = Frontier(subject.generate, subject.items, own, bar, subject.distance, subject.of_modes)
        modes = given.guidance or (["own"] if own.guidance == 1.0 else ["own", "interval", "off", *subject.of_modes])
        grids = given.grid or (*subject.more_grids, *USUAL_GRIDS)
        adaptive = {name: getattr(given, name) for name in ADAPTIVE if getattr(given, name) is not None}
        if given.rest is None and not subject.rests:
            adaptive["rest"] = []
        if given.cache is None and not _recalls(subject.generate, own):
            adaptive["cache"] = []
        return frontier.sweep(solvers, grids, given.steps, modes, given.most_forwards, {**ADAPTIVE, **adaptive})


def _recalls(generate: Generate, own: Sampling) -> bool:
    """Whether the model can leave blocks out; if not, it is said why nothing will be measured of that."""
    try:
        generate(0, 0, replace(own, steps=1, solver="euler", grid="uniform", tolerance=None, cache=min(ADAPTIVE["cache"])))
    except FmAudioError as e:
        print(f"fm-audio frontier: --cache is left out: {e}", file=sys.stderr)
        return False
    return True


def _report(
    given: argparse.Namespace, subject: Subject, own: Sampling, points: Sequence[Point], chosen: Mapping[str, Point]
) -> dict[str, Any]:
    return {
        "model": subject.name,
        "data": given.data,
        "items": subject.items,
        "guidance": own.guidance,
        "temperature": own.temperature,
        "machine": {"processor": platform.processor() or platform.machine(), "device": given.device, "threads": given.threads},
        "fm_audio": __version__,
        "torch": torch.__version__,
        "points": [asdict(p) for p in points],
        "pareto": [asdict(p) for p in pareto(points)],
        "presets": {preset: asdict(p) for preset, p in chosen.items()},
    }


def _write_presets(folder: Path, told: dict[str, Any]) -> None:
    """Into the folder, unless judges chose those that it has."""
    before = read_json(folder / FILE, "presets", "delete it") if (folder / FILE).is_file() else {}
    judged = before.get("measured", {}).get("chosen_by") if isinstance(before, dict) else None
    if judged is None:
        save_json(folder / FILE, told)
        return
    kept = f"{folder / FILE} stays as it is: its presets were chosen by {judged}; delete it to have those of this measurement"
    print(f"fm-audio frontier: {kept}", file=sys.stderr)


def _presets(
    report: Mapping[str, Any], given: argparse.Namespace, own: Sampling, chosen: Mapping[str, Point]
) -> dict[str, Any]:
    """What every command reads."""
    asked = {} if given.temperature is None else {"temperature": given.temperature}
    told = {}
    for preset, p in chosen.items():
        s = p.sampling(own)
        fields = {"steps": s.steps, "solver": s.solver, "grid": s.grid, "guidance": s.guidance,
                  "guidance_interval": s.guidance_interval, "guidance_rescale": s.guidance_rescale}  # fmt: skip
        fields |= asked | dict(p.adaptive)
        told[preset] = {"sampling": fields, "forwards": p.forwards, "error": round(p.error, 5)}
    measured = {k: report[k] for k in ("model", "data", "items", "machine", "fm_audio", "torch")}
    return {"format": FORMAT, "presets": told, "measured": measured}


def table(points: Sequence[Point], chosen: Mapping[str, Point]) -> list[str]:
    """The front, and which of it are presets."""
    wide = max(len(p.way) for p in points)
    lines = [f"forwards  {'way':{wide}}  grid      steps  guidance    error  seconds      MB"]
    for p in pareto(points):
        names = ", ".join(name for name, q in chosen.items() if q == p)
        way = f"{p.forwards:8.1f}  {p.way:{wide}}  {p.grid:8}  {p.steps:5}  {p.guidance:8}"
        lines.append(f"{way}  {p.error:7.4f}  {p.seconds:7.3f}  {p.megabytes:6.0f}  {names}".rstrip())
    return lines


def draw(path: Path, name: str, points: Sequence[Point], chosen: Mapping[str, Point]) -> None:
    """Error against forwards: each solver and grid a thin line, their front a bold one; what items decide for themselves a mark
    of the solver in the colour of its kind."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()

    def show(some: Sequence[Point], *style: str, **more: Any) -> None:
        some = sorted(some, key=lambda p: p.forwards)
        axes.plot([p.forwards for p in some], [max(p.error, 1e-5) for p in some], *style, **more)

    fixed = [p for p in points if not p.adaptive]
    for way in sorted({(p.solver, p.grid, p.guidance) for p in fixed}):
        own = [p for p in fixed if (p.solver, p.grid, p.guidance) == way]
        show(own, ".-", color="0.6", lw=0.6, ms=3, alpha=0.5)
    show(pareto(fixed), "k-", lw=2, label="front of what is the same for all items")
    markers = dict(zip(sorted({p.solver for p in points}), "ovs^DPX*d<>", strict=False))
    for i, kind in enumerate(ADAPTIVE):
        for solver in sorted({p.solver for p in points if kind in p.adaptive}):
            own = [p for p in points if kind in p.adaptive and p.solver == solver]
            show(own, markers[solver], color=f"C{i}", ms=5, alpha=0.8, label=f"{kind}, {solver}")
    for preset, p in chosen.items():
        show([p], "o", ms=9, mfc="none", mew=2, label=f"{preset}: {p.way}, {p.grid}, {p.steps} steps")
    axes.set(xscale="log", yscale="log", xlabel="forwards of an item", ylabel="error (1: as far as another reading)", title=name)
    axes.xaxis.set(major_formatter="{x:g}", minor_formatter="{x:g}")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=110)
