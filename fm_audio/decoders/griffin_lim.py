"""Griffin-Lim: phases that agree with the magnitudes A of a log-mel, found by going to and fro. Needs no training.

    X_k = STFT(iSTFT(A · e^{i·∠Y_k})),   Y_{k+1} = X_k + momentum/(1 + momentum) · (X_k − X_{k−1}),   at last `MelRounds`

Griffin & Lim 1984; the accelerated form is Perraudin, Balazs & Søndergaard 2013, here in librosa's scaling. Y_0 has the phases of
an `Excitation`: of a sound with a pitch the search begins near, where phases without one would leave it far off.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.decoders.excitation import Excitation
from fm_audio.decoders.istft import ISTFT
from fm_audio.decoders.mel_rounds import MelRounds
from fm_audio.types import Frames, Mask, Wave


class GriffinLim(nn.Module):
    """A decoder without weights; the same mel gives the same wave. `rounds`: how often the bands of what it found are brought
    nearer to the mel; `breath` in [0, 1]: the share of noise in what has a pitch, at the start."""

    def __init__(
        self, spec: AudioSpec, iterations: int = 32, momentum: float = 0.99, rounds: int = 4, breath: float = 0.02
    ) -> None:
        super().__init__()
        self.spec, self.iterations = spec, iterations
        self.step = momentum / (1 + momentum)
        self.istft = ISTFT(spec.n_fft, spec.hop_samples, spec.window_samples, spec.centred)
        self.excitation = Excitation(spec, breath)
        self.nearer = MelRounds(spec, self.istft, rounds)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        x = x.float().masked_fill(~mask[..., None], self.spec.floor)
        magnitude = self.spec.magnitude_of_log_mel(x).mT.masked_fill(~mask[..., None], 0.0)  # b n f
        spectrum = self._phased(magnitude, self.istft.analyse(self.excitation(x, mask)))
        before = torch.zeros_like(spectrum)
        weight = self.istft.weight(mask)
        for _ in range(self.iterations):
            consistent = self.istft.analyse(self.istft.synthesise(spectrum, mask, weight))
            spectrum = self._phased(magnitude, consistent + self.step * (consistent - before))
            before = consistent
        return self.nearer(self.istft.synthesise(spectrum, mask, weight), x, mask, weight)

    def _phased(self, magnitude: Float[Tensor, "b n f"], ahead: Complex[Tensor, "b n f"]) -> Complex[Tensor, "b n f"]:
        """The magnitude with the phases of `ahead`, by hand, since hypot is slow."""
        parts = torch.view_as_real(ahead)
        return torch.view_as_complex(parts * (magnitude * parts.square().sum(-1).clamp(min=1e-16).rsqrt())[..., None])
