"""What a corpus hands to a task: one padded batch, on the host."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass
class SpeechBatch:
    """b clips with their symbols. Padded mel frames hold the log floor, padded symbols hold 0.

    `durations_frames` counts mel frames per symbol and sums to the clip's frames where `has_durations`; elsewhere the row is
    zero and the task must find the alignment itself. `log_pitch` is the natural log of F0 in Hz at each mel frame, drawn through
    unvoiced stretches, and `voiced` says where it was heard; None where the corpus was read without pitch.
    `heard` holds the states of a frozen speech encoder, where one listened, zeros where `heard_mask` is False. `found` holds the
    log-mels of other clips with captions like this one's, the nearest first, where they were looked for; an item may have fewer.
    `other_texts`: of clips that were joined (`data_prep.spliced`) what was said before, which is not what is said now.
    `damaged` marks frames that nobody could have said (`damage_waves`); None where no clip of the batch says so of itself.
    """

    ids: list[str]
    texts: list[str]
    speakers: list[str]
    symbols: Int[Tensor, "b m"]
    symbols_mask: Bool[Tensor, "b m"]
    mel: Float[Tensor, "b n d"]
    mask: Bool[Tensor, "b n"]
    durations_frames: Int[Tensor, "b m"]
    has_durations: Bool[Tensor, "b"]
    log_pitch: Float[Tensor, "b n"] | None = None
    voiced: Bool[Tensor, "b n"] | None = None
    heard: Float[Tensor, "b k e"] | None = None
    heard_mask: Bool[Tensor, "b k"] | None = None
    found: Float[Tensor, "b r f d"] | None = None
    found_mask: Bool[Tensor, "b r f"] | None = None
    damaged: Bool[Tensor, "b n"] | None = None
    other_texts: list[str | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> SpeechBatch:
        return replace(self, **_moved(self, device))


@dataclass
class TextBatch:
    """b texts and what they answer, as ids padded with 0 (`fm_audio.data.text.vocabulary`); no sources for free writing."""

    target: Int[Tensor, "b m"]
    target_mask: Bool[Tensor, "b m"]
    source: Int[Tensor, "b k"] | None = None
    source_mask: Bool[Tensor, "b k"] | None = None

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str) -> TextBatch:
        return replace(self, **_moved(self, device))


@dataclass
class JointBatch:
    """One batch for each direction of a joint model: to speak, to listen to (transcripts are its symbols), to write."""

    speech: SpeechBatch
    listening: SpeechBatch
    writing: TextBatch

    def __len__(self) -> int:
        """Items, all directions together."""
        return len(self.speech) + len(self.listening) + len(self.writing)

    def to(self, device: torch.device | str) -> JointBatch:
        return JointBatch(self.speech.to(device), self.listening.to(device), self.writing.to(device))


def _moved(batch: SpeechBatch | TextBatch, device: torch.device | str) -> dict[str, Any]:
    return {f.name: getattr(batch, f.name).to(device) for f in fields(batch) if isinstance(getattr(batch, f.name), Tensor)}
