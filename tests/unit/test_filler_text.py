"""Text along the frames, as published."""

from __future__ import annotations

import pytest
import torch

from fm_audio.encoders.filler_text import FillerText, stretched
from fm_audio.types import FmAudioError, length_mask

SYMBOLS = torch.tensor([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0], [5, 3, 5, 0, 0]])
LENGTHS = torch.tensor([17, 9, 12])


def shaken(fill: str, mask_filler: bool) -> FillerText:
    text = FillerText(8, 12, 2, fill, mask_filler).eval()
    with torch.no_grad():
        for parameter in text.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return text


@pytest.mark.parametrize("symbols, frames", [(1, 7), (3, 7), (3, 3), (5, 23), (4, 8), (0, 4)])
def test_stretching_gives_each_symbol_its_share_and_the_last_ones_the_rest(symbols: int, frames: int) -> None:
    h = torch.arange(1.0, 31)[None, :, None].expand(1, 30, 2)
    mask = length_mask(torch.tensor([frames]), 30)
    got = stretched(h, torch.tensor([symbols]), mask)[0, :, 0].tolist()
    longer = frames % symbols if symbols else 0
    counts = [frames // symbols + (i >= symbols - longer) for i in range(symbols)]
    expected = [float(i + 1) for i, count in enumerate(counts) for _ in range(count)]
    assert got == expected + [0.0] * (30 - len(expected))


def test_dropped_text_says_how_long_it_was_and_nothing_else() -> None:
    text, mask = shaken("filled", True), length_mask(LENGTHS)
    yes = torch.ones(3, dtype=torch.bool)
    other = SYMBOLS.where(SYMBOLS == 0, SYMBOLS % 7 + 1)
    assert torch.equal(text(SYMBOLS, mask, yes), text(other, mask, yes))
    assert not torch.allclose(text(SYMBOLS, mask), text(other, mask))


def test_unknown_ways_to_fill_are_refused() -> None:
    with pytest.raises(FmAudioError, match="filled, stretched"):
        FillerText(8, fill="evenly")
    with pytest.raises(FmAudioError, match="mask_filler"):
        FillerText(8, fill="stretched", mask_filler=False)
