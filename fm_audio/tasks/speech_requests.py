"""What one asks of a text-to-speech task and what comes back, and the pieces between: sentences, durations, joined mels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import AudioSpec
from fm_audio.data.text.frontend import Encoded, FrontEnd
from fm_audio.data.text.sentences import split_sentences
from fm_audio.encoders.alignment import fit_total, frames_of
from fm_audio.types import FmAudioError

PIECE_CHARACTERS = 200  # about 13 s of speech, as long as what models are trained on
GROUP_FRAMES = 6000  # frames that are generated together: about a minute at 24 kHz, hop 256


@dataclass(frozen=True)
class SpeechRequest:
    """`speed` 2 speaks twice as fast (0.25 to 4); `seconds` asks for an exact total and rules out `speed`. `semitones`
    (-12 to 12) raise the pitch of models that know it."""

    text: str
    speaker: str
    seed: int = 0
    speed: float = 1.0
    seconds: float | None = None
    semitones: float = 0.0

    def __post_init__(self) -> None:
        if not 0.25 <= self.speed <= 4:
            raise FmAudioError(f"speed: given {self.speed}; allowed is 0.25 to 4, where 1 is the voice's own pace")
        if self.seconds is not None and self.speed != 1:
            raise FmAudioError("speed and seconds: give one of the two, since the total decides the pace")
        if self.seconds is not None and not 0.1 <= self.seconds <= 3600:
            raise FmAudioError(f"seconds: given {self.seconds}; allowed is 0.1 to 3600")
        if not -12 <= self.semitones <= 12:
            raise FmAudioError(f"pitch: given {self.semitones} semitones; allowed is -12 to 12, where 0 is the voice's own pitch")
        if not 0 <= self.seed < 2**63:
            raise FmAudioError(f"seed: given {self.seed}; allowed is a whole number from 0 to 2^63 - 1")


@dataclass(frozen=True)
class Word:
    """A word as read, from `start_frames` up to and without `end_frames`."""

    text: str
    start_frames: int
    end_frames: int


@dataclass(frozen=True)
class Generated:
    """mel (n bands), normalised log-mel; the words in it."""

    mel: Tensor
    words: list[Word]


@dataclass(frozen=True)
class Example:
    """A clip of a batch as the task says it: mel (n bands), and the frames of each symbol (m,) of the recorded one, if known."""

    mel: Tensor
    durations_frames: Tensor | None


@dataclass(frozen=True)
class Piece:
    """One sentence (or part of one) of request number `request`."""

    request: int
    encoded: Encoded
    seed: int


def split_request(index: int, request: SpeechRequest, frontend: FrontEnd) -> list[Piece]:
    """The pieces of a request. Each draws noise of its own: the first with the request's seed, so one sentence is one draw."""
    texts = split_sentences(request.text, PIECE_CHARACTERS) or [request.text]  # an empty one is the front-end's to refuse
    seeds = [request.seed, *np.random.SeedSequence(request.seed % 2**64).generate_state(len(texts), np.uint32).tolist()]
    return [Piece(index, frontend.encode(text), seed) for text, seed in zip(texts, seeds, strict=False)]


def plan_durations(
    requests: Sequence[SpeechRequest], pieces: Sequence[Piece], log_durations: Sequence[Tensor], spec: AudioSpec
) -> list[Tensor]:
    """Whole frames per symbol of every piece: predicted, divided by the speed, breaks as asked, or stretched to the total."""
    planned: list[Tensor] = []
    for i, request in enumerate(requests):
        mine = [(p, d) for p, d in zip(pieces, log_durations, strict=True) if p.request == i]
        frames = torch.cat([d.exp() for _, d in mine])[None] / request.speed
        fixed = torch.zeros_like(frames, dtype=torch.bool)
        offset = 0
        for piece, log_duration in mine:
            for symbol, seconds in piece.encoded.pauses_seconds.items():
                frames[0, offset + symbol] = spec.frames_of_seconds(seconds)
                fixed[0, offset + symbol] = True
            offset += len(log_duration)
        if request.seconds is None:
            whole = frames_of(frames, torch.ones_like(fixed))
        else:
            whole = fit_total(frames, torch.tensor([spec.frames_of_seconds(request.seconds)]), fixed)
        planned += whole[0].split([len(d) for _, d in mine])
    return planned


def join_pieces(count: int, pieces: Sequence[Piece], durations: Sequence[Tensor], mels: Sequence[Tensor]) -> list[Generated]:
    """One mel and one list of words for each of `count` requests, its pieces one after the other."""
    parts: list[list[Tensor]] = [[] for _ in range(count)]
    words: list[list[Word]] = [[] for _ in range(count)]
    for piece, duration, mel in zip(pieces, durations, mels, strict=True):
        offset = sum(len(m) for m in parts[piece.request])
        ends = [0, *duration.cumsum(0).tolist()]
        for text, first, last in piece.encoded.words:
            words[piece.request].append(Word(text, offset + ends[first], offset + ends[last]))
        parts[piece.request].append(mel)
    return [Generated(torch.cat(m), w) for m, w in zip(parts, words, strict=True)]
