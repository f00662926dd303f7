"""Vocos: log-mel frames to one spectrum per frame with ConvNeXt blocks, then the inverse STFT.

    magnitude, phase = exp(W h), W' h        wave = iSTFT(magnitude · e^{i·phase})

Siuzdak 2023, arXiv 2306.00814. Module names and shapes are those of the published `charactr/vocos-mel-24khz`, so its
`backbone.*` and `head.*` tensors load strictly into `Vocos(spec)`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.decoders.istft import ISTFT
from fm_audio.layers import along_time
from fm_audio.types import FmAudioError, Frames, Mask, Wave


class Vocos(nn.Module):
    """The generator. Defaults are the published size (13.5 M parameters); width 256, hidden 768 gives 3.7 M.

    `magnitude_limit` caps the magnitude of an STFT bin (published: 100; a full-scale sine reaches n_fft / 4).
    """

    def __init__(
        self, spec: AudioSpec, width: int = 512, layers: int = 8, hidden: int = 1536, magnitude_limit: float = 100.0
    ) -> None:
        super().__init__()
        if not spec.centred:
            raise FmAudioError("Vocos: its inverse STFT puts frame i on sample i·hop; use a spec with centred=True")
        self.spec = spec
        self.backbone = VocosBackbone(spec.bands, width, layers, hidden)
        self.head = ISTFTHead(width, spec.n_fft, spec.hop_samples, spec.window_samples, magnitude_limit)

    def forward(self, x: Frames, mask: Mask | None = None) -> Wave:
        """x (b n bands) normalised log-mel, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return self.head(self.backbone(x, mask), mask)

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """As `forward`, without gradients. Padded frames may hold anything."""
        return self(x, mask)


class VocosBackbone(nn.Module):
    """(b n bands) -> (b n width). Every convolution sees zeros past an item's end, as it does when the item is alone."""

    def __init__(self, bands: int, width: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(bands, width, 7, padding=3)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.convnext = nn.ModuleList(ConvNeXtBlock(width, hidden, 1 / layers) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(width, eps=1e-6)
        self.apply(_initialise)

    def forward(self, x: Frames, mask: Mask) -> Float[Tensor, "b n width"]:
        drop = ~mask[..., None]
        h = self.norm(along_time(self.embed, x.masked_fill(drop, 0.0)))
        for block in self.convnext:
            h = block(h.masked_fill(drop, 0.0))
        return self.final_layer_norm(h)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution of 7 frames, then a pointwise network, scaled by `gamma` and added to the input."""

    def __init__(self, width: int, hidden: int, gamma: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, hidden)
        self.pwconv2 = nn.Linear(hidden, width)
        self.gamma = nn.Parameter(torch.full((width,), gamma))

    def forward(self, h: Frames) -> Frames:
        y = self.pwconv2(F.gelu(self.pwconv1(self.norm(along_time(self.dwconv, h)))))
        return h + self.gamma * y


class ISTFTHead(nn.Module):
    """(b n width) -> wave, in float32 also under autocast: phases of many turns do not survive bfloat16."""

    def __init__(self, width: int, n_fft: int, hop_samples: int, window_samples: int, magnitude_limit: float) -> None:
        super().__init__()
        self.magnitude_limit = magnitude_limit
        self.out = nn.Linear(width, n_fft + 2)
        self.istft = ISTFT(n_fft, hop_samples, window_samples)

    def forward(self, h: Frames, mask: Mask) -> Wave:
        with torch.autocast(h.device.type, enabled=False):
            log_magnitude, phase = self.out(h.float()).chunk(2, dim=-1)  # b n n_fft/2+1, twice
            magnitude = log_magnitude.exp().clamp(max=self.magnitude_limit)
            return self.istft(torch.polar(magnitude, phase), mask)


def _initialise(part: nn.Module) -> None:
    if isinstance(part, (nn.Conv1d, nn.Linear)):
        nn.init.trunc_normal_(part.weight, std=0.02)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
