"""`tasks.text_matcher.TextMatcher` in one part: log odds of gaps and words. Which token lies in which state is known before."""

from __future__ import annotations

import torch
from torch import Tensor

from fm_audio.runtime.part import Input, Part, Sizes
from fm_audio.tasks.phone_reader import CLASSES, SILENCE
from fm_audio.tasks.text_matcher import TextMatcher, rows_of
from fm_audio.types import length_mask


def parts(task: TextMatcher) -> list[Part]:
    width = task.match.reader_width
    given = (
        Input("states", ("b", "n", width)), Input("log_p", ("b", "n", len(CLASSES) + 1)), Input("mask", ("b", "n"), "mask"),
        Input("share", ("b", "n", "m")), Input("classes", ("b", "m"), "ids", len(CLASSES)), Input("unit", ("b", "m"), "ids"),
        Input("kept", ("b", "m"), "mask"), Input("real", ("b", "u"), "mask"),
    )  # fmt: skip

    def example(sizes: Sizes, generator: torch.Generator) -> list[Tensor]:
        """Texts of up to `m` words of two phones, the first the longest, and any shares of `n` tokens."""
        b, k = sizes["b"], sizes["n"]
        phones = torch.randint(SILENCE + 1, len(CLASSES), (b, sizes["m"], 2), generator=generator).tolist()
        texts = [[tuple(word) for word in words[: max(1, len(words) - i)]] for i, words in enumerate(phones)]
        classes, kept, unit, real = rows_of(texts, torch.device("cpu"))
        mask = length_mask(torch.tensor([max(1, k - 3 * i) for i in range(b)]), k)
        share = torch.randn(b, k, kept.shape[1], generator=generator).mul(3).masked_fill(~kept[:, None], -torch.inf).softmax(-1)
        log_p = torch.randn(b, k, len(CLASSES) + 1, generator=generator).log_softmax(-1)
        states = torch.randn(b, k, width, generator=generator) * mask[..., None]
        return [states, log_p, mask, share * mask[..., None], classes, unit, kept, real]

    # In eight bits its answers were off by nine tenths of the largest, and what refuses speech is no place for that.
    return [Part("match", "match", task.match, given, ("logits",), lambda net, *told: net(*told), example=example, int8=False)]
