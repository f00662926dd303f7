"""From latents to sound, by the codec that made them."""

from __future__ import annotations

import torch
from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.codecs import codec_of
from fm_audio.types import Frames, Mask, Wave


class LatentDecoder(nn.Module):
    """The decoder for a spec that names a codec. Without weights of its own: they lie in the codec's folder."""

    def __init__(self, spec: AudioSpec) -> None:
        super().__init__()
        self.spec = spec
        self._codec = [codec_of(spec)]  # a list, so that its weights are no part of this module's

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n channels) normalised latents, mask (b n) -> wave (b n·hop), zeros past an item's last frame."""
        latents = (x.float() * self.spec.std + self.spec.mean).masked_fill(~mask[..., None], 0.0)
        return self._codec[0].to(x.device).decode(latents, mask)
