"""What one asks of a text-to-audio task."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fm_audio.types import FmAudioError

SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 600.0


@dataclass(frozen=True)
class SoundRequest:
    """A sound of `seconds` (0.1 to 600) that a prompt describes; `negative` describes what it should not be (with guidance).

    start: normalised log-mel (n bands) to start from, of which `strength` (0 to 1) is replaced by noise: 1 ignores it.
    given, kept: log-mel (n bands) and where (n,) it shall stay as it is; the rest is filled in. Both cover the whole sound.
    found: normalised log-mels (n bands) of clips that are like what is asked for, for models that were trained with such.
    """

    prompt: str
    seconds: float
    seed: int = 0
    negative: str = ""
    start: Tensor | None = None
    strength: float = 1.0
    given: Tensor | None = None
    kept: Tensor | None = None
    found: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise FmAudioError("prompt: it is empty; say what is to be heard")
        if not SHORTEST_SECONDS <= self.seconds <= LONGEST_SECONDS:
            raise FmAudioError(f"seconds: given {self.seconds:g}; allowed is {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g}")
        if not 0 <= self.seed < 2**63:
            raise FmAudioError(f"seed: given {self.seed}; allowed is a whole number from 0 to 2^63 - 1")
        if not 0.0 < self.strength <= 1.0:
            raise FmAudioError(f"strength: given {self.strength:g}; allowed is above 0 (nothing new) to 1 (nothing of the start)")
        if (self.given is None) != (self.kept is None):
            raise FmAudioError("given and kept: give both, a log-mel and which of its frames stay, or neither")
        if self.given is not None and self.kept is not None:
            if self.kept.dtype != torch.bool or self.kept.shape != self.given.shape[:1]:
                shapes = tuple(self.kept.shape), tuple(self.given.shape)
                raise FmAudioError(f"kept: is {self.kept.dtype} of {shapes[0]}; give booleans, one for each frame of {shapes[1]}")
            if bool(self.kept.all()):
                raise FmAudioError("kept: every frame is to stay, so nothing is left to make")
