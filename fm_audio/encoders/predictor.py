"""One number for each place of a sequence: durations of symbols, pitch of frames."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from fm_audio.layers import MaskedConv, Modulation, modulate


class Predictor(nn.Module):
    """Two convolutions, each normed and modulated by the speaker, then one number: (b m e), speaker (b g) -> (b m) float32."""

    def __init__(self, width: int, speaker_width: int, hidden: int, kernel: int, dropout: float):
        super().__init__()
        self.convs = nn.ModuleList([MaskedConv(width, kernel, out_width=hidden), MaskedConv(hidden, kernel)])
        self.modulations = nn.ModuleList(Modulation(speaker_width, hidden, 2) for _ in self.convs)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, 1)

    def forward(
        self, x: Float[Tensor, "b m e"], speaker: Float[Tensor, "b g"], mask: Bool[Tensor, "b m"]
    ) -> Float[Tensor, "b m"]:
        for conv, modulation in zip(self.convs, self.modulations, strict=True):
            shift, scale = modulation(speaker)
            x = self.dropout(modulate(conv(x, mask).relu(), shift, scale))
        return self.out(x).squeeze(-1).float()
