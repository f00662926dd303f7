"""What one asks of an infilling task: what is seen on either side, what stands between, and the symbols of all three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from fm_audio.data.text.frontend import COMMON_SYMBOLS, EDGE, SPACE, FrontEnd

LENGTHS = ("rate", "learned")


@dataclass(frozen=True)
class InfillRequest:
    """Say `text` as `reference`, normalised log-mel (n bands) of someone saying `reference_text`, is said.

    `frames` fixes the length of the answer. Otherwise `length` says by which rule it is found: "rate", the reference's rate of
    spoken symbols, or "learned", by the model's own predictor; None takes that where the model has it. `speed` divides either.
    What comes after the answer may be given too: `after` (k bands), which says `after_text`. Either side may be empty, and so may
    `text` when `frames` are given. `voice` is that of an adapter, in which the answer is made; None the model as it is.
    """

    text: str
    reference: Float[Tensor, "n d"]
    reference_text: str
    seed: int = 0
    speed: float = 1.0
    frames: int | None = None
    after: Float[Tensor, "k d"] | None = None
    after_text: str = ""
    length: str | None = None
    voice: str | None = None

    @property
    def texts(self) -> tuple[str, str, str]:
        """What is said before, in and after the answer."""
        return self.reference_text.strip(), self.text.strip(), self.after_text.strip()

    @property
    def seen_frames(self) -> tuple[int, int]:
        return len(self.reference), 0 if self.after is None else len(self.after)


def symbols_of_parts(frontend: FrontEnd, texts: Sequence[str], filled: Sequence[bool]) -> list[list[int]]:
    """Ids of consecutive texts as one encoding, and which of them belong to which: edges at the ends, one space between words.

    A space belongs to the part before it, or to an empty part between two texts, which is how silence is said there. Parts that
    are not `filled` have no frames and get no symbols; others get one at least.
    """
    ids = {symbol: i for i, symbol in enumerate(frontend.symbols)}
    edge, space = ([ids[s]] if s in ids else [] for s in (EDGE, SPACE))
    said = [_without_edges(frontend.encode(t).ids, edge) if t and f else [] for t, f in zip(texts, filled, strict=True)]
    parts = [list(s) for s in said]
    spoken, there = [i for i, s in enumerate(said) if s], [i for i, f in enumerate(filled) if f]
    for a, b in zip(spoken, spoken[1:], strict=False):
        parts[next((i for i in range(a + 1, b) if filled[i]), a)] += space
    if there:
        parts[there[0]] = edge + parts[there[0]]
        parts[there[-1]] = parts[there[-1]] + edge
    return [p or (space if f else []) for p, f in zip(parts, filled, strict=True)]


def _without_edges(ids: list[int], edge: list[int]) -> list[int]:
    start, end = int(ids[:1] == edge), len(ids) - int(ids[-1:] == edge)
    return ids[start:end]


def spoken_symbols(frontend: FrontEnd, text: str) -> int:
    """How many symbols of a text are sounds or letters rather than edges, spaces and punctuation; at least 1."""
    return max(1, sum(s not in COMMON_SYMBOLS for s in frontend.encode(text).symbols))
