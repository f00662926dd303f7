"""The length of a text is learned with its uncertainty: told a speaker's pace it is nearer, and it knows how near."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fm_audio.encoders.length import Length, LengthPredictor, hidden_share, partners
from fm_audio.types import length_mask

TYPICAL = torch.tensor([0.0, 3.0, 5.0, 8.0, 12.0, 20.0])  # frames of each symbol as an average speaker says it
PACE, NOISE = 0.3, 0.5  # τ, and σ of a symbol of one frame


def spoken(clips: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Symbols (b m), their mask, and frames of each: every clip at a speaker's own pace."""
    mask = length_mask(torch.randint(8, 25, (clips,), generator=generator), 24)
    symbols = torch.randint(1, 6, (clips, 24), generator=generator) * mask
    pace = PACE * torch.randn(clips, 1, generator=generator)
    typical = TYPICAL[symbols]
    noise = NOISE / typical.clamp(min=1).sqrt() * torch.randn(clips, 24, generator=generator)
    return symbols, mask, (typical * (pace + noise).exp()).round().clamp(min=1).long() * mask


def halves(lengths: LengthPredictor, data: tuple[Tensor, Tensor, Tensor], seen: bool = True) -> tuple[Tensor, ...]:
    """The second part of each clip from the first: (mean, variance) of its log frames, and what they were; and the loss."""
    symbols, mask, durations = data
    later = (torch.arange(24) >= 8) & mask if seen else mask
    frames = (durations * later).sum(1).float()
    weights = lengths.weights(symbols, mask)
    other = weights * ~later, (durations * ~later).sum(1).float()
    mean, variance = lengths((weights * later).sum(1), other[0].sum(1), other[1])
    return mean, variance, frames.log(), lengths.loss(weights, later.float(), frames, other[0].sum(1), other[1])


@pytest.fixture(scope="module")
def learned() -> LengthPredictor:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    lengths = LengthPredictor(6, width=16)
    optimizer = torch.optim.Adam(lengths.parameters(), 1e-2)
    for step in range(200):
        loss = halves(lengths, spoken(64, generator), seen=step % 3 > 0)[-1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return lengths


def test_a_pace_that_was_heard_helps_and_the_spread_is_true(learned: LengthPredictor) -> None:
    data = spoken(600, torch.Generator().manual_seed(1))
    data = tuple(x[data[1].sum(1) >= 12] for x in data)  # type: ignore[assignment]
    with torch.no_grad():
        mean, variance, actual, _ = halves(learned, data)
        blind, blind_variance, whole, _ = halves(learned, data, seen=False)
    error, blind_error = mean - actual, blind - whole
    assert error.std() < 0.6 * blind_error.std() and error.mean().abs() < 0.05 and blind_error.mean().abs() < 0.1
    assert blind_error.std() == pytest.approx(blind_variance.sqrt().mean().item(), rel=0.15)
    for wrong, its_variance in ((error, variance), (blind_error, blind_variance)):
        inside = (wrong.abs() < 1.96 * its_variance.sqrt()).float().mean()
        assert 0.9 <= inside <= 0.99
    assert learned.log_tau.exp().item() == pytest.approx(PACE, rel=0.25)
    symbols, mask, durations = data
    rate = (durations[:, :8].sum(1) * mask[:, 8:].sum(1) / 8).log()  # the rule of three, counting symbols
    assert error.std() < 0.7 * (rate - actual).std(), "symbols differ in length, which counting them does not see"


def test_alone_and_in_a_batch_the_same_and_padding_is_not_read(learned: LengthPredictor) -> None:
    symbols, mask, _ = spoken(4, torch.Generator().manual_seed(2))
    together = learned.weights(symbols, mask)
    for row, kept, weights in zip(symbols, mask, together, strict=True):
        alone = learned.weights(row[kept][None], torch.ones(1, int(kept.sum()), dtype=torch.bool))[0]
        assert (weights[kept] - alone).abs().max() <= 1e-5 * alone.max() and not weights[~kept].any()


def test_nothing_seen_is_the_prior_and_more_seen_is_surer() -> None:
    lengths = LengthPredictor(6)
    hidden, seen, frames = torch.full((4,), 100.0), torch.tensor([0.0, 1.0, 50.0, 5000.0]), torch.tensor([0.0, 2.0, 100.0, 1e4])
    with torch.no_grad():
        mean, variance = lengths(hidden, seen, frames)
    assert mean[0].item() == pytest.approx(math.log(100)) and (mean.diff() > 0).all() and (variance.diff() < 0).all()
    assert mean[3].item() == pytest.approx(math.log(200), abs=0.01), "a speaker who is well known to be half as fast"


def test_symbols_are_hidden_as_far_as_their_frames_are() -> None:
    durations = torch.tensor([[4, 2, 0, 6], [3, 3, 0, 0]])
    hidden = torch.zeros(2, 12, dtype=torch.bool)
    hidden[0, 3:9] = hidden[1, 4:6] = True
    torch.testing.assert_close(hidden_share(durations, hidden), torch.tensor([[0.25, 1, 0, 0.5], [0, 2 / 3, 0, 0]]))


def test_partners_share_a_name_and_candidates_stand_for_the_distribution() -> None:
    assert partners(["a", "b", "a", "c", "a"]) == [2, 1, 4, 3, 0]
    factors = Length(100, 0.2).factors(5)
    assert factors[0] == 1 and len(set(factors)) == 5 and math.prod(factors) == pytest.approx(1)
    assert Length(100, 0.2).factors(1) == [1.0] and max(factors) == pytest.approx(math.exp(0.2 * 1.2816), rel=1e-3)
