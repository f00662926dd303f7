"""A port joins a modality to a backbone: it takes x_t in as hidden tokens and reads out of them what becomes a velocity.

p frames make one token (`frames_per_token`): n frames become ceil(n / p) tokens, the last one filled up with zeros.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.flow.path import (
    Path,
    angular,
    data_from_velocity,
    velocity,
    velocity_from_angular,
    velocity_from_data,
    velocity_from_noise,
)
from fm_audio.types import FmAudioError, Frames, Mask, Times, masked_mean

PREDICTIONS = ("velocity", "angular", "data", "noise")
T_FIRST = 0.02  # no earlier does predicted noise say where data lie
FURTHEST = 3.0  # and nowhere does it say that data of variance 1 lie further out

CondFrames = Float[Tensor, "b n c"]
Tokens = Float[Tensor, "b m width"]
TokenMask = Bool[Tensor, "b m"]
Prediction = Float[Tensor, "b n k"]


@runtime_checkable
class Port(Protocol):
    """What a head asks of a modality. `channels` is d of x (b n d); sampling looks at no t later than `t_last`."""

    channels: int
    t_last: float

    def embed(self, x_t: Frames, frames: CondFrames | None, mask: Mask) -> tuple[Tokens, TokenMask]:
        """x_t (b n d), frames (b n c), mask (b n) -> tokens (b m width), their mask (b m)."""
        ...

    def read(self, h: Tokens, x_t: Frames, t: Times, path: Path) -> Prediction:
        """tokens (b m width) -> what guidance works on (b n k), float32: the velocity at x_t, t, or logits."""
        ...

    def velocity(self, prediction: Prediction, x_t: Frames, t: Times, path: Path) -> Frames:
        """What was read (b n k) -> velocity (b n d) float32."""
        ...

    def loss(self, h: Tokens, x0: Frames, x1: Frames, t: Times, path: Path, mask: Mask) -> Tensor:
        """tokens (b m width) -> scalar float32."""
        ...


class MelPort(nn.Module):
    """Frames of a mel (b n bands), condition frames beside them on the channels; squared error.

    With prediction="velocity" the last layer gives v itself. With "data" it gives x1, and v follows through the path; that
    divides by sigma(t), so t is held at or below `t_last` = 0.95 (1 - t at or above 0.05, as in Li and He 2025, "Back to
    basics"): the sampler looks no later than that, and the loss, |x1 error|^2 (w / sigma)^2, which is the velocity's squared
    error exactly, keeps the weight of 0.95 after it. Prediction and target are weighted alike, so the optimum stays the mean
    of the data. With "noise" it gives x0 with squared error (Ho et al. 2020, equation 14), as diffusion models do; v then divides
    by alpha(t), which vanishes at the noise, so that t is held at or above `T_FIRST` there and the data that it means within
    `FURTHEST` of 0, as diffusion systems clip it (pictures in Ho et al.'s code to [-1, 1]). With "angular" it gives u
    (`path.angular`) with squared error: of a straight path, where the velocity tells of x_t, a last layer then need not copy x_t;
    on a variance-preserving path it is the velocity over pi / 2.

    projected=False hands x and the condition's frames to the backbone as they are, for one that takes so many channels; `width`
    is then what the backbone gives.
    """

    def __init__(
        self,
        bands: int,
        width: int,
        frames_channels: int = 0,
        frames_per_token: int = 1,
        prediction: str = "velocity",
        projected: bool = True,
    ) -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise FmAudioError(f"MelPort: prediction is {prediction!r}; give {', '.join(map(repr, PREDICTIONS))}.")
        if frames_per_token < 1:
            raise FmAudioError(f"MelPort: frames_per_token is {frames_per_token}; give a whole number, 1 or more.")
        self.channels, self.p, self.prediction = bands, frames_per_token, prediction
        self.t_last = 0.95 if prediction == "data" else 1.0
        self.into = nn.Linear(self.p * (bands + frames_channels), width) if projected else nn.Identity()
        self.out = nn.Linear(width, self.p * bands)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def embed(self, x_t: Frames, frames: CondFrames | None, mask: Mask) -> tuple[Tokens, TokenMask]:
        x = x_t if frames is None else torch.cat([x_t, frames.to(x_t.dtype)], -1)
        x = x.masked_fill(~mask[..., None], 0.0)
        fill = -x.shape[1] % self.p
        x, mask = F.pad(x, (0, 0, 0, fill)), F.pad(mask, (0, fill))
        tokens = rearrange(x, "b (m p) c -> b m (p c)", p=self.p)
        return self.into(tokens), rearrange(mask, "b (m p) -> b m p", p=self.p).any(-1)

    def _predict(self, h: Tensor, n: int) -> Tensor:
        return rearrange(self.out(h), "b m (p d) -> b (m p) d", p=self.p)[:, :n].float()

    def read(self, h: Tokens, x_t: Frames, t: Times, path: Path) -> Frames:
        prediction = self._predict(h, x_t.shape[1])
        if self.prediction == "velocity":
            return prediction
        if self.prediction == "angular":
            return velocity_from_angular(path, prediction, x_t, t)
        if self.prediction == "noise":
            t = t.clamp(min=T_FIRST)
            data = data_from_velocity(path, velocity_from_noise(path, prediction, x_t, t), x_t, t)
            return velocity(path, prediction, data.clamp(-FURTHEST, FURTHEST), t)
        return velocity_from_data(path, prediction, x_t, t.clamp(max=self.t_last))

    def velocity(self, prediction: Frames, x_t: Frames, t: Times, path: Path) -> Frames:
        return prediction

    def loss(self, h: Tokens, x0: Frames, x1: Frames, t: Times, path: Path, mask: Mask) -> Tensor:
        prediction = self._predict(h, x1.shape[1])
        if self.prediction == "velocity":
            return masked_mean((prediction - velocity(path, x0, x1, t)).square(), mask)
        if self.prediction == "angular":
            return masked_mean((prediction - angular(path, x0, x1, t)).square(), mask)
        if self.prediction == "noise":
            return masked_mean((prediction - x0).square(), mask)
        c = path.coefficients(t.clamp(max=self.t_last)).beside(x1)
        return masked_mean((c.w / c.sigma * (prediction - x1)).square(), mask)
