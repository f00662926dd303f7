"""Text laid along the frames by durations (Voicebox, Le et al. 2023): heard where sound is seen, predicted where it is hidden.

    seen     monotonic alignment of the symbols' mean mels to the frames                     (Glow-TTS, Kim et al. 2020)
    hidden   the predicted durations, stretched by one factor to the frames that are asked for

The means and durations of `AlignedText` are those of the voice that is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fm_audio.encoders.aligned_text import AlignedText, EncodedSymbols
from fm_audio.encoders.alignment import aligned_durations, fit_total
from fm_audio.types import FmAudioError, Frames, Mask, masked_mean


class TimedText(nn.Module):
    """`symbols` ids, 0 padding, as `width` channels of each frame; the sizes are those of `AlignedText`."""

    def __init__(self, symbols: int, bands: int, voice_width: int, width: int, layers: int, heads: int, dropout: float = 0.1):
        super().__init__()
        self.encoder = AlignedText(symbols, bands, voice_width, width, layers, heads, dropout=dropout)
        self.embedding = self.encoder.embedding
        self.width = self.encoder.frames_channels

    def encode(self, symbols: Int[Tensor, "b m"], mask: Bool[Tensor, "b m"], voice: Float[Tensor, "b g"]) -> EncodedSymbols:
        return self.encoder(symbols, mask, voice)

    def forward(
        self, encoded: EncodedSymbols, durations: Int[Tensor, "b m"], mask: Mask, dropped: Bool[Tensor, "b"] | None = None
    ) -> Frames:
        """(b n width), zeros at padded frames and for items that are `dropped`."""
        _, frames = self.encoder.frames(encoded, durations, mask.shape[1])
        kept = mask if dropped is None else mask & ~dropped[:, None]
        return frames.masked_fill(~kept[..., None], 0.0)

    def losses(
        self, encoded: EncodedSymbols, durations: Int[Tensor, "b m"], symbols_mask: Bool[Tensor, "b m"], mel: Frames, mask: Mask
    ) -> dict[str, Tensor]:
        """What teaches means and durations: "prior" ½‖mel − mean‖² and "duration" (log d̂ − log d)²."""
        mean, _ = self.encoder.frames(encoded, durations, mask.shape[1])
        target = durations.clamp(min=1).float().log()
        return {
            "prior": masked_mean(0.5 * (mel - mean) ** 2, mask),
            "duration": masked_mean((encoded.log_durations - target) ** 2, symbols_mask),
        }

    def durations(
        self, encoded: EncodedSymbols, symbols: Sequence[int], frames: Sequence[int], mel: Float[Tensor, "1 n d"]
    ) -> Int[Tensor, "1 m"]:
        """Frames of each symbol of one item in three parts, of so many symbols and frames: seen, hidden, seen.

        Raises FmAudioError where a part has fewer frames than symbols.
        """
        parts = []
        for k, (mine, asked) in enumerate(zip(_slices(symbols), _slices(frames), strict=True)):
            count, n = mine.stop - mine.start, asked.stop - asked.start
            if n < count:
                what = "the answer" if k == 1 else "what is seen"
                raise FmAudioError(
                    f"{what}: {count} symbols do not fit into {n} frames; give the words that are said, or more time"
                )
            if count == 0:
                continue
            if k == 1:
                parts.append(fit_total(encoded.log_durations[:, mine].exp(), torch.tensor([n], device=mel.device)))
            else:
                ones = [torch.ones(1, size, dtype=torch.bool, device=mel.device) for size in (count, n)]
                parts.append(aligned_durations(encoded.mean[:, mine], ones[0], mel[:, asked], ones[1]))
        return torch.cat(parts, 1)


def _slices(lengths: Sequence[int]) -> list[slice]:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
