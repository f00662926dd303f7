"""A corpus's own alignment in samples, and how it follows a trim.

Teachers that predict durations often give the silence before a full stop to the last phone; that is left as the teacher said it
(`fm_audio.data.text.transfer.settle_pauses` moves it when the durations are carried onto symbols).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


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


def cut_out(items: list[Aligned], start: int, end: int) -> list[Aligned]:
    """The alignment of the samples [start, end): ends counted from `start`, symbols cut away keep length zero."""
    kept = [replace(item, end=min(max(item.end, start), end) - start) for item in items]
    kept[-1] = replace(kept[-1], end=end - start)
    return kept
