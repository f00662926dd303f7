"""Speech that was listened to before it is handed over: judge every piece, redraw the bad ones, keep the best with its verdict.

Pieces are what the models are trained on (a sentence or a part of one), so a long text is redrawn only where it went wrong, and
a judge hears each within the half minute that it sees at once. Of a cloned piece several lengths may be drawn at first, of which
the judge's favourite is kept, or drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from fm_audio.audio import Audio
from fm_audio.data.text.sentences import split_sentences
from fm_audio.evaluation.acoustics import acoustics_shown
from fm_audio.evaluation.agreement import otherwise
from fm_audio.evaluation.metrics import timed
from fm_audio.evaluation.verify import ALL_HEARD, Verdict, Verifier
from fm_audio.tasks.speech_requests import PIECE_CHARACTERS
from fm_audio.types import FmAudioError
from fm_audio.voices.cloner import Cloner, Draw
from fm_audio.voices.reference import require_reference
from fm_audio.voices.voice import Spoken, TimedWord, Voice

T = TypeVar("T")
REDRAWS, MOST_CANDIDATES = 3, 20
# (factor on the steps, factor on the length) of each redraw; the last stands for all that follow
LADDER = ((1.0, 1.0), (2.0, 1.0), (2.0, 1.1))


@dataclass(frozen=True)
class Try:
    """One reading of a piece: how it was drawn and what the judge said."""

    seed: int
    more_steps: float
    longer: float
    verdict: Verdict

    def report(self) -> dict[str, Any]:
        drawn = {"seed": self.seed, "more_steps": self.more_steps, "longer": self.longer}
        return drawn | {"ok": self.verdict.ok, "summary": self.verdict.summary}


@dataclass(frozen=True)
class Checked:
    """A piece with all its tries; `kept` is the number of the one that was handed over."""

    text: str
    tries: tuple[Try, ...]
    kept: int

    @property
    def verdict(self) -> Verdict:
        return self.tries[self.kept].verdict

    def report(self) -> dict[str, Any]:
        tries = [t.report() for t in self.tries]
        return {"text": self.text, **self.verdict.report(), "kept": self.kept, "tries": tries}


@dataclass
class Guard:
    """Draws until the verifier is content, at most `redraws` times after the first; `pieces` tell what happened.

    `candidates` is how many lengths of a piece are drawn at first, where its length is uncertain (`clone`).
    """

    verifier: Verifier
    redraws: int = REDRAWS
    candidates: int = 1
    pieces: list[Checked] = field(default_factory=list)
    judge_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.redraws <= 100:
            raise FmAudioError(f"redraws: given {self.redraws}; allowed is 0 to 100")
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise FmAudioError(f"candidates: given {self.candidates}; allowed is 1 to {MOST_CANDIDATES}")

    @property
    def ok(self) -> bool:
        return all(p.verdict.ok for p in self.pieces)

    @property
    def summary(self) -> str:
        """What is still wrong, one line; pieces are counted from 1."""
        several = len(self.pieces) > 1
        bad = [(i, p.verdict) for i, p in enumerate(self.pieces, 1) if not p.verdict.ok]
        return "; ".join((f"piece {i}: " if several else "") + v.summary for i, v in bad) or ALL_HEARD

    def best(
        self,
        text: str,
        seed: int,
        draw: Callable[[int, float, float], T],
        sound: Callable[[T], Audio],
        speed: float | None = 1.0,
        exact: bool = False,
        lengths: Sequence[float] = (1.0,),
    ) -> T:
        """The first reading that passes, or else the least bad one (`Verdict.rank`; the earliest of equals).

        `draw(seed, factor on the steps, factor on the length)`. All `lengths`, factors of which the first is the likeliest, are
        drawn with the first seed and the best of them stands for the first reading. With `exact` the length stays as it is.
        """
        drawn: list[T] = []
        tries: list[Try] = []

        def attempt(number: int, more_steps: float, longer: float) -> None:
            drawn.append(draw(redrawn_seed(seed, number), more_steps, longer))
            verdict, seconds = timed(lambda: self.verifier.judge(sound(drawn[-1]), text, speed))
            self.judge_seconds += seconds
            tries.append(Try(redrawn_seed(seed, number), more_steps, longer, verdict))

        def best() -> int:
            return min(range(len(tries)), key=lambda k: tries[k].verdict.rank)

        for longer in lengths:
            attempt(0, 1.0, longer)
        favourite = tries[best()].longer
        for number in range(1, self.redraws + 1):
            if tries[best()].verdict.ok:
                break
            more_steps, longer = LADDER[min(number, len(LADDER)) - 1]
            attempt(number, more_steps, favourite * (1.0 if exact else longer))
        self.pieces.append(Checked(text, tuple(tries), best()))
        return drawn[best()]

    def report(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "ok": self.ok,
            "judge": dict(self.verifier.recogniser.settings),
            "second_judge": dict(self.verifier.second.settings) if self.verifier.second else None,
            "judge_seconds": round(self.judge_seconds, 3),
            "draws": sum(len(p.tries) for p in self.pieces),
            "pieces": [p.report() for p in self.pieces],
        }


def redrawn_seed(seed: int, number: int) -> int:
    """The seed itself first, then others that follow from it."""
    return seed if number == 0 else int(np.random.SeedSequence([seed % 2**64, number]).generate_state(1)[0])


def say(
    voice: Voice,
    text: str,
    guard: Guard,
    seed: int = 0,
    steps: int | None = None,
    speed: float = 1.0,
    seconds: float | None = None,
    progress: Callable[[float], None] | None = None,
    **how: Any,
) -> Spoken:
    """`Voice.say_detailed` of one text with a guard; its verdict is `guard.report()` afterwards.

    Pieces that pass at once are drawn as without a guard. `seconds` is shared out as the voice would take its time.
    """
    texts = split_sentences(text, PIECE_CHARACTERS) or [text]
    seeds = [seed, *np.random.SeedSequence(seed % 2**64).generate_state(len(texts), np.uint32).tolist()]
    lengths = _shares(voice, texts, seconds, how)
    asked_steps = voice.sampling.steps if steps is None else steps
    spoken: list[Spoken] = []
    for i, (piece, first, length) in enumerate(zip(texts, seeds, lengths, strict=False)):

        def draw(seed: int, more_steps: float, longer: float, piece: str = piece, length: float | None = length) -> Spoken:
            pace = {"speed": max(0.25, speed / longer)} if length is None else {"seconds": length}
            return voice.say_detailed(piece, seed=seed, steps=round(asked_steps * more_steps), **pace, **how)

        judged_speed = speed if length is None else None
        spoken.append(guard.best(piece, first, draw, lambda s: s.audio, judged_speed, exact=length is not None))
        if progress is not None:
            progress((i + 1) / len(texts))
    return replace(_joined(spoken), seed=seed)


def _shares(voice: Voice, texts: Sequence[str], seconds: float | None, how: dict[str, Any]) -> list[float | None]:
    """Seconds of each piece, in the voice's own proportions and whole frames; None where the pace decides."""
    if seconds is None or len(texts) == 1:
        return [seconds] * len(texts)
    own = np.array([voice.say_detailed(t, steps=1, **how).audio.seconds for t in texts])
    ends = np.round(np.cumsum(own) / own.sum() * voice.spec.frames_of_seconds(seconds)).astype(int)
    return [voice.spec.seconds_of_frames(n) for n in np.diff(ends, prepend=0).tolist()]


