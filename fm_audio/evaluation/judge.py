"""Judging one setting: clips in, word and character error, similarity, quality and speed out, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fm_audio.evaluation.clips import Clip
from fm_audio.evaluation.metrics import (
    Interval,
    SentenceScore,
    difference_interval,
    mean_interval,
    rate_interval,
    real_time_factor,
    score_sentence,
)
from fm_audio.evaluation.protocols import Protocol
from fm_audio.evaluation.quality import QualityJudge
from fm_audio.evaluation.recognisers import Recogniser
from fm_audio.evaluation.speaker import SpeakerEncoder, mutual_similarities, similarities


@dataclass
class Judges:
    """Who listens. Without a speaker judge or a quality judge their figures are absent.

    `references` are embeddings of the speaker to be compared with; None compares the clips with each other.
    """

    recogniser: Recogniser
    speaker: SpeakerEncoder | None = None
    references: list[np.ndarray] | None = None
    quality: QualityJudge | None = None


@dataclass(frozen=True)
class Hearing:
    """What the judges say of one clip."""

    text: str
    transcript: str
    score: SentenceScore
    seconds: float
    compute_seconds: float | None = None
    forwards: int | None = None
    embedding: np.ndarray | None = None
    quality: dict[str, float] | None = None


def hear(text: str, clip: Clip, judges: Judges, language: str) -> Hearing:
    """Let every judge listen to one clip. An empty recording is heard as nothing."""
    transcript = judges.recogniser.transcribe(clip.audio) if len(clip.audio.samples) else ""
    return Hearing(
        text=text,
        transcript=transcript,
        score=score_sentence(text, transcript, language),
        seconds=clip.audio.seconds,
        compute_seconds=clip.compute_seconds,
        forwards=clip.forwards,
        embedding=judges.speaker.embed(clip.audio) if judges.speaker else None,
        quality=judges.quality.score(clip.audio) if judges.quality else None,
    )


@dataclass(frozen=True)
class Result:
    """The figures of one setting. Rates are fractions: 0.022 is 2.2 %."""

    label: str
    fingerprint: str
    wer: Interval
    cer: Interval
    left_out: int
    said_twice: int
    hearings: list[Hearing]
    similarity: Interval | None = None
    quality: dict[str, Interval] = field(default_factory=dict)
    real_time_factor: float | None = None
    forwards: int | None = None
    similarities: list[float] | None = None

    def wrong(self) -> list[tuple[int, Hearing]]:
        """The sentences that were not heard as written, with their numbers from 0."""
        return [(i, h) for i, h in enumerate(self.hearings) if h.score.words.total]

    def wer_above(self, baseline: Result) -> Interval:
        """This word error minus the baseline's on the same sentences, in pairs."""
        mine, theirs = ([h.score.words for h in r.hearings] for r in (self, baseline))
        return difference_interval(mine, theirs)

    def report(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "label": self.label,
            "protocol": self.fingerprint,
            "word_error_rate": asdict(self.wer),
            "character_error_rate": asdict(self.cer),
            "words_left_out": self.left_out,
            "words_said_twice": self.said_twice,
            "similarity": asdict(self.similarity) if self.similarity else None,
            "dnsmos": {name: asdict(interval) for name, interval in self.quality.items()} or None,
            "real_time_factor": self.real_time_factor,
            "forwards": self.forwards,
            "audio_seconds": sum(h.seconds for h in self.hearings),
            "sentences": [self._sentence(i) for i in range(len(self.hearings))],
        }

    def _sentence(self, i: int) -> dict[str, Any]:
        h = self.hearings[i]
        return {
            "index": i,
            "text": h.text,
            "transcript": h.transcript,
            **asdict(h.score),
            "seconds": h.seconds,
            "compute_seconds": h.compute_seconds,
            "similarity": self.similarities[i] if self.similarities else None,
            "dnsmos": h.quality,
        }


def summarise(label: str, protocol: Protocol, hearings: Sequence[Hearing], judges: Judges) -> Result:
    """Hearings of all sentences of a protocol -> figures with bootstrap intervals (seed 0)."""
    alike = _similarities(hearings, judges)
    computed = [h.compute_seconds for h in hearings if h.compute_seconds is not None]
    scored = [h.quality for h in hearings if h.quality is not None]
    return Result(
        label=label,
        fingerprint=protocol.fingerprint,
        wer=rate_interval([h.score.words for h in hearings]),
        cer=rate_interval([h.score.characters for h in hearings]),
        left_out=sum(len(h.score.left_out) for h in hearings),
        said_twice=sum(len(h.score.said_twice) for h in hearings),
        hearings=list(hearings),
        similarity=mean_interval(alike) if alike else None,
        quality={name: mean_interval([q[name] for q in scored]) for name in (scored[0] if scored else ())},
        real_time_factor=real_time_factor(computed, [h.seconds for h in hearings]) if computed else None,
        forwards=hearings[0].forwards,
        similarities=alike,
    )


def _similarities(hearings: Sequence[Hearing], judges: Judges) -> list[float] | None:
    clips = [h.embedding for h in hearings if h.embedding is not None]
    if not clips:
        return None
    return mutual_similarities(clips) if judges.references is None else similarities(clips, judges.references)
