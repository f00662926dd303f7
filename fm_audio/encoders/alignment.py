"""Who speaks when: the monotonic alignment of symbols and frames, and durations as whole frames.

Axes: b items, m symbols, n frames, d features of a frame, c channels of a symbol. Masks are prefixes: kept positions first.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fm_audio.types import FmAudioError


def alignment_log_likelihood(mean: Float[Tensor, "b m d"], x: Float[Tensor, "b n d"]) -> Float[Tensor, "b m n"]:
    """log N(x_j; mean_i, 1) of every frame j under every symbol i (Glow-TTS, Kim et al. 2020, section 2.1).

    -½ (|x_j|² - 2 mean_i · x_j + |mean_i|² + d log 2π), in float32 even under autocast. A padded row of `mean` or `x`
    touches only its own entries.
    """
    with torch.autocast(x.device.type, enabled=False):
        mean, x = mean.float(), x.float()
        cross = mean @ x.mT  # b m n
        squares = mean.square().sum(-1)[:, :, None] + x.square().sum(-1)[:, None, :]
        return cross - 0.5 * (squares + x.shape[-1] * math.log(2 * math.pi))


@torch.no_grad()
def monotonic_alignment(
    log_likelihood: Float[Tensor, "b m n"], symbols_mask: Bool[Tensor, "b m"], mask: Bool[Tensor, "b n"]
) -> Int[Tensor, "b m"]:
    """Frames per symbol of the best monotonic path (monotonic alignment search, Glow-TTS, Kim et al. 2020, algorithm 1).

    The path begins at the first symbol, ends at the last, goes on by none or one symbol at each frame, and so gives every
    kept symbol at least one frame; among all such paths its sum of log likelihoods is the greatest (sums in float64).
    Of paths with equal sums the one is taken whose last symbol is longest, then whose last but one is longest, and so on:
    where two choices are equal, the later symbol gets the frame, as in Glow-TTS's own code.

    Returns int64 durations on the device of `log_likelihood`, 0 at padded symbols; whatever stands in padded places is not read.
    Raises FmAudioError for an item without symbols or with fewer frames than symbols.
    """
    symbols, frames = symbols_mask.sum(1).cpu().numpy(), mask.sum(1).cpu().numpy()
    _refuse_short_items(symbols, frames)
    scores = log_likelihood.detach().cpu().permute(2, 0, 1).to(torch.float64, memory_format=torch.contiguous_format).numpy()
    moved = _moves(scores)  # n b m
    moved &= (np.arange(len(scores))[:, None] < frames)[:, :, None]
    return torch.from_numpy(_trace(moved, symbols, frames)).to(log_likelihood.device)


@torch.no_grad()
def aligned_durations(
    mean: Float[Tensor, "b m d"], symbols_mask: Bool[Tensor, "b m"], x: Float[Tensor, "b n d"], mask: Bool[Tensor, "b n"]
) -> Int[Tensor, "b m"]:
    """Frames per symbol of the likeliest monotonic path of frames x under the symbols' means."""
    return monotonic_alignment(alignment_log_likelihood(mean, x), symbols_mask, mask)


def _refuse_short_items(symbols: np.ndarray, frames: np.ndarray) -> None:
    bad = np.flatnonzero((frames < symbols) | (symbols == 0))
    if bad.size:
        item = int(bad[0])
        raise FmAudioError(
            f"alignment: item {item} of the batch has {frames[item]} frames for {symbols[item]} symbols ({bad.size} such items). "
            "Every item needs at least one symbol and at least one frame for each of its symbols. "
            "Drop such clips in data preparation: their text is longer than their sound."
        )


def _moves(scores: np.ndarray) -> np.ndarray:
    """(n b m) scores -> (n b m) bool: the best path that stands on symbol i at frame j came there from symbol i - 1.

    best[i] = max(best[i], best[i - 1]) + score[i], frame by frame; an item's own symbols never look at later ones.
    """
    n, b, m = scores.shape
    moved = np.empty((n, b, m), dtype=bool)
    best = np.full((b, m + 1), -np.inf)  # column 0 stands before the first symbol
    best[:, 0] = 0.0
    before, here, longer = best[:, :-1], best[:, 1:], np.empty((b, m))
    with np.errstate(invalid="ignore"):  # padded places may hold anything
        for j in range(n):
            np.greater(before, here, out=moved[j])
            np.maximum(before, here, out=longer)
            np.add(longer, scores[j], out=here)
            best[:, 0] = -np.inf
    diagonal = np.arange(min(n, m))
    moved[diagonal, :, diagonal] = True  # symbol i cannot begin before frame i, whatever the scores
    moved[1:, :, 0] = False
    return moved


