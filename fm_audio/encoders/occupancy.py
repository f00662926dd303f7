"""When is each state of a text heard? States come in order, and some of them may be passed over.

    share(j, s) = P(token j lies in state s | all that was heard)        forward-backward (Rabiner 1989, equations 19 to 27)

Before anything is heard all ways are alike likely. Axes: b items, k tokens of sound, s states. Masks are prefixes.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from fm_audio.types import FmAudioError

NEVER = -torch.inf


@torch.no_grad()
def occupancy(
    log_p: Float[Tensor, "b k s"], mask: Bool[Tensor, "b k"], optional: Bool[Tensor, "b s"], states_mask: Bool[Tensor, "b s"]
) -> Float[Tensor, "b k s"]:
    """Log likelihoods of every token in every state -> shares, float32, which sum to 1 for a token and are 0 where a mask is
    False. `optional` states may have no token, and no two of them may be neighbours; the others have one at least.

    Raises FmAudioError for an item with more states that must be than tokens.
    """
    must, tokens = (states_mask & ~optional).sum(1), mask.sum(1)
    if bool((must > tokens).any()):
        i = int((must - tokens).argmax())
        raise FmAudioError(f"occupancy: {int(must[i])} phones do not fit into {int(tokens[i])} tokens of sound")
    pads = ~(mask[..., None] & states_mask[:, None])
    scores = log_p.double().masked_fill(pads, NEVER)
    before = _forward(scores, optional)
    there_j, there_s = _backwards(mask), _backwards(states_mask)
    turned = _taken(scores, there_j, there_s)
    after = _taken(_forward(turned, optional.gather(1, there_s)), there_j, there_s)
    both = (before + after - scores).masked_fill(pads, NEVER)
    return both.softmax(-1).masked_fill(pads, 0.0).float()


def _forward(scores: Float[Tensor, "b k s"], optional: Bool[Tensor, "b s"]) -> Float[Tensor, "b k s"]:
    """log P(tokens up to j, state s at j)."""
    over = F.pad(optional[:, 1:-1], (2, 0))[:, : optional.shape[1]]  # state s may follow s − 2
    start = torch.full_like(scores[:, 0], NEVER)
    start[:, 0] = 0.0
    if start.shape[1] > 1:
        start[:, 1] = torch.where(optional[:, 0], 0.0, NEVER)
    rows = [start + scores[:, 0]]
    for j in range(1, scores.shape[1]):
        last = F.pad(rows[-1], (2, 0), value=NEVER)
        steps = torch.stack([last[:, 2:], last[:, 1:-1], last[:, :-2].masked_fill(~over, NEVER)])
        rows.append(torch.logsumexp(steps, 0) + scores[:, j])
    return torch.stack(rows, 1)


def _backwards(mask: Bool[Tensor, "b n"]) -> Tensor:
    """Places (b n) that turn what is real around and leave the padding where it is."""
    at = torch.arange(mask.shape[1], device=mask.device)[None]
    length = mask.sum(1, keepdim=True)
    return torch.where(at < length, length - 1 - at, at)


def _taken(x: Float[Tensor, "b k s"], j: Tensor, s: Tensor) -> Float[Tensor, "b k s"]:
    x = x.gather(1, j[..., None].expand_as(x))
    return x.gather(2, s[:, None].expand_as(x))
