"""What does a model that writes text know at each t? python -m fm_audio.evaluation.token_times MODEL TSV

Each right answer is laid on the path and read there in one forward, at three kinds of points:

    noisy      t E_k + (1 − t) ε     what it was trained on
    noiseless  t E_k                 the right answer without noise
    own        t x̂1(0)               its own first answer without noise: where temperature 0 stands after one step

Of each: the share of places that it reads wrongly, the probability that it gives what it reads, and the nats that the network
alone, without the evidence of x_t, gives the right token above the mean of all. They fall to 0 where x_t shows the token; below 0
the network contradicts what it sees.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fm_audio.checkpoint import load_model
from fm_audio.data.batches import TextBatch
from fm_audio.data.text.pairs import Pair, read_pairs
from fm_audio.encoders.tokens import source_states
from fm_audio.evaluation.report import save_json
from fm_audio.flow.head import FlowHead
from fm_audio.flow.noise import noise_like
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.joint import part_of
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_models import folder_of
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.tasks.text_writer import TextWriter
from fm_audio.tokens import Ids
from fm_audio.types import Cond, FmAudioError, Frames, Mask, length_mask

TIMES = (0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8, 0.95)
KINDS = ("noisy", "noiseless", "own")
EXAMPLE = "example: python -m fm_audio.evaluation.token_times g2p data/pronunciations_in_place/validation.tsv --limit 300"


@dataclass(frozen=True)
class Known:
    """At time t, means over places: read wrongly, the probability of what is read, the network's own nats for the right token."""

    kind: str
    t: float
    wrong: float
    sure: float
    nats: float


@dataclass(frozen=True)
class Laid:
    """Right answers ids (b n) in their places, those that count, what the head is told of them, and the head."""

    ids: Ids
    mask: Mask
    scored: Mask
    cond: Cond
    head: FlowHead

    @property
    def port(self) -> TokenPort:
        return self.head.ports["text"]  # type: ignore[return-value]


@torch.no_grad()
def laid(model: nn.Module, pairs: Sequence[Pair], seed: int = 0) -> Laid:
    """Raises FmAudioError for a model that has no table of tokens, and for a text that its vocabularies refuse."""
    writer = model.writer if isinstance(model, TextToText) else model
    port = writer.head.ports["text"] if isinstance(writer, TextWriter | TextInPlace) else None
    if not isinstance(model, TextToText | TextInPlace) or not isinstance(port, TokenPort):
        raise FmAudioError(f"a {type(model).__name__} of this kind has no table of tokens; give a model that writes text by flow")
    batch = batch_of(model, pairs)
    if isinstance(model, TextInPlace):
        cond = model.encoded(batch.source, batch.source_mask)  # type: ignore[arg-type]
        return Laid(batch.target, batch.target_mask, batch.target_mask, cond, model.head)
    ids, mask, scored = model.writer.canvas(batch.target, batch.target_mask, torch.Generator().manual_seed(seed))
    states = source_states(model.encoder, batch.source, batch.source_mask, len(batch))
    cond = model.writer.placed(states, batch.target_mask.sum(1), ids.shape[1])
    return Laid(ids, mask, scored, cond, model.writer.head)


@torch.no_grad()
def known(at: Laid, times: Sequence[float] = TIMES, seed: int = 0) -> list[Known]:
    """Each kind of point at each time in [0, 1]."""
    x1, off = at.port.table(at.ids), ~at.mask[..., None]
    noise = noise_like(x1, torch.Generator().manual_seed(seed))
    first = at.port.estimate(read(at, torch.zeros_like(x1), 0.0)[0])
    points = {
        "noisy": lambda t: t * x1 + (1.0 - t) * noise,
        "noiseless": lambda t: t * x1,
        "own": lambda t: t * first,
    }
    found = []
    for kind in KINDS:
        for t in times:
            logits, own = read(at, points[kind](t).masked_fill(off, 0.0), t)
            sure, ids = logits.softmax(-1).max(-1)
            nats = own.gather(-1, at.ids[..., None])[..., 0] - own.mean(-1)
            means = (float(each[at.scored].float().mean()) for each in (ids != at.ids, sure, nats))
            found.append(Known(kind, t, *means))
    return found


def read(at: Laid, x: Frames, t: float) -> tuple[Tensor, Tensor]:
    """Logits (b n v) at x (b n d), and the network's own part in them."""
    port, time = at.port, torch.full((len(x),), min(t, at.port.t_last))
    logits = port.logits(at.head.predict(x, time, at.mask, at.cond, "text"), x, time, at.head.path)
    if port.prediction != "logits" or not port.evidence:
        return logits, logits
    c = at.head.path.coefficients(time)
    return logits, logits - port.table.evidence(x, c.alpha, c.sigma)


def batch_of(model: TextToText | TextInPlace, pairs: Sequence[Pair]) -> TextBatch:
    """Raises FmAudioError for a text that the model's vocabularies refuse."""
    target = _padded([model.target.encode(p.target) for p in pairs])
    if model.source is None:
        return TextBatch(*target)
    return TextBatch(*target, *_padded([model.source.encode(_asked(p)) for p in pairs]))


def _asked(pair: Pair) -> str:
    if pair.source is None:
        raise FmAudioError(f"the pair of {pair.target!r} has no source, and this model answers one; give a file with two columns")
    return pair.source


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Mask]:
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return ids, length_mask(torch.tensor([len(row) for row in rows]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fm_audio.evaluation.token_times", description=str(__doc__).splitlines()[0], epilog=EXAMPLE
    )
    parser.add_argument("model", metavar="MODEL", help="g2p, or a model folder of fm-audio export")
    parser.add_argument("pairs", type=Path, metavar="TSV", help="pairs that training never saw (.tsv or .jsonl)")
    parser.add_argument("--times", type=float, nargs="+", default=TIMES, metavar="T", help="from 0 (noise) to 1 (data)")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="the first N pairs, as one batch (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args(argv)
    try:
        if given.limit < 1 or not all(0.0 <= t <= 1.0 for t in given.times):
            raise FmAudioError(f"--limit {given.limit}, --times {given.times}: give 1 pair or more, and times from 0 to 1")
        model = part_of(load_model(folder_of(given.model)), "writing")
        at = laid(model, read_pairs(given.pairs)[: given.limit], given.seed)
        found = known(at, given.times, given.seed)
        if given.json:
            save_json(given.json, {"model": given.model, "pairs": str(given.pairs), "rows": [asdict(row) for row in found]})
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print(f"{int(at.scored.sum())} places; of each kind: % wrong, % sure of it, the network's own nats for the right token")
    print("     t" + "".join(f"{kind:>24}" for kind in KINDS))
    for k, t in enumerate(given.times):
        rows = [found[k + i * len(given.times)] for i in range(len(KINDS))]
        print(f"{t:6g}" + "".join(f"{100 * row.wrong:10.1f} {100 * row.sure:6.1f} {row.nats:6.1f}" for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
