"""A small codec of our own: some mel frames become one latent vector, and mel frames again (a variational autoencoder).

    frames ─▶ patches ─▶ convolutions ─▶ mean, deviation ─▶ z ─▶ convolutions ─▶ patches ─▶ frames
    loss = |mel − decoded|  +  kl · KL(N(mean, deviation) ‖ N(0, 1))            Kingma & Welling 2014; Rombach et al. 2022

With `AudioSpec(codec=FOLDER)` the latents stand where mel frames would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.layers import FeedForward
from fm_audio.types import FmAudioError, Frames, Mask, Wave, masked_mean

KERNEL = 5
MOST_LOG_DEVIATION = 4.0


class Residual(nn.Module):
    """x + FF(norm(x)), with a convolution along time."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(width), FeedForward(width, 2 * width, KERNEL)

    def forward(self, x: Frames, mask: Mask) -> Frames:
        return x + self.inner(self.norm(x), mask)


class MelAutoencoder(nn.Module):
    """`frames` mel frames become `channels` numbers; `layers` blocks of `width` on either side. A codec (`types.Codec`)."""

    def __init__(
        self, spec: AudioSpec, channels: int = 64, frames: int = 8, width: int = 256, layers: int = 3, kl: float = 1e-3
    ) -> None:
        super().__init__()
        if min(channels, frames, width, layers) < 1 or kl < 0:
            sizes = f"channels {channels}, frames {frames}, width {width}, layers {layers}, kl {kl:g}"
            raise FmAudioError(f"MelAutoencoder: {sizes}; give 1 or more of each, and kl of 0 or more")
        self.spec, self.channels, self.frames, self.kl = spec, channels, frames, kl
        self.into = nn.Linear(frames * spec.bands, width)
        self.reading = nn.ModuleList(Residual(width) for _ in range(layers))
        self.told = nn.Linear(width, 2 * channels)
        self.back = nn.Linear(channels, width)
        self.writing = nn.ModuleList(Residual(width) for _ in range(layers))
        self.out = nn.Linear(width, frames * spec.bands)
        self.smoothing = nn.ModuleList(Residual(spec.bands) for _ in range(2))
        self.vocoder = GriffinLim(spec)

    @property
    def sample_rate(self) -> int:
        return self.spec.sample_rate

    @property
    def hop_samples(self) -> int:
        return self.frames * self.spec.hop_samples

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss", "l1" and "kl"; texts are not read."""
        n = batch.mel.shape[1]
        mean, log_deviation, mask = self.posterior(batch.mel, batch.mask)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        decoded = self.decode_mel(mean + log_deviation.exp() * noise, mask)[:, :n].float()
        l1 = masked_mean((decoded - batch.mel).abs(), batch.mask)
        kl = masked_mean(0.5 * (mean.square() + (2 * log_deviation).exp() - 1) - log_deviation, mask)
        return {"loss": l1 + self.kl * kl, "l1": l1, "kl": kl}

    def posterior(self, mel: Frames, mask: Mask) -> tuple[Tensor, Tensor, Tensor]:
        """mel (b n bands), mask (b n) -> mean and log deviation (b m channels) float32, mask (b m), m = n / frames rounded up."""
        fill = -mel.shape[1] % self.frames
        mel = F.pad(mel.masked_fill(~mask[..., None], self.spec.floor), (0, 0, 0, fill), value=self.spec.floor)
        whole = rearrange(F.pad(mask, (0, fill)), "b (m k) -> b m k", k=self.frames).any(-1)
        h = self.into(rearrange(mel, "b (m k) d -> b m (k d)", k=self.frames))
        for block in self.reading:
            h = block(h, whole)
        mean, log_deviation = self.told(h).float().chunk(2, -1)
        return mean, log_deviation.clamp(-MOST_LOG_DEVIATION, MOST_LOG_DEVIATION), whole

    def decode_mel(self, z: Float[Tensor, "b n c"], mask: Mask) -> Float[Tensor, "b f d"]:
        """z (b n channels), mask (b n) -> normalised log-mel (b n·frames bands)."""
        h = self.back(z.to(self.back.weight.dtype))
        for block in self.writing:
            h = block(h, mask)
        mel = rearrange(self.out(h), "b m (k d) -> b (m k) d", k=self.frames)
        each = mask.repeat_interleave(self.frames, 1)
        for block in self.smoothing:
            mel = block(mel, each)
        return mel

    @torch.no_grad()
    def encode(self, wave: Wave) -> Frames:
        """wave (b s) -> latents (b s // hop channels) float32, the means."""
        n = wave.shape[-1] // self.hop_samples
        if n == 0:
            return wave.new_zeros(len(wave), 0, self.channels)
        mel = self.spec.log_mel(wave)[:, : n * self.frames]
        return self.posterior(mel, torch.ones(mel.shape[:2], dtype=torch.bool, device=wave.device))[0]

    @torch.no_grad()
    def decode(self, x: Frames, mask: Mask) -> Wave:
        """latents (b n channels), mask (b n) -> wave (b n·hop), zeros past an item's end."""
        each = mask.repeat_interleave(self.frames, 1)
        return self.vocoder.decode(self.decode_mel(x, mask).float(), each)

    def generate(self, requests: Sequence[Any], sampling: Any = None) -> list[Any]:
        raise FmAudioError("MelAutoencoder: generates nothing by itself; name its folder as the codec of a spec")