def _trace(moved: np.ndarray, symbols: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Walks back from each item's last symbol and counts its frames: (n b m) moves -> (b m) int64 durations."""
    n, b, m = moved.shape
    rows = np.arange(b) * m
    steps = moved.reshape(n, b * m).view(np.uint8)
    place = rows + symbols - 1
    path = np.empty((n, b), dtype=np.int64)
    for j in range(n - 1, -1, -1):
        path[j] = place
        place = place - steps[j].take(place, mode="clip")
    kept = np.arange(n)[:, None] < frames
    return np.bincount(path[kept], minlength=b * m).reshape(b, m)


def expand(values: Float[Tensor, "b m c"], durations: Int[Tensor, "b m"], n: int) -> Float[Tensor, "b n c"]:
    """Each symbol's vector repeated over its frames; zeros past an item's last frame. Symbols of 0 frames are not read."""
    ends = durations.cumsum(1).contiguous()  # b m
    frames = torch.arange(n, device=ends.device).expand(len(ends), n).contiguous()
    index = torch.searchsorted(ends, frames, right=True).clamp(max=ends.shape[1] - 1)  # b n
    spread = values.gather(1, index[:, :, None].expand(-1, -1, values.shape[-1]))
    return torch.where((frames < ends[:, -1:])[:, :, None], spread, torch.zeros((), dtype=values.dtype, device=values.device))


def frames_of(durations: Float[Tensor, "b m"], mask: Bool[Tensor, "b m"]) -> Int[Tensor, "b m"]:
    """Durations in frames, not whole, as whole frames (int64): the ends of symbols are rounded, not each duration by itself.

    Every kept symbol gets at least one frame, masked ones none, and an item's sum is exactly its rounded sum of durations, or
    its number of symbols where that is more. Negative durations count as 0; masked values are not read.
    """
    ends = (durations.double().masked_fill(~mask, 0.0).clamp(min=0.0).cumsum(1) + 0.5).floor().long()  # b m
    count = mask.long().cumsum(1)  # b m: one frame for each symbol up to here
    spare = (ends[:, -1:] - count[:, -1:]).clamp(min=0)  # frames beyond one each
    extra = torch.minimum((ends - count).cummax(1).values.clamp(min=0), spare)
    return torch.diff(extra + count, dim=1, prepend=torch.zeros_like(count[:, :1]))


def fit_total(
    durations: Float[Tensor, "b m"] | Int[Tensor, "b m"],
    total_frames: Int[Tensor, "b"],
    fixed: Bool[Tensor, "b m"] | None = None,
) -> Int[Tensor, "b m"]:
    """Durations stretched by one factor per item, so that they sum to exactly `total_frames` (int64).

    Symbols marked in `fixed` keep their duration (rounded to whole frames); symbols of 0 frames keep 0, all others at least 1.
    Raises FmAudioError where the total leaves less than one frame for a symbol, or where nothing may be stretched.
    """
    fixed = torch.zeros_like(durations, dtype=torch.bool) if fixed is None else fixed
    free = (durations > 0) & ~fixed
    held = (durations.double().masked_fill(~fixed, 0.0) + 0.5).floor().long()
    wanted = total_frames.to(held) - held.sum(1)
    count = free.sum(1)
    bad = (wanted < count) | ((count == 0) & (wanted != 0))
    if bad.any():
        item = int(bad.nonzero()[0])
        raise FmAudioError(
            f"durations: item {item} should last {int(total_frames[item])} frames, of which {int(held[item].sum())} are fixed; "
            f"{int(count[item])} other symbols share the rest. Each needs at least one frame, and where there are none the total "
            "must be the fixed one. Ask for a longer total, a shorter text or shorter breaks."
        )
    stretched = durations.double().masked_fill(~free, 0.0)
    stretched = stretched * (wanted / stretched.sum(1).clamp(min=1e-12))[:, None]
    return frames_of(stretched, free) + held
