"""Zipformer: what it is told it hears, symbols are spread evenly, and scores by offset reach their places."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fm_audio.backbones.zipformer import Zipformer
from fm_audio.encoders.zipformer_text import evenly
from fm_audio.types import Cond, FmAudioError, length_mask
from fm_audio.zipformer import Heads, between, offsets

# Odd, even, one frame, shorter than a group of the lowest rate, and the longest of the batch.
LENGTHS = (13, 16, 1, 3, 23)
HEADS = Heads(number=2, query_width=4, value_width=3, position_width=2, offsets_width=6)


def shaken(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net.eval()


def backbone() -> nn.Module:
    return shaken(Zipformer(16, (1, 2, 4, 2, 1), (1, 1, 1, 1, 1), (7, 5, 3, 5, 7), 24, HEADS, 8, 6))


def batch() -> tuple[Tensor, Tensor, Tensor, Cond]:
    b, n = len(LENGTHS), max(LENGTHS) + 6
    return torch.randn(b, n, 16), torch.rand(b), length_mask(torch.tensor(LENGTHS), n), Cond(vector=torch.randn(b, 6))


def test_the_backbone_hears_time_and_vector() -> None:
    net, (h, t, mask, cond) = backbone(), batch()
    out = net(h, t, mask, cond)[mask]
    for other in (net(h, t.roll(1), mask, cond)[mask], net(h, t, mask, cond.null())[mask]):
        assert (other - out).abs().max() > 1e-3 * out.abs().max()
    with pytest.raises(FmAudioError, match="one for each stack"):
        Zipformer(16, (1, 2, 1), (1, 1), (3, 3, 3))


@pytest.mark.parametrize("symbols, frames", [(1, 7), (3, 7), (3, 3), (5, 23), (5, 4), (0, 4)])
def test_each_symbol_gets_as_many_whole_frames_as_there_are(symbols: int, frames: int) -> None:
    index = evenly(torch.tensor([symbols]), length_mask(torch.tensor([frames])))[0].tolist()
    each = frames // symbols if symbols else 0
    expected = [i for i in range(symbols) for _ in range(each)]
    assert index == expected + [symbols] * (frames - len(expected))


def test_scores_by_offset_come_to_lie_between_query_and_key() -> None:
    n = 5
    by_offset = torch.arange(1.0 - n, n).expand(1, 1, n, -1)
    expected = torch.arange(n)[None] - torch.arange(n)[:, None]
    assert torch.equal(between(by_offset)[0, 0], expected.float())
    assert between(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)
    places = offsets(400, 48, torch.device("cpu"))
    mirrored = places.flip(0)
    torch.testing.assert_close(places[:, :-1:2], mirrored[:, :-1:2])  # cosines are even,
    torch.testing.assert_close(places[:, 1:-1:2], -mirrored[:, 1:-1:2])  # sines are odd
    steps = places.diff(dim=0).norm(dim=1)
    assert steps[399] > 20 * steps[-1]
