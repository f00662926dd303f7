"""How much noise does nearest-token projection bear? python -m fm_audio.evaluation.projection MODEL OUT.png

Points on the straight path, x_t = (1 − t) ε + t E_k of random tokens k, are projected back by each metric, onto the table of a
model that was trained and onto the same table with its rows left at the lengths that training gave their parameters. No context
helps here: a model that knows the others' places does better than this.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from fm_audio.checkpoint import load_model
from fm_audio.evaluation.report import save_json
from fm_audio.extras import require
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.text_models import folder_of
from fm_audio.tokens import METRICS, Rows, decided_at, project
from fm_audio.types import FmAudioError

TIMES = [k / 20 for k in range(21)]
EXAMPLE = "example: python -m fm_audio.evaluation.projection g2p projection.png --json projection.json"


@torch.no_grad()
def accuracy(rows: Rows, metric: str, t: float, points: int, seed: int = 0) -> float:
    """The share of `points` random tokens of `rows` (v d) that their point at time t in [0, 1] is projected back to."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, len(rows), (1, points), generator=draw)
    noise = torch.randn(1, points, rows.shape[1], generator=draw)
    x_t = (1 - t) * noise + t * rows[ids]
    return float((project(x_t, rows, metric, t) == ids).float().mean())


def tables_of(model: torch.nn.Module) -> dict[str, Rows]:
    """A model's table as it is used, with rows of one length, and as its parameters are. Raises FmAudioError without one."""
    port = next((m for m in model.modules() if isinstance(m, TokenPort)), None)
    if port is None:
        raise FmAudioError(f"a {type(model).__name__} has no table of tokens; give a model that writes text by flow")
    return {"rows of one length": port.table.rows.detach(), "rows as they come": port.table.weight.detach().float()}


def curves(tables: dict[str, Rows], points: int) -> dict[str, dict[str, list[float]]]:
    """table -> metric -> accuracy at each of `TIMES`."""
    return {name: {m: [accuracy(rows, m, t, points) for t in TIMES] for m in METRICS} for name, rows in tables.items()}


def draw(path: Path, found: dict[str, dict[str, list[float]]], decided: float) -> None:
    figure = require("matplotlib.figure", "the picture of projection").Figure(figsize=(8, 3.2), layout="constrained")
    places = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for place, (name, by_metric) in zip(places, found.items(), strict=True):
        for metric, style in zip(METRICS, ("-", "--", ":"), strict=True):
            place.plot(TIMES, by_metric[metric], style, label=metric)
        place.axvline(decided, color="grey", linewidth=0.8)
        place.text(decided, 1.02, "t*", ha="center", fontsize=8)
        place.set(title=name, xlabel="t (0 noise, 1 data)", ylabel="share projected back", ylim=(0, 1.08))
        place.legend(fontsize=8)
    figure.savefig(path, format="png", dpi=90)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fm_audio.evaluation.projection", description=str(__doc__).splitlines()[0], epilog=EXAMPLE
    )
    parser.add_argument("model", metavar="MODEL", help="a model that writes text by flow: a folder, or one that ships")
    parser.add_argument("picture", type=Path, metavar="OUT", help="the .png to write")
    parser.add_argument("--points", type=int, default=20_000, metavar="N", help="tokens that are drawn (default 20,000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args(argv)
    try:
        if given.points < 1:
            raise FmAudioError(f"--points: given {given.points}; give 1 or more")
        if not given.picture.parent.is_dir():
            raise FmAudioError(f"{given.picture}: there is no folder {given.picture.parent}; make it first")
        tables = tables_of(load_model(folder_of(given.model)))
        found = curves(tables, given.points)
        decided = decided_at(*next(iter(tables.values())).shape)
        draw(given.picture, found, decided)
        if given.json:
            save_json(given.json, {"times": TIMES, "decided_at": decided, "points": given.points, "accuracy": found})
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    for name, by_metric in found.items():
        for metric, shares in by_metric.items():
            print(f"{name}, {metric}: " + ", ".join(f"{t:g}: {s:.3f}" for t, s in zip(TIMES[::4], shares[::4], strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
