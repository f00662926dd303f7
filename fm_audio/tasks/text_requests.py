"""What one asks of a task that writes text, how it shall decide, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fm_audio.data.text.edits import least_risk
from fm_audio.types import FmAudioError

LENGTHS = ("predicted", "drawn", "end")


@dataclass(frozen=True)
class TextRequest:
    """Answer `text`; None asks for any text that the model may write."""

    text: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise FmAudioError(f"seed: given {self.seed}; allowed is a whole number from 0 to 2^63 - 1")


@dataclass(frozen=True)
class TextDecoding:
    """How an answer is decided on.

    length: "predicted", the `candidates` likeliest lengths, of which the answer that the model is surest of is kept; "drawn", one
    drawn from the lengths' distribution by the request's seed, for open generation; "end", a place for the longest plausible
    answer, cut where the model ends it.
    samples: answers drawn from seeds of their own, of which the one nearest to all is kept (minimum Bayes risk under edit
    distance); 1 is off. patience: an answer whose tokens came out the same so often again, each nearly certain, is done; None
    always goes to the end.
    """

    length: str = "predicted"
    candidates: int = 1
    samples: int = 1
    patience: int | None = 2

    def __post_init__(self) -> None:
        if self.length not in LENGTHS:
            raise FmAudioError(f"decoding: length is {self.length!r}; give one of {', '.join(LENGTHS)}")
        for name in ("candidates", "samples"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise FmAudioError(f"decoding: {name} is {count!r}; give a whole number, 1 or more")
        if self.candidates > 1 and self.length != "predicted":
            raise FmAudioError(f"decoding: {self.candidates} candidates are lengths to choose from; set length to 'predicted'")
        if self.patience is not None and self.patience < 1:
            raise FmAudioError(f"decoding: patience is {self.patience}; give 1 or more, or None to never stop early")


@dataclass(frozen=True)
class GeneratedText:
    """The answer as text and ids, the mean natural log probability of its tokens and its end as they were read last, and how many
    network evaluations it took, all candidates and samples together. `samples` are what minimum Bayes risk chose from."""

    text: str
    ids: tuple[int, ...]
    log_probability: float
    forwards: int
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """One try at request number `request`: which of its samples it belongs to, how many tokens it may have, its noise's seed."""

    request: int
    sample: int
    tokens: int
    seed: int


@dataclass(frozen=True)
class Try:
    """What became of a draft: ids without end, their mean log probability, forwards."""

    ids: tuple[int, ...]
    log_probability: float
    forwards: int


def seeds_of(seed: int, samples: int) -> list[int]:
    """A seed for each sample: the first is the request's own."""
    more = np.random.SeedSequence(seed).generate_state(samples, np.uint32).tolist()
    return [seed, *more[1:]]


def decided(samples: Sequence[Sequence[Try]], decode: Callable[[Sequence[int]], str]) -> GeneratedText:
    """Of each sample the surest candidate, of the samples the one nearest to all."""
    surest = [max(candidates, key=lambda c: c.log_probability) for candidates in samples]
    chosen = surest[least_risk([s.ids for s in surest]) if len(surest) > 1 else 0]
    forwards = sum(c.forwards for candidates in samples for c in candidates)
    shown = tuple(decode(s.ids) for s in surest) if len(surest) > 1 else ()
    return GeneratedText(decode(chosen.ids), chosen.ids, chosen.log_probability, forwards, shown)
