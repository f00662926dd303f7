"""A reader of phones that stays as it is, for tasks that look at what it hears."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fm_audio.types import FmAudioError

if TYPE_CHECKING:
    from fm_audio.data.batches import SpeechBatch
    from fm_audio.data.text.misreadings import Word
    from fm_audio.tasks.phone_reader import PhoneReader

SHIPPED = Path(__file__).parents[1] / "evaluation" / "phones"


class FrozenReader:
    """folder: of a `PhoneReader` that tells damage (`recipes/phones/heard.yaml`); "" is the one that comes with the package."""

    def __init__(self, folder: str = "") -> None:
        self.folder = folder
        self.words = lru_cache(maxsize=100_000)(self._words)

    def __str__(self) -> str:
        return self.folder or "the reader that ships"

    @cached_property
    def model(self) -> PhoneReader:
        from fm_audio.checkpoint import load_model
        from fm_audio.tasks.phone_reader import PhoneReader

        found = load_model(self.folder or SHIPPED)
        if not isinstance(found, PhoneReader) or not found.damage:
            raise FmAudioError(f"{self}: is no reader of phones that tells damage; train one with recipes/phones/heard.yaml")
        return found.requires_grad_(False)

    @torch.no_grad()
    def hear(self, batch: SpeechBatch) -> tuple[Float[Tensor, "b k w"], Float[Tensor, "b k c"], Bool[Tensor, "b k"]]:
        """`PhoneReader.states` of a batch, on its device."""
        return self.model.to(batch.mel.device).states(batch.mel, batch.mask, batch.heard, batch.heard_mask)

    def damaged(self, batch: SpeechBatch, k: int) -> Bool[Tensor, "b k"] | None:
        """Which of its tokens are damaged, where the data say so."""
        return None if batch.damaged is None else self.model.damaged_tokens(batch, k)

    def _words(self, text: str) -> tuple[Word, ...]:
        return tuple(map(tuple, self.model.words(text)[1]))
