"""What writes texts, in company."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.data.text.vocabulary import Letters
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.autoregressive_text import AutoregressiveText
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding, TextRequest
from fm_audio.tasks.text_to_text import TextToText
from tests.invariance import states
from tests.invariance.case import WIDTH, Case, Outputs

ALPHABET = Letters("abcdefg", longest=9)
TEXTS = (TextRequest("gfedcba", 3), TextRequest("a", 1), TextRequest("bad", 2), TextRequest(None, 5), TextRequest("abcdefgab", 4))


def writing(source: bool = True, **arguments: Any) -> nn.Module:
    net = DiT(WIDTH, 2, 2, tokens_width=12 if source else 0, position_kernel=0)
    return TextToText(ALPHABET if source else None, ALPHABET, net, 8, 12, 1, 2, **arguments)


def writing_in_place() -> nn.Module:
    return TextInPlace(ALPHABET, ALPHABET, DiT(WIDTH, 2, 2, position_kernel=0), 8, 12, 1, 2, self_conditioning=0.5)


def written(texts: Sequence[GeneratedText]) -> Outputs:
    """Tokens, that could not be nearly the same, beside how sure of them the model was."""
    return [(torch.tensor([*t.ids, 1]).double(), torch.tensor([t.log_probability, t.forwards])) for t in texts]


def writes(sampling: Sampling, decoding: TextDecoding) -> Callable[..., Outputs]:
    def run(net: TextToText | TextInPlace, items: Sequence[TextRequest], padding: int) -> Outputs:
        """Padding comes of another request that shares the batch, the longest there is."""
        others = [TextRequest("abcdefgab", 99)] * padding if net.source else []
        return written(net.generate([*items, *others], sampling, decoding)[: len(items)])

    return run


def writes_in_turn(net: AutoregressiveText, items: Sequence[TextRequest], padding: int) -> Outputs:
    others = [TextRequest("abcdefgab" if net.source else None)] * padding
    return written(net.generate([*items, *others], 0.7, 2)[: len(items)])


def in_turn(source: bool = True) -> nn.Module:
    return AutoregressiveText(ALPHABET if source else None, ALPHABET, WIDTH, 2, 2, text_width=12, text_layers=1, text_heads=2)


def text_task(make: Callable[[], nn.Module], run: Callable[..., Outputs], items: Sequence[TextRequest] = TEXTS) -> Case:
    return Case(make, lambda: items, run, length=lambda request: len(request.text or ""), amount=0.3)


CASES: dict[str, Case] = {
    "written text": text_task(writing, writes(Sampling(4, grid="quantile", temperature=0.0), TextDecoding(candidates=2))),
    "written text, guided, self-conditioned, least risk": text_task(
        lambda: writing(self_conditioning=0.5), writes(Sampling(6, guidance=1.5), TextDecoding("end", samples=3))
    ),
    "written text, free": text_task(
        lambda: writing(False), writes(Sampling(6), TextDecoding("drawn")), [TextRequest(None, i) for i in range(5)]
    ),
    "written text, one token after the other": text_task(
        in_turn, writes_in_turn, [t for t in TEXTS if t.text]
    ),
    "written text, one token after the other, free": text_task(
        lambda: in_turn(False), writes_in_turn, [TextRequest(None, i) for i in range(5)]
    ),
    "written text, in place": text_task(
        writing_in_place, writes(Sampling(6, grid="quantile"), TextDecoding(samples=2)), [t for t in TEXTS if t.text]
    ),
    "written text, through states": text_task(lambda: states.writing(WIDTH), writes(Sampling(4), TextDecoding())),
}
