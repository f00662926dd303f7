"""`decoders.mel_rounds.MelRounds` without complex numbers, for the files of decoders that end with it."""

from __future__ import annotations

from torch import Tensor, nn

from fm_audio.decoders.mel_rounds import LARGEST_GAIN, RELAXATION, MelRounds
from fm_audio.runtime.fourier import Bins, Parts, RealISTFT
from fm_audio.types import Frames, Mask, Wave


class RealMelRounds(nn.Module):
    """(wave, mel, mask) -> wave, `rounds` nearer; the mel is at the floor outside of the mask."""

    filters: Tensor
    shares: Tensor

    def __init__(self, nearer: MelRounds, istft: RealISTFT, rounds: int) -> None:
        super().__init__()
        self.spec, self.rounds, self.istft = nearer.spec, rounds, istft
        self.register_buffer("filters", nearer.filters[:, istft.order].mT.contiguous(), persistent=False)
        self.register_buffer("shares", nearer.shares[:, istft.order].contiguous(), persistent=False)

    def forward(self, wave: Wave, mel: Frames, mask: Mask) -> Wave:
        weight, linear = self.istft.weight(mask), (mel * self.spec.std + self.spec.mean).exp()
        for _ in range(self.rounds):
            spectrum = self.istft.analyse(wave)
            wave = self.istft.synthesise(self.istft.scaled(spectrum, self.gains(spectrum, linear)), mask, weight)
        return wave

    def gains(self, spectrum: Parts, linear: Frames) -> Bins:
        """As `MelRounds.gains`."""
        has = self.istft.power(spectrum).pow(self.spec.power / 2) @ self.filters
        ratio = (linear / has.clamp(min=self.spec.log_floor)) ** (1 / self.spec.power)
        return ratio.clamp(1 / LARGEST_GAIN, LARGEST_GAIN) ** RELAXATION @ self.shares