def _joined(spoken: Sequence[Spoken]) -> Spoken:
    """One after the other, as a voice joins its sentences."""
    words: list[TimedWord] = []
    start = 0.0
    for part in spoken:
        words += [TimedWord(w.text, round(start + w.start_seconds, 4), round(start + w.end_seconds, 4)) for w in part.words]
        start += part.audio.seconds
    samples = np.concatenate([p.audio.samples for p in spoken])
    counts = [p.forwards for p in spoken if p.forwards is not None]
    return Spoken(
        Audio(samples, spoken[0].audio.sample_rate),
        words,
        spoken[0].voice,
        spoken[0].seed,
        max(p.steps for p in spoken),
        max(counts) if len(counts) == len(spoken) else None,
    )


def clone(
    cloner: Cloner,
    text: str,
    reference: Audio,
    reference_text: str,
    guard: Guard,
    speed: float = 1.0,
    seconds: float | None = None,
    **how: Any,
) -> Audio:
    """`Cloner.say` with a guard that also listens for the reference's words and, with a speaker judge, for its voice. In English,
    where phones are read, it asks the cloner that ships what the text should sound like in the voice of the reference.

    It listens to the reference first: FmAudioError where that says something else than its text.

    The guard's `candidates` are spread over what the length may be; exact `seconds` leave nothing to choose and refuse them.
    """
    if seconds is not None and guard.candidates > 1:
        raise FmAudioError("candidates: they differ in length, which seconds fixes; give one of the two")
    require_reference(reference)
    heard = otherwise(reference_text, reference, guard.verifier.recogniser, guard.verifier.language)
    if heard is not None:
        raise FmAudioError(
            f"reference text: {reference_text[:60]!r} is not what the reference says; the judge heard {heard[:60]!r}; "
            "write what it says, word for word"
        )
    verifier = replace(guard.verifier, reference_text=reference_text)
    if verifier.speaker is not None:
        verifier = replace(verifier, reference=verifier.speaker.embed(reference))
    if verifier.reading is not None and verifier.language == "en":
        verifier = replace(verifier, shown=acoustics_shown(reference))
    guard.verifier = verifier

    def keep(piece: str, seed: int, draw: Draw) -> Audio:
        if draw.length is None:
            return guard.best(piece, seed, draw, lambda a: a, None, exact=True)
        return guard.best(piece, seed, draw, lambda a: a, speed, lengths=draw.length.factors(guard.candidates))

    return cloner.say(text, reference, reference_text, speed=speed, seconds=seconds, keep=keep, **how)
