"""Is this recording what was asked for? A judge that says which words are missing, repeated, added, garbled or leaked.

    evidence for a fault = log P(text with the fault | sound) − log P(text as asked | sound)      (nats)

A recogniser's transcript raises suspicions, by sound rather than by spelling; a Whisper then weighs the text with the fault
against the text that was asked for, by teacher forcing, so that its own slips are no alarms. The sound is checked without a
recogniser.

Where a model can be asked what the text should sound like in this voice (`fm_audio.evaluation.acoustics`), one number from all
evidence decides (`fm_audio.evaluation.doubt`), and words only say what is wrong; a second recogniser, if there is one, is asked
where that number leaves doubts. Elsewhere each suspicion has its limit, and faults that recognisers like to mend (a word left
out or said twice) are weighed at every word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fm_audio.audio import Audio
from fm_audio.data.text.frontend import Break, split_markup
from fm_audio.data.text.said import as_written
from fm_audio.evaluation import acoustics, reading
from fm_audio.evaluation.doubt import AGAIN, SEEN, above_limit, doubt_of
from fm_audio.evaluation.recognisers import Recogniser, listen
from fm_audio.evaluation.sound import Fault, SoundLimits, sound_faults
from fm_audio.evaluation.speaker import SpeakerEncoder
from fm_audio.evaluation.suspicions import Suspicion, WordLimits, weigh
from fm_audio.evaluation.words import sound_length, spoken_words
from fm_audio.types import FmAudioError

ASKED_AGAIN = -4.0  # log odds of a fault, above those that are refused, from which on a second recogniser is asked
SHORTEST_FOR_SPEAKER_SECONDS = 1.6  # what the speaker encoder looks at in one go
ALL_HEARD = "every word was heard, and nothing else"


@dataclass(frozen=True)
class Verdict:
    """`ok`, or what is wrong. `suspicions` tell what was weighed, faults or not; `unchecked` what was not looked at, and why.

    `text_nats`: log P(text as asked | sound) for each of its words; None where the recogniser cannot weigh texts. `doubt`: log
    odds of a fault by all evidence, less those from which on it is refused; None without an acoustic model. `evidence` is what
    they come from.
    """

    text: str
    heard: str
    faults: tuple[Fault, ...]
    suspicions: tuple[Suspicion, ...] = ()
    similarity: float | None = None
    unchecked: tuple[str, ...] = ()
    text_nats: float | None = None
    doubt: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def badness(self) -> float:
        """About how many words are wrong; 0 when all is well. The least bad of several draws is the best."""
        return sum(f.weight for f in self.faults)

    @property
    def rank(self) -> tuple[float, float]:
        """Less is better: what is wrong first, then all doubt or else how unlikely the text is, given the sound."""
        nats = 0.0 if self.text_nats is None else -self.text_nats
        return self.badness, nats if self.doubt is None else self.doubt

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
            "doubt": self.doubt,
            "unchecked": list(self.unchecked),
        }


@dataclass(frozen=True)
class Verifier:
    """Who listens, and for what.

    `reading` hears phones, whoever speaks: without it, recognisers alone decide about words.
    `second` is another recogniser, which is asked where a fault is not unlikely; both must be able to weigh texts.
    `reference_text` are the words of a recording that was imitated, which must not leak. With a `speaker` judge and the
    `reference` embedding (256,) of that recording, every half of the speech must sound like it. `acoustics` know how the voice
    would say the text; `shown` guess it from a recording of somebody (`acoustics.acoustics_shown`).
    """

    recogniser: Recogniser
    language: str = "en"
    words: WordLimits = field(default_factory=WordLimits)
    sound: SoundLimits = field(default_factory=SoundLimits)
    reference_text: str = ""
    speaker: SpeakerEncoder | None = None
    reference: np.ndarray | None = None
    acoustics: acoustics.Acoustics | None = None
    shown: acoustics.Acoustics | None = None
    least_similarity: float = 0.55
    second: Recogniser | None = None
    reading: reading.Reading | None = None

    def judge(self, audio: Audio, text: str, speed: float | None = 1.0) -> Verdict:
        """Listen to a recording of `text` (breaks allowed); `speed` None leaves the pace unjudged.

        Raises FmAudioError for a text without words.
        """
        parts = split_markup(text)
        pauses = [p.seconds for p in parts if isinstance(p, Break)]
        plain = " ".join(" ".join(p.split()) for p in parts if isinstance(p, str) and p.strip())
        asked = spoken_words(as_written(plain), self.language)
        if not asked.words:
            raise FmAudioError(f"text {text[:40]!r}: has no words to listen for; write a sentence")
        phones = sound_length(asked.words, self.language)
        faults = sound_faults(audio, phones, pauses, speed, self.sound)
        if any(f.kind == "silent" for f in faults):
            return Verdict(text, "", tuple(faults))
        heard = listen(self.recogniser, audio)
        known, unread = self._fit(self.acoustics, audio, plain, pauses)
        shown, unshown = self._fit(self.shown, audio, plain, pauses)
        if known is None:
            unread = unshown if self.acoustics is None else unread
        fit = known or shown
        read, untold = self._read(audio, plain)
        weighed = weigh(asked, heard, self.words, self.reference_text, self.language, mended=read is None)
        values: dict[str, float] = {}
        odds = None
        if read is None:
            faults += weighed.faults
            unread = (*unread, *untold)
        else:
            values, named = {**read.values, **weighed.values}, weighed.faults
            values |= {**(known.values if known else {}), **({SEEN + k: v for k, v in shown.values.items()} if shown else {})}
            odds = above_limit(values)
            if self.second is not None and weighed.nats is not None and odds > ASKED_AGAIN:
                again = weigh(asked, listen(self.second, audio), self.words, self.reference_text, self.language)
                values |= {AGAIN + name: value for name, value in again.values.items()}
                odds, named = above_limit(values), named or again.faults
            if odds > 0:
                shares = {k if known else k.removeprefix(SEEN): v for k, v in doubt_of(values).shares(values).items()}
                faults += named or [fit.fault(shares) if fit else read.fault(shares)]
        similarity, unchecked = self._similarity(audio)
        if similarity is not None and similarity < self.least_similarity:
            detail = f"another speaker: similarity {similarity:.2f} to the reference, {self.least_similarity:g} is the least"
            faults.append(Fault("speaker", detail, weight=2.0))
        return Verdict(
            text, heard.text, tuple(faults), tuple(weighed.suspicions), similarity, (*unchecked, *unread),
            weighed.nats, odds, values,
        )  # fmt: skip

    def _fit(
        self, voice: acoustics.Acoustics | None, audio: Audio, text: str, pauses: Sequence[float]
    ) -> tuple[acoustics.Heard | None, tuple[str, ...]]:
        """How the sound fits what the voice would make of the text, or why that was not looked at."""
        if voice is None:
            return None, ("misfit: no acoustic model knows the speaker",)
        if self.language != "en":
            return None, ("misfit: how much it is worth was learned in English",)
        if pauses:
            return None, ("misfit: the text asks for pauses, which no alignment expects",)
        try:
            return voice.hear(audio, text), ()
        except FmAudioError as e:
            return None, (f"misfit: {e}",)

    def _read(self, audio: Audio, text: str) -> tuple[reading.Read | None, tuple[str, ...]]:
        """How the phones of the text are read in the sound, or why that was not looked at."""
        if self.reading is None or self.language != "en":
            why = "phones: there is nobody who reads them" if self.reading is None else "phones: they are read in English alone"
            more = ("second judge: it is asked where phones leave doubts",) if self.second is not None else ()
            return None, (why, *more)
        try:
            return self.reading.hear(audio, text), ()
        except FmAudioError as e:
            return None, (f"phones: {e}",)

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
