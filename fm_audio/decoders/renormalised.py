"""A decoder for mels that differ from its own in mean and standard deviation or, where that is asked for, in the log floor.

Published vocoders take plain log-mels; an acoustic model may generate the same mels shifted and scaled, or cut off elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.types import FmAudioError, Frames, Mask, Wave


class Renormalised(nn.Module):
    """`decoder` behind the contract `spec`, which must be its own but for `mean` and `std` (FmAudioError otherwise).

    other_floor: the log floors may differ too, as F5-TTS's 1e-5 and Vocos's 1e-7. What lies below the decoder's floor is raised
    to it; mels that end above it are decoded as they are, although the decoder was trained on quieter silence.
    """

    def __init__(self, decoder: nn.Module, spec: AudioSpec, other_floor: bool = False) -> None:
        super().__init__()
        inner: AudioSpec = decoder.spec  # type: ignore[assignment]
        require_decodable(inner, spec, other_floor, type(decoder).__name__)
        self.decoder, self.spec, self.inner = decoder, spec, inner
        self.lowest = math.log(inner.log_floor) if inner.log_floor > spec.log_floor else -math.inf

    def decode(self, x: Frames, mask: Mask) -> Wave:
        """x (b n bands) in `spec`, mask (b n) -> wave (b n·hop)."""
        log_mel = (x.masked_fill(~mask[..., None], 0.0) * self.spec.std + self.spec.mean).clamp(min=self.lowest)
        return self.decoder.decode((log_mel - self.inner.mean) / self.inner.std, mask)  # type: ignore[operator]


def require_decodable(inner: AudioSpec, spec: AudioSpec, other_floor: bool, name: str) -> None:
    """Refuse a pair that `Renormalised` cannot join; a floor that was not agreed to is refused with the way to agree."""
    alike = replace(inner, mean=spec.mean, std=spec.std)
    same_floor = replace(alike, log_floor=spec.log_floor)
    if same_floor == spec and alike != spec and not other_floor:
        raise FmAudioError(
            f"{name} was made for mels with a log_floor of {inner.log_floor:g}, these end at {spec.log_floor:g}; "
            "use another vocoder, or allow it with other_floor (fm-audio convert: --other-floor)"
        )
    (same_floor if other_floor else alike).require_same(spec, name, "the mels to decode")
