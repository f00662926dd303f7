"""The pieces of a text encoder of the `transformers` library as a vocabulary. Needs `pip install fm-audio[transformers]`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from fm_audio.data.text.vocabulary import MARKS, fitting, until_end
from fm_audio.hub import from_hub
from fm_audio.types import FmAudioError


class HubPieces:
    """The tokenizer of a text encoder as a `Vocabulary`: its pieces come after padding and end.

    model: a name on the hub, or a folder of `save_pretrained`. Texts come back as its `decode` writes them (uncased ones in lower
    case).
    """

    def __init__(self, model: str, longest: int = 64) -> None:
        if longest < 1:
            raise FmAudioError(f"HubPieces: longest is {longest}; give how many pieces a text may have, 1 or more")
        self.model, self.longest = model, longest

    @cached_property
    def tokenizer(self) -> Any:
        found = from_hub("AutoTokenizer", self.model)
        if found.cls_token_id is None or found.sep_token_id is None:
            raise FmAudioError(f"{self.model}: its tokenizer marks no start and end ([CLS], [SEP]); give one like BERT's")
        return found

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return (*MARKS, *self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer))))

    def encode(self, text: str) -> list[int]:
        found = self.tokenizer(" ".join(text.split()), add_special_tokens=False)["input_ids"]
        if self.tokenizer.unk_token_id in found:
            raise FmAudioError(f"text {text[:40]!r}: holds characters that {self.model} does not know; write it in others")
        return fitting([len(MARKS) + i for i in found], self.longest, "pieces", text)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode([i - len(MARKS) for i in until_end(ids)], skip_special_tokens=True))
