"""A text in a language that the base cannot read, as what the base would take it for: "Kreis" as an English reader says it.

That is wrong in its vowels and good enough to find the words in a recording, and to begin each new letter as the sounds that
stand in its place. Both need letters that can be written in ASCII; other scripts are aligned while they are learned. A front-end
of phones knows better: it says what stands in for each symbol (`BorrowedPhones.stand_ins`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fm_audio.data.text.frontend import Encoded, FrontEnd
from fm_audio.encoders.alignment import frames_of
from fm_audio.types import FmAudioError

IN_ASCII = {"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d"}  # what no accent can be taken from


@dataclass(frozen=True)
class Likened:
    """`own` is a text in its own symbols, `encoded` the same words in the base's; `exact`: symbol by symbol."""

    own: Encoded
    encoded: Encoded
    exact: bool = False

    def words(self) -> list[tuple[int, int, int, int]]:
        """First and one past the last symbol of each word, of its own symbols and of the base's."""
        return [(a, b, c, d) for (_, a, b), (_, c, d) in zip(self.own.words, self.encoded.words, strict=True)]


def likened(own: Encoded, base: FrontEnd, stand_ins: Mapping[str, str] | None = None) -> Likened:
    """By what stands in for symbols that the base lacks, or else as the base reads the spelling.

    Raises FmAudioError where the base does, and where it reads one word as several."""
    if stand_ins is not None:
        symbols = [stand_ins.get(symbol, symbol) for symbol in own.symbols]
        at = {symbol: i for i, symbol in enumerate(base.symbols)}
        return Likened(own, replace(own, symbols=symbols, ids=[at[symbol] for symbol in symbols]), exact=True)
    words = [_ascii(word) for word, _, _ in own.words]
    encoded = base.encode(" ".join(words))
    if len(encoded.words) != len(words):
        raise FmAudioError(f"text: {' '.join(words)[:60]!r} has {len(words)} words, and {len(encoded.words)} for the base")
    return Likened(own, encoded)


def _ascii(word: str) -> str:
    spelled = "".join(IN_ASCII.get(c, c) for c in word)
    return unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()


def shared_out(taken: Likened, durations: Int[Tensor, "m"]) -> Int[Tensor, "k"]:
    """Frames of the base's symbols (m,) -> frames of the text's own (k,): each word's evenly among its letters, and those between
    words among what stands between them. At least one each; the sum stays. Where the text is likened symbol by symbol, nothing is
    shared."""
    if taken.exact:
        return durations
    ends = torch.cat([durations.new_zeros(1), durations.cumsum(0)])
    shares = torch.zeros(len(taken.own.ids), dtype=torch.float64)
    own_at, base_at = 0, 0
    for first, last, base_first, base_last in [*taken.words(), (len(shares),) * 2 + (len(durations),) * 2]:
        shares[own_at:first] = float(ends[base_first] - ends[base_at]) / max(1, first - own_at)
        shares[first:last] = float(ends[base_last] - ends[base_first]) / max(1, last - first)
        own_at, base_at = last, base_last
    return frames_of(shares[None], torch.ones(1, len(shares), dtype=torch.bool))[0].to(durations)


def rows_like(
    taken: Sequence[Likened], symbols: Sequence[str], known: Float[Tensor, "v c"], drawn: Float[Tensor, "k c"]
) -> Float[Tensor, "k c"]:
    """Rows (k c) for new symbols: for each the mean of the known rows of the base's symbols that stand where it stands in words,
    those that do so often counting more; `drawn` where a symbol never stands in one."""
    at = {symbol: i for i, symbol in enumerate(symbols)}
    together = torch.zeros(len(symbols), len(known), dtype=torch.float64)
    for text in taken:
        for first, last, base_first, base_last in text.words():
            edges = torch.linspace(0, 1, last - first + 1), torch.linspace(0, 1, base_last - base_first + 1)
            for i in range(first, last):
                if text.own.symbols[i] not in at:
                    continue
                here = [edge[k] for edge, k in ((edges[0], i - first), (edges[0], i - first + 1))]
                overlap = (torch.minimum(edges[1][1:], here[1]) - torch.maximum(edges[1][:-1], here[0])).clamp(min=0)
                for j, share in enumerate(overlap.tolist()):
                    together[at[text.own.symbols[i]], text.encoded.ids[base_first + j]] += share
    weights = together.square()
    found = weights.sum(1, keepdim=True) > 0
    rows = (weights / weights.sum(1, keepdim=True).clamp(min=1e-12)) @ known.double().cpu()
    return torch.where(found, rows.to(drawn.device, drawn.dtype), drawn)
