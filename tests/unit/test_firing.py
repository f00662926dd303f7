"""What a place is told by integrate-and-fire, against a slow count, and that length and places follow from the same numbers."""

from __future__ import annotations

import pytest
import torch

from fm_audio.backbones.dit import DiT
from fm_audio.data.text.vocabulary import Letters
from fm_audio.encoders.firing import Firing
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.types import Cond, FmAudioError, length_mask


def source(worths: list[list[float]]) -> tuple[Firing, Cond]:
    """States whose first feature says what they are worth and whose others are their own."""
    firing = Firing(9, 4)
    with torch.no_grad():
        firing.worth.weight.copy_(torch.tensor([[1.0, 0, 0, 0]]))
        firing.worth.bias.zero_()
    mask = length_mask(torch.tensor([len(row) for row in worths]))
    tokens = torch.randn(*mask.shape, 4)
    for i, row in enumerate(worths):
        tokens[i, : len(row), 0] = torch.tensor(row).logit()
    return firing, Cond(tokens=tokens, tokens_mask=mask)


def test_each_place_is_told_the_states_that_lie_there() -> None:
    worths, lengths, n = [[0.5, 0.25, 0.75, 0.5], [0.9, 0.3]], [2, 3], 5
    firing, cond = source(worths)
    places = firing.places(cond, torch.tensor(lengths), n)
    assert cond.tokens is not None
    for i, (row, length) in enumerate(zip(worths, lengths, strict=True)):
        fine = 3000  # the source in slices so thin that each lies at one place
        expected = torch.zeros(n, 4)
        at = 0.0
        for state, worth in zip(cond.tokens[i], row, strict=False):
            for _ in range(fine):
                slice_ = worth * length / sum(row) / fine
                expected[min(int(at), n - 1)] += slice_ * state
                at += slice_
        torch.testing.assert_close(places[i], expected, atol=5e-3, rtol=0)
        assert not places[i, length:].any()


def test_the_likeliest_length_is_the_sum_and_padding_is_worth_nothing() -> None:
    firing, cond = source([[0.9] * 8, [0.5, 0.4, 0.2]])
    log_p = firing(cond, 2)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(2))
    assert (log_p.argmax(1) + 1).tolist() == [7, 1]
    assert firing.loss(cond, torch.tensor([7, 1])) < firing.loss(cond, torch.tensor([5, 3]))


def test_the_length_teaches_the_worths() -> None:
    firing, cond = source([[0.5] * 6])
    firing.loss(cond, torch.tensor([5])).backward()
    assert firing.worth.bias.grad is not None and firing.worth.bias.grad < 0  # three were counted: more, please


def test_answers_to_nothing_have_a_law_of_their_own() -> None:
    firing, cond = source([[0.9] * 8, [0.5, 0.4, 0.2]])
    with torch.no_grad():
        firing.bias[4] = 9.0
    lengths = torch.tensor([5, 5])
    dropped = cond.drop(torch.tensor([True, False]))
    log_p = firing(dropped, 2)
    torch.testing.assert_close(log_p[0], firing(cond, 2)[0])
    assert int(log_p[1].argmax()) + 1 == 5 and float(log_p[1].max().detach()) > -0.01
    assert not firing.places(dropped, lengths, 6)[1].any()
    firing(dropped, 2)[1, 3].backward()
    assert firing.worth.bias.grad is not None and not firing.worth.bias.grad.any(), "nothing is learnt of sources there"


def test_answers_in_the_order_of_their_source_are_soon_learnt() -> None:
    torch.manual_seed(0)
    letters = Letters("abcd", longest=9)
    net = DiT(24, 1, 2, tokens_width=16, position_kernel=0)
    task = TextToText(letters, letters, net, 12, 16, 1, 2, dropout=0.0, condition_drop=0.0, pads=1, firing=True)
    draw = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(task.parameters(), 5e-3)

    def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        mask = length_mask(torch.randint(1, 8, (size,), generator=draw), 8)
        return torch.randint(2, 6, mask.shape, generator=draw).masked_fill(~mask, 0), mask

    for _ in range(120):
        ids, mask = batch(24)
        loss = task.writer.loss(task.encoder(ids, mask), ids, mask, draw)["loss"]  # type: ignore[misc]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    from fm_audio.tasks.text_requests import TextRequest

    texts = [letters.decode(row[keep].tolist()) for row, keep in zip(*batch(40), strict=True)]
    said = [made.text for made in task.eval().generate([TextRequest(t) for t in texts])]
    assert sum(a == b for a, b in zip(said, texts, strict=True)) >= 36


def test_free_text_has_nothing_to_lie_along() -> None:
    with pytest.raises(FmAudioError, match="firing: a text that is written freely"):
        TextToText(None, Letters("ab", longest=3), DiT(8, 1, 2, position_kernel=0), 8, firing=True)
