"""Who listens while a voice is learned: a recogniser for its words and, where it is installed, a judge of whose voice it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fm_audio.audio import Audio
from fm_audio.evaluation.clips import Clip
from fm_audio.evaluation.judge import Judges, Result, hear, summarise
from fm_audio.evaluation.protocols import Protocol
from fm_audio.evaluation.recognisers import Recogniser, load_recogniser
from fm_audio.evaluation.speaker import SpeakerJudge
from fm_audio.extras import require
from fm_audio.types import FmAudioError

AUTO, NOBODY = "auto", "none"
REFERENCES = 20


@dataclass
class Ears:
    """`missing` says, in words, who could not come."""

    recogniser: Recogniser | None = None
    speaker: SpeakerJudge | None = None
    language: str = "en"
    missing: str = ""

    @property
    def both(self) -> bool:
        """Whether words and voice can be judged, which is what stopping early needs."""
        return self.recogniser is not None and self.speaker is not None

    def judges(self, recordings: Sequence[Audio]) -> Judges | None:
        """Judges who know the voice of these recordings; None where nobody can listen to words."""
        if self.recogniser is None:
            return None
        known = None if self.speaker is None else [self.speaker.embed(audio) for audio in recordings[:REFERENCES]]
        return Judges(self.recogniser, self.speaker, known)


def open_ears(judge: str, language: str, threads: int) -> Ears:
    """`judge` is a recogniser's name, "auto" (the small English Whisper or, for other languages, the base one, if installed), or
    "none". Raises FmAudioError when one asked for by name is not there."""
    if judge == NOBODY:
        return Ears(language=language, missing="no judge was wanted")
    ears, reasons = Ears(language=language), []
    name = judge if judge != AUTO else "whisper-tiny.en" if language == "en" else "whisper-base"
    try:
        require("jiwer", "word error rates")
        ears.recogniser = load_recogniser(name, language, threads)
    except FmAudioError as e:
        if judge != AUTO:
            raise
        reasons.append(str(e))
    try:
        ears.speaker = SpeakerJudge()
    except FmAudioError as e:
        reasons.append(str(e))
    ears.missing = "; ".join(reasons)
    return ears


def listen(label: str, texts: Sequence[str], sounds: Sequence[Audio], judges: Judges, language: str) -> Result:
    """Word error and similarity of recordings of these texts."""
    protocol = Protocol("held out", tuple(texts), language).judged_by(**judges.recogniser.settings)
    heard = [hear(text, Clip(sound), judges, language) for text, sound in zip(texts, sounds, strict=True)]
    return summarise(label, protocol, heard, judges)


def score(result: Result) -> float:
    """What stopping early goes by: how alike the voice is less how many words are wrong, both as shares. Higher is better.

    No sentence has more wrong words than it has words: recognisers that run in circles add what nobody said.
    """
    assert result.similarity is not None
    words = [h.score.words for h in result.hearings]
    wrong = sum(min(w.total, w.units) for w in words) / max(1, sum(w.units for w in words))
    return result.similarity.value - wrong


def figures(result: Result) -> dict[str, Any]:
    """Plain values for a report."""
    row: dict[str, Any] = {"word_error_rate": _plain(result.wer), "character_error_rate": _plain(result.cer)}
    return row | ({"similarity": _plain(result.similarity)} if result.similarity is not None else {})


def _plain(interval: Any) -> dict[str, float]:
    return {"value": round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}
