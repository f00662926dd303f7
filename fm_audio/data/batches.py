"""What a speech corpus hands to a task: one padded batch, on the host."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass
class SpeechBatch:
    """b clips with their symbols. Padded mel frames hold the log floor, padded symbols hold 0.

    `durations_frames` counts mel frames per symbol and sums to the clip's frames where `has_durations`; elsewhere the row is
    zero and the task must find the alignment itself. `log_pitch` is the natural log of F0 in Hz at each mel frame, drawn through
    unvoiced stretches, and `voiced` says where it was heard; None where the corpus was read without pitch.
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

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> SpeechBatch:
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if isinstance(getattr(self, f.name), Tensor)}
        return replace(self, **moved)
