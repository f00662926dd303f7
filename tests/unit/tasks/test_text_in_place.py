"""Text in place: a small task is learnt whole, and what it cannot do is refused."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.data.batches import TextBatch
from fm_audio.data.pairs import PairsDataset
from fm_audio.data.text.vocabulary import Dealt, Letters
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_requests import TextDecoding, TextRequest
from fm_audio.types import FmAudioError

LETTERS, PHONES = Letters("aeb", longest=5), Dealt(["_", "AA", "IY", "B+AA", "B"], longest=5)
WORDS = ["".join(w) for n in (1, 2, 3) for w in product("aeb", repeat=n)]


def dealt(word: str) -> str:
    """A last e is silent, a b before an a is said with it, and that a is silent then."""
    said = {"a": "AA", "e": "IY", "b": "B"}
    found = [said[c] for c in word]
    for i in range(len(word) - 1):
        if word[i : i + 2] == "ba":
            found[i : i + 2] = ["B+AA", "_"]
    return " ".join([*found[:-1], "_"] if len(word) > 1 and word[-1] == "e" else found)


def phones(word: str) -> str:
    return PHONES.decode(PHONES.encode(dealt(word)))


def batch(words: list[str]) -> TextBatch:
    return PairsDataset()[[(LETTERS.encode(w), PHONES.encode(dealt(w))) for w in words]]


def make(**given: Any) -> TextInPlace:
    torch.manual_seed(0)
    net = DiT(32, 2, 2, feedforward=2.0, position_kernel=0)
    return TextInPlace(LETTERS, PHONES, net, 16, 32, 1, 2, **{"dropout": 0.0} | given)


@cache
def learnt() -> TextInPlace:
    model = make(condition_drop=0.05)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    g = torch.Generator().manual_seed(0)
    for k in range(120):
        for group in optimizer.param_groups:
            group["lr"] = 8e-3 * min(1.0, (k + 1) / 20, 2 * (1 - k / 120))
        loss = model.loss(batch(WORDS), g)["loss"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("sampling", "decoding"),
    [
        (None, None),
        (Sampling(1, temperature=0.0), TextDecoding()),
        (Sampling(4, grid="quantile"), TextDecoding(samples=3)),
        (Sampling(2, grid="quantile", temperature=0.0, guidance=1.5), TextDecoding(patience=None)),
    ],
)
def test_it_learns_how_words_are_said(sampling: Sampling | None, decoding: TextDecoding | None) -> None:
    made = learnt().generate([TextRequest(w, i) for i, w in enumerate(WORDS)], sampling, decoding)
    assert sum(m.text == phones(w) for m, w in zip(made, WORDS, strict=True)) >= len(WORDS) - 1
    assert all(len(m.ids) == len(w) and m.log_probability < 0 for m, w in zip(made, WORDS, strict=True))
    if decoding and decoding.samples > 1:
        assert made[0].text in made[0].samples and len(made[0].samples) == 3 and made[-1].forwards >= 3


def test_answers_are_plain_texts() -> None:
    assert learnt().answers(["ab", "eb"]) == [m.text for m in learnt().generate([TextRequest("ab"), TextRequest("eb")])]


def test_progress_is_told() -> None:
    heard: list[float] = []
    learnt().generate([TextRequest("ab"), TextRequest("b")], progress=heard.append)
    assert heard[-1] == 1.0 and learnt().generate([]) == []


def test_pairs_that_do_not_run_side_by_side_are_refused() -> None:
    bad = PairsDataset()[[(LETTERS.encode("ab"), PHONES.encode("AA B _"))]]
    with pytest.raises(FmAudioError, match="some pairs differ in length; make pairs side by side"):
        make().loss(bad)
    one_of_two = PairsDataset()[[(LETTERS.encode(a), PHONES.encode(b)) for a, b in (("ab", "AA"), ("a", "AA B"))]]
    with pytest.raises(FmAudioError, match="differ in length"):
        make().loss(one_of_two)
    with pytest.raises(FmAudioError, match="pairs have none"):
        make().loss(PairsDataset()[[([], PHONES.encode("AA B"))]])


@pytest.mark.parametrize(
    ("text", "sampling", "decoding", "message"),
    [
        ("abc", None, None, "'c' is none of the characters"),
        ("ababab", None, None, "at most 5"),
        (None, None, None, "cannot write freely"),
        ("ab", Sampling(temperature=0.0), TextDecoding(samples=2), "all the same"),
        ("ab", Sampling(guidance=2.0), None, "leave guidance at 1"),
        ("ab", None, TextDecoding("end"), "chooses no length"),
        ("ab", None, TextDecoding(candidates=2), "chooses no length"),
    ],
)
def test_what_it_cannot_do_is_refused(text: str | None, sampling: Any, decoding: Any, message: str) -> None:
    with pytest.raises(FmAudioError, match=message):
        make().generate([TextRequest(text)], sampling, decoding)
    with pytest.raises(FmAudioError, match="condition_drop is 1"):
        make(condition_drop=1.0)
