"""ZipVoice's text encoder (Zhu et al. 2025, arXiv 2506.13053): a Zipformer over symbols, spread evenly over the frames.

    s1 s1 s1 s2 s2 s2 … sm sm sm _ _          n // m frames each; what is left over shows the padding symbol

(`fm_audio.encoders.filler_text.stretched` gives what is left over to the last symbols instead.)
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.types import Frames, Mask
from fm_audio.zipformer import Heads, Stack


class ZipformerText(nn.Module):
    """`symbols` ids, 0 the padding, as `width` channels of each frame. Inside it is `hidden_width` wide.

    It takes the place of `FillerText` in `fm_audio.tasks.infill_tts.InfillTTS`. No text is zeros.
    """

    def __init__(
        self,
        symbols: int,
        width: int = 100,
        hidden_width: int = 192,
        embedding_width: int = 192,
        layers: int = 4,
        feedforward: int = 512,
        kernel: int = 9,
        heads: Heads | None = None,
    ):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(symbols, embedding_width)
        self.into = nn.Linear(embedding_width, hidden_width)
        self.stack = Stack(hidden_width, layers, feedforward, kernel, heads or Heads())
        self.out = nn.Linear(hidden_width, width)

    def forward(self, symbols: Int[Tensor, "b m"], mask: Mask, dropped: Bool[Tensor, "b"] | None = None) -> Frames:
        """symbols (b m), padded with 0; mask (b n) -> (b n width), zeros at padded frames and for items that are `dropped`."""
        symbols = F.pad(symbols, (0, 1))  # the padding that left-over frames show
        known = symbols != 0
        looked_at = known.clone()
        looked_at[:, 0] = True
        h = self.out(self.stack(self.into(self.embedding(symbols)), looked_at))
        h = h.gather(1, evenly(known.sum(1), mask)[..., None].expand(-1, -1, self.width))
        shown = mask if dropped is None else mask & ~dropped[:, None]
        return h.masked_fill(~shown[..., None], 0.0)


def evenly(symbols: Int[Tensor, "b"], mask: Mask) -> Int[Tensor, "b n"]:
    """Which of its m symbols each of an item's n frames shows, n // m frames each; m, the one behind them, from there on."""
    each = mask.sum(1) // symbols.clamp(min=1)
    at = torch.arange(mask.shape[1], device=mask.device)[None] // each.clamp(min=1)[:, None]
    return torch.where(each[:, None] > 0, torch.minimum(at, symbols[:, None]), symbols[:, None])
