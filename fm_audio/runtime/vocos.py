"""`decoders.vocos.Vocos` as a file."""

from __future__ import annotations

from torch import nn

from fm_audio.decoders.vocos import Vocos
from fm_audio.runtime.decoding import vocoder_part
from fm_audio.runtime.fourier import RealISTFT
from fm_audio.runtime.part import Part
from fm_audio.types import Frames, Mask, Wave


def parts(decoder: Vocos) -> list[Part]:
    return [vocoder_part(decoder.spec, RealVocos(decoder))]


class RealVocos(nn.Module):
    """`Vocos.forward` without complex numbers."""

    def __init__(self, vocos: Vocos) -> None:
        super().__init__()
        self.backbone, self.out, self.limit = vocos.backbone, vocos.head.out, vocos.head.magnitude_limit
        self.istft = RealISTFT(vocos.head.istft)

    def forward(self, mel: Frames, mask: Mask) -> Wave:
        log_magnitude, phase = (x[..., self.istft.order] for x in self.out(self.backbone(mel, mask)).chunk(2, -1))
        spectrum = self.istft.polar(log_magnitude.exp().clamp(max=self.limit), phase)
        return self.istft.synthesise(spectrum, mask, self.istft.weight(mask))
