"""Is this recording what was asked for? A judge that says which words are missing, repeated, added, garbled or leaked.

    evidence for a fault = log P(text with the fault | sound) − log P(text as asked | sound)      (nats)

A recogniser's transcript raises suspicions, by sound rather than by spelling; a Whisper then weighs the text with the fault
against the text that was asked for, by teacher forcing, so that its own slips are no alarms. Faults that recognisers like to mend
(a word left out or said twice) are looked for in the same way at every word. The sound is checked without a recogniser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from fm_audio.audio import Audio
from fm_audio.data.text.frontend import Break, split_markup
from fm_audio.evaluation import acoustics
from fm_audio.evaluation.recognisers import Recogniser, listen
from fm_audio.evaluation.sound import Fault, SoundLimits, sound_faults
from fm_audio.evaluation.speaker import SpeakerEncoder
from fm_audio.evaluation.words import Difference, Written, differences, sound_length, spoken_words
from fm_audio.types import FmAudioError

SHORTEST_FOR_SPEAKER_SECONDS = 1.6  # what the speaker encoder looks at in one go
ALL_HEARD = "every word was heard, and nothing else"
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
class Verdict:
    """`ok`, or what is wrong. `suspicions` tell what was weighed, faults or not; `unchecked` what was not looked at, and why.

    `text_nats`: log P(text as asked | sound) for each of its words; None where the recogniser cannot weigh texts.
    """

    text: str
    heard: str
    faults: tuple[Fault, ...]
    suspicions: tuple[Suspicion, ...] = ()
    similarity: float | None = None
    unchecked: tuple[str, ...] = ()
    text_nats: float | None = None

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def badness(self) -> float:
        """About how many words are wrong; 0 when all is well. The least bad of several draws is the best."""
        return sum(f.weight for f in self.faults)

    @property
    def rank(self) -> tuple[float, float]:
        """Less is better: what is wrong first, then how unlikely the text is, given the sound."""
        return self.badness, 0.0 if self.text_nats is None else -self.text_nats

    @property
    def summary(self) -> str:
        """One line for a person."""
        return "; ".join(f.detail for f in self.faults) or ALL_HEARD

    def report(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "ok": self.ok,
            "heard": self.heard,
            "faults": [asdict(f) for f in self.faults],
            "similarity": self.similarity,
            "text_nats": self.text_nats,
            "unchecked": list(self.unchecked),
        }


@dataclass(frozen=True)
class Verifier:
    """Who listens, and for what.

    `reference_text` are the words of a recording that was imitated, which must not leak. With a `speaker` judge and the
    `reference` embedding (256,) of that recording, every half of the speech must sound like it. `acoustics` of the voice look
    for words that last too short or too long, or sound otherwise; where nothing of that is odd, words are not doubted either.
    """

    recogniser: Recogniser
    language: str = "en"
    words: WordLimits = field(default_factory=WordLimits)
    sound: SoundLimits = field(default_factory=SoundLimits)
    reference_text: str = ""
    speaker: SpeakerEncoder | None = None
    reference: np.ndarray | None = None
    acoustics: acoustics.Acoustics | None = None
    least_similarity: float = 0.55

    def judge(self, audio: Audio, text: str, speed: float | None = 1.0) -> Verdict:
        """Listen to a recording of `text` (breaks allowed); `speed` None leaves the pace unjudged.

        Raises FmAudioError for a text without words.
        """
        parts = split_markup(text)
        pauses = [p.seconds for p in parts if isinstance(p, Break)]
        plain = " ".join(" ".join(p.split()) for p in parts if isinstance(p, str) and p.strip())
        asked = spoken_words(plain, self.language)
        if not asked.words:
            raise FmAudioError(f"text {text[:40]!r}: has no words to listen for; write a sentence")
        phones = sound_length(asked.words, self.language)
        faults = sound_faults(audio, phones, pauses, speed, self.sound)
        if any(f.kind == "silent" for f in faults):
            return Verdict(text, "", tuple(faults))
        heard = listen(self.recogniser, audio)
        suspicions, nats = self._suspicions(asked, heard.text, heard.log_likelihoods)
        fit, unread = self._fit(audio, plain)
        if fit is not None and fit.fits:
            suspicions = [replace(s, is_fault=False) for s in suspicions]
        faults += [*(_word_fault(s.difference) for s in suspicions if s.is_fault), *(fit.faults if fit else ())]
        similarity, unchecked = self._similarity(audio)
        if similarity is not None and similarity < self.least_similarity:
            detail = f"another speaker: similarity {similarity:.2f} to the reference, {self.least_similarity:g} is the least"
            faults.append(Fault("speaker", detail, weight=2.0))
        return Verdict(text, heard.text, tuple(faults), tuple(suspicions), similarity, (*unchecked, *unread), nats)

    def _fit(self, audio: Audio, text: str) -> tuple[acoustics.Heard | None, tuple[str, ...]]:
        """How the sound fits the text, or why that was not looked at."""
        if self.acoustics is None:
            return None, ("misfit: no acoustic model knows the speaker",)
        try:
            return self.acoustics.hear(audio, text), ()
        except FmAudioError as e:
            return None, (f"misfit: {e}",)

    def _suspicions(
        self, asked: Written, heard: str, weigh: Callable[[Sequence[str]], list[float]] | None
    ) -> tuple[list[Suspicion], float | None]:
        """What was weighed, and the nats for each word of the text as asked."""
        got = spoken_words(heard, self.language)
        reference = spoken_words(self.reference_text, self.language).words
        found = differences(asked.words, got.words, reference, self.language, self.words.distance)
        if weigh is None:
            return [Suspicion(d, None, d.distance >= self.words.alone) for d in found], None
        hidden = _hidden_faults(asked)
        texts = [_as_heard(asked, got, d) for d in found] + [text for _, text in hidden]
        base, as_heard, *others = weigh([" ".join(asked.span(0, len(asked.words))), heard, *texts])
        nats_of_text = base / len(asked.words)
        if not found:  # another writing of the same sounds
            base = max(base, as_heard)
        evidence = [other - base for other in others]
        suspicions = []
        for d, nats in zip(found, evidence, strict=False):
            nats = EDGE_NATS if d.kind in ADDITIONS and d.start == len(asked.words) else nats
            suspicions.append(Suspicion(d, nats, nats >= self._least(d, len(asked.words))))
        if any(s.is_fault for s in suspicions):  # what was not heard is in doubt where what was heard is wrong
            return suspicions, nats_of_text
        hidden_evidence = zip(hidden, evidence[len(found) :], strict=True)
        weighed = [(nats - self._least(d, len(asked.words), hidden=True), nats, d) for (d, _), nats in hidden_evidence]
        for kind in ("missing", "repeated"):  # of the faults that were not heard, the likeliest of either kind
            of_kind = [w for w in weighed if w[2].kind == kind]
            if of_kind:
                above, nats, difference = max(of_kind, key=lambda w: w[0])
                suspicions.append(Suspicion(difference, nats, above >= 0))
        return suspicions, nats_of_text

    def _least(self, d: Difference, words: int, hidden: bool = False) -> float:
        """The evidence that makes a difference a fault."""
        if d.kind == "missing":
            return self.words.missing_last if d.end == words else self.words.missing
        if d.kind == "garbled":
            return self.words.garbled
        if not hidden:
            return self.words.added
        return self.words.repeated_last if d.end == words else self.words.repeated

    def _similarity(self, audio: Audio) -> tuple[float | None, tuple[str, ...]]:
        """The lesser similarity of the two halves to the reference (of the whole, when it is short)."""
        if self.speaker is None or self.reference is None:
            return None, ("speaker: there is no speaker judge",) if self.reference_text else ()
        if audio.seconds < SHORTEST_FOR_SPEAKER_SECONDS:
            return None, (f"speaker: {audio.seconds:.1f} s are too short",)
        half = len(audio.samples) // 2
        whole = audio.seconds < 2 * SHORTEST_FOR_SPEAKER_SECONDS
        pieces = [audio.samples] if whole else [audio.samples[:half], audio.samples[half:]]
        embedded = [self.speaker.embed(Audio(p, audio.sample_rate)) for p in pieces]
        alike = [float(e @ self.reference) for e in embedded if e.any()]  # a half without speech is nobody's
        return (min(alike), ()) if alike else (None, ("speaker: no speech was found to compare",))


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
