"""A decoder for mels that differ from its own only in mean and standard deviation.

Published vocoders take plain log-mels; an acoustic model may generate the same mels shifted and scaled.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.types import Frames, Mask, Wave


class Renormalised(nn.Module):
    """`decoder` behind the contract `spec`, which must be its own but for `mean` and `std` (FmAudioError otherwise)."""

    def __init__(self, decoder: nn.Module, spec: AudioSpec) -> None:
        super().__init__()
        inner: AudioSpec = decoder.spec  # type: ignore[assignment]
        replace(inner, mean=spec.mean, std=spec.std).require_same(spec, type(decoder).__name__, "the mels to decode")
        self.decoder, self.spec, self.inner = decoder, spec, inner

    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) in `spec`, mask (b n) -> wave (b n·hop)."""
        log_mel = x.masked_fill(~mask[..., None], 0.0) * self.spec.std + self.spec.mean
        return self.decoder.decode((log_mel - self.inner.mean) / self.inner.std, mask)  # type: ignore[operator]
