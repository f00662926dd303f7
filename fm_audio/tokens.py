"""Tokens as points: a table of embeddings of one length, and which token a point is, or may be.

    E_k = √d · e_k / ‖e_k‖        log p(k | x) = α x·E_k / σ² − α²‖E_k‖² / (2σ²) + const,      x = α E_k + σ ε

Rows of one length keep a model from making its task easy by spreading its tokens (Dieleman et al. 2022, "Continuous diffusion
for categorical data", section 3.2), and make the second term the same for all.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.types import FmAudioError, Frames

Ids = Int[Tensor, "b n"]
Rows = Float[Tensor, "v d"]
Logits = Float[Tensor, "b n v"]

METRICS = ("cosine", "l2", "bayes")
FARTHEST = 60.0  # nats at which evidence is cut: e^-60 of a token is none, and float32 still tells it from nothing
LEAST_SIGMA = 0.1  # below this the points of a table lie far apart, and logits would only grow


class TokenTable(nn.Module):
    """`tokens` embeddings of width `channels`, every one of length √channels whatever its parameters are."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        if tokens < 2 or channels < 2:
            raise FmAudioError(f"TokenTable: {tokens} tokens of {channels} channels; give at least 2 of each")
        self.weight = nn.Parameter(torch.randn(tokens, channels))

    @property
    def rows(self) -> Rows:
        """(v d) float32, each of length √d."""
        return F.normalize(self.weight.float(), dim=-1) * math.sqrt(self.weight.shape[1])

    def forward(self, ids: Ids) -> Frames:
        """ids (b n) -> points (b n d)."""
        return F.embedding(ids, self.rows)

    def evidence(self, x: Frames, alpha: Tensor, sigma: Tensor) -> Logits:
        """`evidence` of this table's rows."""
        return evidence(x, self.rows, alpha, sigma)

    def project(self, x: Frames, metric: str = "cosine", t: float = 1.0, noise: float = 1.0) -> Ids:
        """`project` onto this table's rows."""
        return project(x, self.rows, metric, t, noise)


def evidence(x: Frames, rows: Rows, alpha: Tensor, sigma: Tensor) -> Logits:
    """The exact log posterior of tokens, up to a constant of each position, where all were equally likely before x was seen.

    x (b n d) = alpha · row + sigma · noise; alpha, sigma (b,). The likeliest token has 0, none
    less than −60; sigma is held at 0.1 or more.
    """
    alpha, sigma = alpha.view(-1, 1, 1), sigma.clamp(min=LEAST_SIGMA).view(-1, 1, 1)
    logits = (alpha * (x @ rows.mT) - 0.5 * alpha.square() * rows.square().sum(-1)) / sigma.square()
    return (logits - logits.amax(-1, keepdim=True)).clamp(min=-FARTHEST)


def smoothed(ids: Ids, share: float, evidence: Logits) -> Logits:
    """Smoothed labels (b n v): what a token may be where context tells ids (b n) with probability 1 − share, and x what it shows.

        q_j ∝ ((1 − share) [j = id] + share / V) · exp(evidence_j)

    Where x shows nothing this is ordinary label smoothing (Szegedy et al. 2016, section 7), where x shows the token it is the
    token. To smooth there as well would ask of a network that it contradict x, by nearly as many nats as x has to say.
    """
    known = torch.full_like(evidence, share / evidence.shape[-1])
    known.scatter_add_(-1, ids[..., None], torch.full_like(evidence[..., :1], 1.0 - share))
    return (known.log() + evidence).softmax(-1)


def project(x: Frames, rows: Rows, metric: str = "cosine", t: float = 1.0, noise: float = 1.0) -> Ids:
    """Nearest-token projection: x (b n d), rows (v d) -> ids (b n).

    "cosine": the smallest angle; "l2": the smallest distance; "bayes": the likeliest token given that x = t · row +
    (1 − t) · noise · ε (the linear path; at t = 1 the nearest). For rows of one length all three agree. Of equals the first.
    Raises FmAudioError for an unknown metric, and for a t outside [0, 1].
    """
    if metric not in METRICS:
        raise FmAudioError(f"project: metric is {metric!r}; give one of {', '.join(METRICS)}")
    if not 0.0 <= t <= 1.0 or not 0.0 <= noise < math.inf:
        raise FmAudioError(f"project: t is {t} and noise is {noise}; give a t in [0, 1] and a noise of 0 or more")
    x, rows = x.float(), rows.float()
    if metric == "cosine":
        return (x @ F.normalize(rows, dim=-1).mT).argmax(-1)
    a = 1.0 if metric == "l2" else t
    return (a * (x @ rows.mT) - 0.5 * a * a * rows.square().sum(-1)).argmax(-1)


def decided_at(tokens: int, channels: int, noise: float = 1.0) -> float:
    """The t of the linear path before which x_t does not yet tell which of `tokens` it will become.

        t* = s √(2 ln V) / (√d + s √(2 ln V))

    There the token's own evidence, (t √d / (s (1 − t)))², meets the largest of V − 1 chance ones, 2 ln V.
    """
    reach = noise * math.sqrt(2.0 * math.log(tokens))
    return reach / (math.sqrt(channels) + reach)
