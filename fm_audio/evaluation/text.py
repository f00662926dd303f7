"""Quality, diversity and speed of a model that writes text: python -m fm_audio.evaluation.text MODEL TSV

One row for each number of steps and each temperature, the scale of the noise that is started from. The row of one step is always
there: it is a plain classifier of every place by itself, and says how much the flow adds. Minimum Bayes risk over several samples
has rows of its own, with all its forwards counted. A model that writes one token after the other has a row for each temperature.
`--likelihood` adds how likely every answer is to another model, which stands beside diversity and never alone.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fm_audio.checkpoint import load_model
from fm_audio.data.text.pairs import Pair, read_pairs
from fm_audio.evaluation.likelihood import Likelihood
from fm_audio.evaluation.metrics import Interval, timed
from fm_audio.evaluation.report import save_json
from fm_audio.evaluation.text_metrics import Diversity, Quality, diversity, quality
from fm_audio.extras import require
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.autoregressive_text import AutoregressiveText
from fm_audio.tasks.joint import part_of
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_models import folder_of
from fm_audio.tasks.text_requests import LENGTHS, GeneratedText, TextDecoding, TextRequest
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.types import FmAudioError

EXAMPLE = """examples:
  python -m fm_audio.evaluation.text g2p data/pronunciations/test.tsv --steps 1 4 16 --temperature 0 1 --mbr 8 --json g2p.json
  python -m fm_audio.evaluation.text runs/phrases/model data/phrases/test.tsv --steps 4 16 64 --temperature 1 --limit 500 \
    --likelihood runs/phrases_autoregressive/model"""
TOGETHER = 512  # requests handed over at once
COLUMNS = (
    "setting", "token error %", "item error %", "distinct-1", "distinct-2", "entropy", "self-BLEU", "nats", "forwards", "ms",
)  # fmt: skip

Generate = Callable[[Sequence[TextRequest]], list[GeneratedText]]


@dataclass(frozen=True)
class Way:
    """One way to have a model write: its label, and the call that does it."""

    label: str
    settings: dict[str, Any]
    generate: Generate


@dataclass(frozen=True)
class Row:
    """What one way came to. Forwards are means over items; quality is None where there is nothing to be right about; nats are the
    mean −log probability of a token of the answers by the model of `--likelihood`."""

    label: str
    settings: dict[str, Any]
    quality: Quality | None
    diversity: Diversity
    forwards: float
    batched_ms: float
    alone_ms: float | None
    answers: list[str]
    nats: Interval | None = None

    def report(self) -> dict[str, Any]:
        return asdict(self)


def ways(model: torch.nn.Module, given: argparse.Namespace) -> list[Way]:
    """All rows that were asked for; an autoregressive model has no steps."""
    if isinstance(model, AutoregressiveText):
        tries = [(t, 1) for t in given.temperature] + [(t, given.mbr) for t in given.temperature if t > 0 and given.mbr > 1]
        return [_in_turn(model, temperature, samples) for temperature, samples in tries]
    if not isinstance(model, TextToText | TextInPlace):
        raise FmAudioError(f"{given.model}: holds a {type(model).__name__}, which writes no text; give a text-to-text model")
    length = given.length or model.default_decoding().length
    all_steps = sorted({1, *given.steps})
    found = [_way(model, given, steps, temperature, 1, length) for temperature in given.temperature for steps in all_steps]
    if given.mbr > 1:
        noisy = [temperature for temperature in given.temperature if temperature > 0]
        found += [_way(model, given, steps, temperature, given.mbr, length) for temperature in noisy for steps in given.mbr_steps]
    return found


def _in_turn(model: AutoregressiveText, temperature: float, samples: int) -> Way:
    label = (f"temperature {temperature:g}" if temperature else "greedy") + (f", MBR of {samples}" if samples > 1 else "")
    settings = {"temperature": temperature, "samples": samples}
    return Way(label, settings, lambda requests: model.generate(requests, temperature, samples))


def _way(
    model: TextToText | TextInPlace, given: argparse.Namespace, steps: int, temperature: float, samples: int, length: str
) -> Way:
    sampling = Sampling(steps, given.solver, given.grid, given.guidance, temperature=temperature)
    decoding = TextDecoding(length, given.candidates, samples, None if given.no_stop else 2)
    label = f"{steps} step{'s' if steps > 1 else ''}, temperature {temperature:g}"
    label += f", MBR of {samples}" if samples > 1 else ""
    settings = asdict(decoding) | {"steps": steps, "temperature": temperature, "guidance": given.guidance, "grid": given.grid}
    return Way(label, settings, lambda requests: model.generate(requests, sampling, decoding))


def judged(way: Way, pairs: Sequence[Pair], seed: int, alone: int, likely: Likelihood | None = None) -> Row:
    """Have all pairs written, and the first `alone` of them again one at a time for the clock."""
    requests = [TextRequest(p.source, seed + i) for i, p in enumerate(pairs)]
    way.generate(requests[:2])  # warms up
    made: list[GeneratedText] = []
    seconds = 0.0
    for at in range(0, len(requests), TOGETHER):
        answers, taken = timed(lambda start=at: way.generate(requests[start : start + TOGETHER]))  # type: ignore[misc]
        made, seconds = made + answers, seconds + taken
    single = [timed(lambda r=request: way.generate([r]))[1] for request in requests[:alone]]  # type: ignore[misc]
    texts = [m.text for m in made]
    return Row(
        way.label,
        way.settings,
        quality(texts, [p.right for p in pairs]) if pairs[0].source is not None else None,
        diversity(texts),
        statistics.fmean(m.forwards for m in made),
        1000 * seconds / len(pairs),
        1000 * statistics.median(single) if single else None,
        texts,
        likely(pairs, texts) if likely else None,
    )


def table(title: str, rows: Sequence[Row], right: Diversity, right_nats: Interval | None = None) -> Any:
    """A rich table with one row for each way, and the diversity of the right answers last."""
    made = require("rich.table", "the table of results").Table(
        title=title, caption="in brackets: 95 % bootstrap interval over items; ms: an item's share of a batch / one item alone"
    )
    for name in COLUMNS:
        made.add_column(name, justify="left" if name == "setting" else "right", no_wrap=True)
    for r in rows:
        errors = [_percent(r.quality.token_error), _percent(r.quality.item_error)] if r.quality else ["", ""]
        alone = "" if r.alone_ms is None else f" / {r.alone_ms:.1f}"
        made.add_row(r.label, *errors, *_shown(r.diversity), _nats(r.nats), f"{r.forwards:.1f}", f"{r.batched_ms:.2f}{alone}")
    made.add_row("the right answers", "", "", *_shown(right), _nats(right_nats), "", "")
    return made


def _shown(d: Diversity) -> list[str]:
    return [f"{v:.3f}" for v in (d.distinct_1, d.distinct_2)] + [f"{d.entropy:.2f}", f"{d.self_bleu:.3f}"]


def _nats(interval: Interval | None) -> str:
    return "" if interval is None else rf"{interval.value:.2f} \[{interval.low:.2f}, {interval.high:.2f}]"


def _percent(interval: Interval) -> str:
    return r"{:.1f} \[{:.1f}, {:.1f}]".format(*(100 * v for v in (interval.value, interval.low, interval.high)))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m fm_audio.evaluation.text",
        description=str(__doc__).splitlines()[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("model", metavar="MODEL", help="g2p, or a model folder of fm-audio export")
    made.add_argument("pairs", type=Path, metavar="TSV", help="pairs that training never saw (.tsv or .jsonl)")
    made.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], metavar="N", help="1 is always added")
    made.add_argument(
        "--temperature", type=float, nargs="+", default=[0.0, 1.0], metavar="T", help="scales of the noise at the start"
    )
    made.add_argument("--mbr", type=int, default=1, metavar="N", help="also minimum Bayes risk over N samples, where noisy")
    made.add_argument("--mbr-steps", type=int, nargs="+", default=[8], metavar="N", help="steps of those rows (default 8)")
    made.add_argument("--length", choices=LENGTHS, help="how the length is found (default: the model's own way)")
    made.add_argument("--candidates", type=int, default=1, metavar="K", help="lengths to choose from (default 1)")
    made.add_argument("--grid", default="quantile", help="of times (default quantile: the training's own)")
    made.add_argument("--solver", default="euler")
    made.add_argument("--guidance", type=float, default=1.0, metavar="W", help="1 is off")
    made.add_argument("--no-stop", action="store_true", help="go on to the last step when nothing changes any more")
    made.add_argument("--likelihood", metavar="DIR", help="a model of autoregressive_text that says how likely answers are")
    made.add_argument("--limit", type=int, metavar="N", help="the first N pairs only")
    made.add_argument("--alone", type=int, default=20, metavar="N", help="items that are timed one at a time (default 20)")
    made.add_argument("--seed", type=int, default=0, help="of the first item; the next takes the next seed (default 0)")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--device", default="cpu")
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything here, answers too")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    given = parser().parse_args(argv)
    try:
        _check(given)
        torch.set_num_threads(given.threads)
        pairs = read_pairs(given.pairs)[: given.limit]
        model = part_of(load_model(folder_of(given.model)).to(given.device), "writing")
        likely = Likelihood(given.likelihood, given.device) if given.likelihood else None
        rows = [judged(way, pairs, given.seed, given.alone, likely) for way in ways(model, given)]
        right = diversity([p.target for p in pairs])
        right_nats = likely(pairs, [p.target for p in pairs]) if likely else None
        console = require("rich.console", "the table of results").Console(highlight=False)
        if not console.is_terminal:
            console.width = 160  # a file or a pipe has no edge to fold at
        title = f"{given.model}: {len(pairs)} items of {given.pairs}, {given.threads} threads"
        console.print(table(title, rows, right, right_nats))
        if given.json:
            everything = {"model": str(given.model), "pairs": str(given.pairs), "items": len(pairs), "seed": given.seed}
            everything |= {"parameters": sum(p.numel() for p in model.parameters()), "threads": given.threads}
            everything |= {"right": asdict(right), "right_nats": right_nats and asdict(right_nats)}
            save_json(given.json, everything | {"rows": [r.report() for r in rows]})
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


def _check(given: argparse.Namespace) -> None:
    """What would otherwise be found out after the measuring, or not at all."""
    for name in ("limit", "threads", "mbr"):
        count = getattr(given, name)
        if count is not None and count < 1:
            raise FmAudioError(f"--{name}: given {count}; give 1 or more")
    if given.json is not None and not given.json.parent.is_dir():
        raise FmAudioError(f"--json {given.json}: there is no folder {given.json.parent}; make it first")


if __name__ == "__main__":
    sys.exit(main())
