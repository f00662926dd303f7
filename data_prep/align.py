"""A corpus's own alignment in samples: settling where pauses begin, and following a trim.

Teachers that predict durations often give the silence before a full stop to the last phone (Kokoro: a final /d/ of 350 ms of
which 60 sound). `settle_pauses` moves the inaudible end of such a phone to the punctuation, so that durations mean what they say.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

import numpy as np

from data_prep.checks import frame_samples

KEEP_SECONDS = 0.03  # a phone keeps this much after its last audible frame
LEAST_SECONDS = 0.05  # moves shorter than this are not worth making


@dataclass(frozen=True)
class Aligned:
    """One symbol and its end, in samples from the clip's start; it begins where the one before it ends."""

    symbol: str
    end: int


def alignment(phones: tuple[str, ...], units: tuple[int, ...], unit_samples: float, samples: int) -> list[Aligned] | None:
    """Cumulative ends; None when they miss the clip's length by more than one unit (the alignment belongs to other audio)."""
    ends = np.cumsum(units) * unit_samples
    if not phones or abs(ends[-1] - samples) > max(1.0, unit_samples):
        return None
    whole = [min(samples, round(float(e))) for e in ends]
    whole[-1] = samples
    return [Aligned(p, e) for p, e in zip(phones, whole, strict=True)]


def is_pause(symbol: str) -> bool:
    """Punctuation and the silence at the ends."""
    return symbol == "^" or unicodedata.category(symbol[0])[0] == "P"


def settle_pauses(items: list[Aligned], energy_db: np.ndarray, rate: int, silence_db: float = 45.0) -> list[Aligned]:
    """Each phone before a pause ends soon after its last audible frame; the pause takes the rest. Ends elsewhere stay."""
    hop = frame_samples(rate)
    settled = list(items)
    for i, item in enumerate(items[:-1]):
        if is_pause(item.symbol) or item.symbol.isspace() or not is_pause(items[i + 1].symbol):
            continue
        start = items[i - 1].end if i else 0
        frames = energy_db[start // hop : -(-item.end // hop)]
        loud = np.flatnonzero(frames >= -silence_db)
        heard = start + (int(loud[-1]) + 1) * hop if len(loud) else start
        end = heard + round(KEEP_SECONDS * rate)
        if item.end - end >= LEAST_SECONDS * rate:
            settled[i] = replace(item, end=end)
    return settled


def cut_out(items: list[Aligned], start: int, end: int) -> list[Aligned]:
    """The alignment of the samples [start, end): ends counted from `start`, symbols cut away keep length zero."""
    kept = [replace(item, end=min(max(item.end, start), end) - start) for item in items]
    kept[-1] = replace(kept[-1], end=end - start)
    return kept
