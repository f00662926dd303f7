"""Which captions say about the same: vectors of captions, and the nearest of them by angle (scikit-learn).

    words      tf-idf of words and of their letters four by four, so that "barks" is near "barking": needs no weights
    states     mean state of a text encoder of `transformers` (`FrozenCaptions`), so that "puppy" is near "dog"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch

from fm_audio.data.frozen_captions import FrozenCaptions
from fm_audio.types import FmAudioError

INSTALL = 'pip install "fm-audio[retrieve]"'
LETTERS = 4


def pieces(caption: str) -> list[str]:
    """Words, and their letters four by four: what captions are compared by."""
    words = re.findall(r"[^\W_]+", caption.lower())
    padded = (f" {word} " for word in words)
    return words + [word[i : i + LETTERS] for word in padded for i in range(max(1, len(word) - LETTERS + 1))]


class Neighbours:
    """Captions to look among. `sources` (one each) name where a clip comes from, so that none finds itself or its like.

    by: a text encoder; None compares words. vectors: its mean states of the captions (n channels), where they are known. Raises
    FmAudioError for no captions, and where scikit-learn is missing.
    """

    def __init__(
        self, captions: Sequence[str], sources: Sequence[str], by: FrozenCaptions | None = None, vectors: Any = None
    ) -> None:
        if not captions or len(captions) != len(sources):
            raise FmAudioError(f"neighbours: {len(captions)} captions, {len(sources)} sources; give one or more, a source each")
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.neighbors import NearestNeighbors
        except ImportError as e:
            raise FmAudioError(f"looking for like captions needs scikit-learn ({e}); run: {INSTALL}") from e
        self.captions, self.sources = list(captions), list(sources)
        self._embed: Callable[[Sequence[str]], Any] = lambda texts: mean_states(by, texts)  # type: ignore[arg-type]
        if by is None:
            words = TfidfVectorizer(analyzer=pieces, sublinear_tf=True).fit(self.captions)
            self._embed = words.transform
        there = self._embed(self.captions) if vectors is None else vectors
        self._index = NearestNeighbors(metric="cosine", algorithm="brute").fit(there)

    def nearest(
        self, captions: Sequence[str], count: int, without: Sequence[Collection[str]] = ()
    ) -> list[list[tuple[int, float]]]:
        """For each caption up to `count` (index, cosine), the nearest first; of captions as near, the first in order.

        without: for each caption the sources that are not to be found. What has nothing in common (cosine 0) is not found.
        """
        if count < 1:
            raise FmAudioError(f"neighbours: asked for {count}; ask for 1 or more")
        barred = [set(w) for w in without] or [set() for _ in captions]
        many = [sum(source in bar for source in self.sources) for bar in barred]
        wanted = min(len(self.captions), count + max(many, default=0))
        distances, found = self._index.kneighbors(self._embed(captions), n_neighbors=wanted)
        rows = []
        for far, where, bar in zip(distances, found, barred, strict=True):
            near = sorted((round(float(d), 6), int(i)) for d, i in zip(far, where, strict=True))
            rows.append([(i, 1.0 - d) for d, i in near if d < 1.0 and self.sources[i] not in bar][:count])
        return rows


@torch.no_grad()
def mean_states(encoder: FrozenCaptions, captions: Sequence[str]) -> np.ndarray:
    """(n channels) float32, one caption at a time, so that company does not matter."""
    rows = []
    for caption in captions:
        ids = torch.tensor([encoder.encode(caption).ids])
        rows.append(encoder.states(ids, torch.ones_like(ids, dtype=torch.bool))[0].mean(0).numpy())
    return np.stack(rows)
