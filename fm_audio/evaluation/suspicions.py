"""What a recogniser heard otherwise than it was asked for, and how much more likely that is than the text, given the sound.

    evidence for a fault = log P(text with the fault | sound) − log P(text as asked | sound)      (nats)
"""

from __future__ import annotations

from dataclasses import dataclass

from fm_audio.evaluation.recognisers import Heard
from fm_audio.evaluation.sound import Fault
from fm_audio.evaluation.words import Difference, Written, differences, spoken_words

ADDITIONS = ("added", "repeated", "leaked")
EDGE_NATS = float("inf")  # an end of a text is no token, so nothing can be weighed against it


@dataclass(frozen=True)
class WordLimits:
    """When a suspicion is a fault. Distances are 0 (same sound) to 1, evidence is in nats."""

    distance: float = 0.34  # nearer words are the same
    alone: float = 0.6  # as far apart as this is a fault when the recogniser cannot weigh texts
    garbled: float = 3.0  # evidence for other words
    missing: float = 1.0  # evidence for a word left out, heard or not
    missing_last: float = 2.0  # the same of the last word: a text without it is the likelier one, as no end is weighed
    added: float = -3.0  # evidence for words that were heard: more words are less likely, whatever was said
    repeated: float = -4.3  # evidence for words said twice that were heard once
    repeated_last: float = -1.5  # the same of the last words, after which the text may also end


@dataclass(frozen=True)
class Suspicion:
    """A difference, the evidence for it (None: it cannot be weighed) and whether that makes it a fault."""

    difference: Difference
    evidence_nats: float | None
    is_fault: bool


@dataclass(frozen=True)
class Weighed:
    """All suspicions. Of recognisers that can weigh texts, `nats`: log P(text as asked | sound) for each of its words, and `gap`:
    by how much the transcript is likelier."""

    suspicions: list[Suspicion]
    nats: float | None = None
    gap: float | None = None

    @property
    def faults(self) -> list[Fault]:
        return [_word_fault(s.difference) for s in self.suspicions if s.is_fault]

    @property
    def values(self) -> dict[str, float]:
        """For `doubt`: `distance` is that of what was heard most otherwise, 0 when nothing was."""
        heard = [s.difference.distance for s in self.suspicions]
        values = {"distance": max(heard, default=0.0)}
        return values if self.nats is None or self.gap is None else {**values, "nats": self.nats, "gap": self.gap}


def weigh(
    asked: Written, heard: Heard, limits: WordLimits, reference_text: str = "", language: str = "en", mended: bool = False
) -> Weighed:
    """Suspicions against a recording of `asked`. Added words of `reference_text` are leaked ones.

    With `mended`, faults that recognisers like to mend (a word left out, or said twice) are weighed at every word too, where
    nothing else was wrong.
    """
    got = spoken_words(heard.text, language)
    reference = spoken_words(reference_text, language).words
    found = differences(asked.words, got.words, reference, language, limits.distance)
    if heard.log_likelihoods is None:
        return Weighed([Suspicion(d, None, d.distance >= limits.alone) for d in found])
    hidden = _hidden_faults(asked) if mended else []
    texts = [_as_heard(asked, got, d) for d in found] + [text for _, text in hidden]
    n = len(asked.words)
    base, as_heard, *others = heard.log_likelihoods([" ".join(asked.span(0, n)), heard.text, *texts])
    nats, gap = base / n, as_heard - base
    if not found:  # another writing of the same sounds
        base = max(base, as_heard)
    evidence = [other - base for other in others]
    suspicions = []
    for d, more in zip(found, evidence, strict=False):
        more = EDGE_NATS if d.kind in ADDITIONS and d.start == n else more
        suspicions.append(Suspicion(d, more, more >= _least(d, n, limits)))
    if any(s.is_fault for s in suspicions):  # what was not heard is in doubt where what was heard is wrong
        return Weighed(suspicions, nats, gap)
    of_hidden = zip(hidden, evidence[len(found) :], strict=True)
    weighed = [(more - _least(d, n, limits, hidden=True), more, d) for (d, _), more in of_hidden]
    for kind in ("missing", "repeated"):  # of the faults that were not heard, the likeliest of either kind
        of_kind = [w for w in weighed if w[2].kind == kind]
        if of_kind:
            above, more, difference = max(of_kind, key=lambda w: w[0])
            suspicions.append(Suspicion(difference, more, above >= 0))
    return Weighed(suspicions, nats, gap)


def _least(d: Difference, words: int, limits: WordLimits, hidden: bool = False) -> float:
    """The evidence that makes a difference a fault."""
    if d.kind == "missing":
        return limits.missing_last if d.end == words else limits.missing
    if d.kind == "garbled":
        return limits.garbled
    if not hidden:
        return limits.added
    return limits.repeated_last if d.end == words else limits.repeated


def _hidden_faults(asked: Written) -> list[tuple[Difference, str]]:
    """Every word left out, and every word and pair of words said twice, with the text that would then have been said."""
    starts = [i for i, w in enumerate(asked.written) if w]
    ends = [*starts[1:], len(asked.words)]
    found: list[tuple[Difference, str]] = []
    for k, start in enumerate(starts):
        if len(starts) > 1:
            missing = Difference("missing", asked.words[start : ends[k]], (), start, ends[k], start, 1.0)
            found.append((missing, asked.replaced(start, ends[k], ())))
        for end in ends[k : k + 2]:
            again = [w.rstrip(".,;:!?") for w in asked.span(start, end)]
            twice = Difference("repeated", (), asked.words[start:end], end, end, end, 1.0)
            found.append((twice, asked.replaced(start, start, again)))
    return found


def _as_heard(asked: Written, got: Written, d: Difference) -> str:
    """The text asked for with one difference as it was heard."""
    return asked.replaced(d.start, d.end, got.span(d.heard_start, d.heard_start + len(d.heard)))


_SAID = {
    "missing": "missing: {asked}",
    "repeated": "repeated: {heard}",
    "added": "added: {heard}",
    "leaked": "leaked from the reference: {heard}",
    "garbled": "garbled: {asked} (heard as {heard})",
}


def _word_fault(d: Difference) -> Fault:
    words = d.heard if d.kind in ADDITIONS else d.asked
    detail = _SAID[d.kind].format(asked=" ".join(d.asked), heard=" ".join(d.heard))
    return Fault(d.kind, detail, words, weight=float(max(1, len(words))))
