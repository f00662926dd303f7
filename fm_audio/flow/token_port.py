"""The port of words: continuous token embeddings go in with their noise, logits over the vocabulary come out.

    l = W h Eᵀ / √d + b + evidence(x_t)        x̂1 = softmax(l) E        v = (x̂1 − x_t) / (1 − t)       (linear path)

Cross-entropy on l is least where softmax(l) is the posterior of the token given x_t. The mean embedding under that posterior is
the x̂1, and so v the velocity, for which the flow's squared error is least: one optimum, two losses. `evidence` is what the
posterior would be without context (`fm_audio.tokens`), so the network learns only what context adds (Gulrajani and Hashimoto
2023, "Likelihood-based diffusion language models", section 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.flow.path import Path, data_from_velocity, point, velocity, velocity_from_data
from fm_audio.flow.ports import CondFrames, Prediction, TokenMask, Tokens
from fm_audio.tokens import Ids, Logits, TokenTable, smoothed
from fm_audio.types import FmAudioError, Frames, Mask, Times, masked_mean

PREDICTIONS = ("logits", "velocity")
LOGIT_WEIGHT = 1e-4  # of the squared log of the softmax's denominator, which keeps logits from drifting together


class TokenPort(nn.Module):
    """Sequences of `tokens` kinds of token as points of `channels` (b n d), condition frames beside them; cross-entropy.

    prediction="logits" is the above. "velocity" has the network give v itself, with squared error and, as an anchor of the table,
    the cross-entropy of the x̂1 that v points at (as FlowSeq does): kept to be compared.
    evidence=False leaves the evidence to the network. label_smoothing in [0, 1). self_conditioning is the share of training items
    that are told the head's own earlier estimate, 0 (off) or often 0.5.
    """

    def __init__(
        self,
        tokens: int,
        channels: int,
        width: int,
        frames_channels: int = 0,
        prediction: str = "logits",
        evidence: bool = True,
        label_smoothing: float = 0.0,
        self_conditioning: float = 0.0,
    ) -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise FmAudioError(f"TokenPort: prediction is {prediction!r}; give one of {', '.join(PREDICTIONS)}.")
        if not 0.0 <= label_smoothing < 1.0:
            raise FmAudioError(f"TokenPort: label_smoothing is {label_smoothing}; give a number in [0, 1), often 0.")
        if not 0.0 <= self_conditioning < 1.0:
            raise FmAudioError(f"TokenPort: self_conditioning is {self_conditioning}; give a share in [0, 1), often 0.5, or 0.")
        self.table = TokenTable(tokens, channels)
        self.channels, self.prediction = channels, prediction
        self.evidence, self.label_smoothing = evidence, label_smoothing
        self.t_last = 0.95 if prediction == "logits" else 1.0
        self.into = nn.Linear(channels + frames_channels, width)
        self.out = nn.Linear(width, channels)
        self.bias = nn.Parameter(torch.zeros(tokens))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.self_conditioning = self_conditioning
        self.earlier = nn.Linear(channels, width, bias=False) if self_conditioning else None
        if self.earlier is not None:
            nn.init.zeros_(self.earlier.weight)

    def embed(
        self, x_t: Frames, frames: CondFrames | None, mask: Mask, previous: Frames | None = None
    ) -> tuple[Tokens, TokenMask]:
        """`previous` (b n d) is the last estimate of the data, read where the port is self-conditioned."""
        x = x_t if frames is None else torch.cat([x_t, frames.to(x_t.dtype)], -1)
        h = self.into(x.masked_fill(~mask[..., None], 0.0))
        if self.earlier is not None and previous is not None:
            h = h + self.earlier(previous.masked_fill(~mask[..., None], 0.0))
        return h, mask

    def read(self, h: Tokens, x_t: Frames, t: Times, path: Path) -> Prediction:
        """Logits (b n v), or the velocity (b n d) with prediction="velocity"."""
        out = self.out(h).float()
        if self.prediction == "velocity":
            return out
        logits = self._scores(out)
        return logits + self._evidence(x_t, t, path) if self.evidence else logits

    def velocity(self, prediction: Prediction, x_t: Frames, t: Times, path: Path) -> Frames:
        if self.prediction == "velocity":
            return prediction
        return velocity_from_data(path, self.estimate(prediction), x_t, t.clamp(max=self.t_last))

    def data(self, prediction: Prediction, x_t: Frames, t: Times, path: Path) -> Frames:
        """The estimate of x1 (b n d) in what was read."""
        if self.prediction == "velocity":
            return data_from_velocity(path, prediction, x_t, t)
        return self.estimate(prediction)

    def logits(self, prediction: Prediction, x_t: Frames, t: Times, path: Path) -> Logits:
        """Logits (b n v) of what was read; a velocity's are those of the x̂1 that it points at, as its anchor has them."""
        if self.prediction == "velocity":
            return self._scores(data_from_velocity(path, prediction, x_t, t))
        return prediction

    def estimate(self, logits: Prediction) -> Frames:
        """The mean embedding (b n d) of the tokens that logits (b n v) stand for."""
        return logits.softmax(-1) @ self.table.rows

    def _scores(self, points: Frames) -> Tensor:
        return points @ self.table.rows.mT / self.channels**0.5 + self.bias

    def loss(self, h: Tokens, x0: Frames, x1: Frames, t: Times, path: Path, mask: Mask) -> Tensor:
        """x1 are rows of the table; which, is read off them."""
        ids = self.table.project(x1.detach())
        x_t = point(path, x0, x1, t)
        prediction = self.read(h, x_t, t.clamp(max=self.t_last), path)
        logits = self.logits(prediction, x_t, t, path)
        cross_entropy = F.cross_entropy(logits.mT, self._targets(ids, x_t, t, path), reduction="none")
        if self.prediction == "logits":
            return masked_mean(cross_entropy + LOGIT_WEIGHT * prediction.logsumexp(-1).square(), mask)
        return masked_mean((prediction - velocity(path, x0, x1, t)).square().mean(-1) + cross_entropy, mask)

    @torch.no_grad()
    def _targets(self, ids: Ids, x_t: Frames, t: Times, path: Path) -> Tensor:
        """The ids (b n) themselves, or probabilities (b v n) of what they may be where labels are smoothed."""
        if not self.label_smoothing:
            return ids
        return smoothed(ids, self.label_smoothing, self._evidence(x_t, t.clamp(max=self.t_last), path)).mT

    def _evidence(self, x_t: Frames, t: Times, path: Path) -> Logits:
        c = path.coefficients(t)
        return self.table.evidence(x_t, c.alpha, c.sigma)
