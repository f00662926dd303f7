"""The matcher learns to tell what is said from what is not, and its labels say where."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.misreadings import Misread, Misreading
from fm_audio.tasks.frozen_reader import FrozenReader
from fm_audio.tasks.phone_reader import PhoneReader
from fm_audio.tasks.text_matcher import TextMatcher, told_apart
from fm_audio.types import FmAudioError
from tests.unit.tasks.test_phone_reader import SPEC, batch


@pytest.fixture(scope="module")
def reader() -> FrozenReader:
    """One that has learned the phones of two clips."""
    torch.manual_seed(0)
    net = PhoneReader(SPEC, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0, damage=True)
    optimizer = torch.optim.Adam(net.parameters(), 3e-2)
    for _ in range(60):
        optimizer.zero_grad()
        net.loss(batch(True))["loss"].backward()
        optimizer.step()
    frozen = FrozenReader("tiny")
    frozen.__dict__["model"] = net.eval().requires_grad_(False)
    return frozen


def matcher(reader: FrozenReader, **given: object) -> TextMatcher:
    torch.manual_seed(0)
    return TextMatcher(SPEC, Arpabet(), reader, 16, 16, 1, 1, 2, 3, 4, dropout=0.0, **given)  # type: ignore[arg-type]


def test_it_learns_which_text_is_said(reader: FrozenReader) -> None:
    net, both = matcher(reader), batch(True)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(150):
        losses = net.loss(both, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    net.eval()
    heard = reader.hear(both)
    said = [reader.words(text) for text in both.texts]
    bat, tab = said[0]
    odds = net.odds(*net(*heard, said))
    wrong = net.odds(*net(*heard, [[bat], [tab, tab]]))
    assert (odds < 0).all() and (wrong > 0).all(), (odds, wrong)
    logits, real = net(*heard, [[bat, tab, bat], [tab]])
    assert real.sum(1).tolist() == [7, 3] and int(logits[0].argmax()) >= 3, "the word too many is behind"


def test_joined_clips_are_shown_with_the_text_of_before(reader: FrozenReader) -> None:
    net = matcher(reader, misreading=Misreading(true=1.0))
    plain = batch(True)
    assert "missed" not in net.loss(plain, torch.Generator().manual_seed(0)), "every text is true"
    joined = replace(plain, other_texts=["bat", None])
    shown = [net.loss(joined, torch.Generator().manual_seed(seed)) for seed in range(12)]
    assert 0 < sum("missed" in losses for losses in shown) < 12, "now and then"


def test_where_a_moment_is_damaged_its_word_is_not_said(reader: FrozenReader) -> None:
    net, both = matcher(reader, misreading=Misreading(true=1.0)), batch(True)
    damaged = torch.zeros(both.mask.shape, dtype=torch.bool)
    damaged[0, 6:24] = True  # the first word
    states, log_p, mask = reader.hear(both)
    said = [reader.words(text) for text in both.texts]
    _, real, shares = net._compared(states, log_p, mask, said)
    told = [Misread.true(words).labels for words in said]
    labels, counted = net._labels(replace(both, damaged=damaged), [0, 1], told, real, shares)
    assert labels[0, 1] == 1 and counted[0, 1] and not labels[1].any()
    assert not labels[0, 3], "the second word is whole"
    assert "missed" in net.loss(replace(both, damaged=damaged), torch.Generator().manual_seed(0))


def test_texts_are_told_apart() -> None:
    a, b, c = (1, 2), (3,), (4, 5)
    assert told_apart([a, b, c], [a, b, c]) == Misread.true([a, b, c])
    assert sum(told_apart([a, b, b, c], [a, b, c]).more[1:3]) == 1, "at either side of what is said twice"
    assert told_apart([a, c], [a, b, c]).unsaid == (False, True, False)
    assert told_apart([a, b, c], [a, (6,), c]).unsaid == (False, True, False)


def test_what_it_cannot_use_is_refused(reader: FrozenReader, tmp_path) -> None:
    net = matcher(reader)
    heard = reader.hear(batch(True))
    with pytest.raises(FmAudioError, match="phones do not fit"):
        net(*heard, [[(1, 2)] * 50, [(1,)]])
    with pytest.raises(FmAudioError, match="config.json"):
        FrozenReader(str(tmp_path)).words("bat")
