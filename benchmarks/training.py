"""Training steps a second of a recipe, and the share of the machine's peak in matrix products that they reach.

    python -m benchmarks.training --threads 1 2 --json training.json

    share = (operations of a step / its seconds) / (the most operations a second of large matrix products, same precision and run)

Operations are those that torch's flop counter knows: matrix products, convolutions, attention. All else takes time alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.contenders.recipe import read
from benchmarks.machine import this_machine
from benchmarks.report import Row, report
from benchmarks.rounds import Contender, add_options, measured
from fm_audio.types import FmAudioError

RECIPE = "recipes/aligned_tts/taught.yaml"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.training", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--recipe", default=RECIPE, metavar="FILE", help=f"of recipes/aligned_tts (default: {RECIPE})")
    made.add_argument("--batch-seconds", type=float, metavar="S", help="of sound in a batch (default: the recipe's)")
    made.add_argument("--precision", choices=("fp32", "bf16"), help="(default: the recipe's)")
    add_options(made, (1, 2), 7, "small matrices")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = parser().parse_args(arguments)
    machine, tell = this_machine(given.device), partial(print, file=sys.stderr, flush=True)
    rows: list[Row] = []
    try:
        recipe = read(given.recipe)
        precision = given.precision or ("bf16" if str(recipe["trainer"]["precision"]).startswith("bf16") else "fp32")
        batch_seconds = given.batch_seconds or recipe["data"]["init_args"]["batch_seconds"]
        for threads in given.threads:
            setting = {
                "recipe": given.recipe, "batch_seconds": batch_seconds, "precision": precision, "threads": threads,
                "tiny": given.tiny, "device": given.device,
            }  # fmt: skip
            both = [Contender(name, f"benchmarks.contenders.recipe:{name}", setting) for name in ("step", "matmul")]
            found, missing = measured(both, given.rounds, tell)
            for why in missing.values():
                raise FmAudioError(why)
            step, products = found
            best = min(products.each())
            rows.append(
                {
                    "recipe": given.recipe,
                    "threads": threads,
                    "precision": precision,
                    "steps a second": 1 / (step.median * step.made[0]),
                    "least": 1 / max(step.seconds),
                    "most": 1 / min(step.seconds),
                    "GFLOP a step": step.made[0] / 1e9,
                    "GFLOP/s": 1 / step.median / 1e9,
                    "GFLOP/s of products": 1 / best / 1e9,
                    "share of peak": best / step.median,
                    "peak MB": step.peak_megabytes,
                }
                | dict(step.facts)
            )
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    report("training", arguments, rows, machine, {}, [], given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
