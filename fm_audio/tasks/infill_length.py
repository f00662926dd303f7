"""How many frames an infilled text takes: by the reference's rate, or by the model's own predictor; and what teaches that one."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.encoders.length import Length, LengthPredictor, hidden_share, partners
from fm_audio.tasks.infill_requests import InfillRequest, spoken_symbols, symbols_of_parts
from fm_audio.types import Mask

RATE_SPREAD = 0.1  # how far the reference's rate is taken to be from the answer's: one standard deviation of the logarithm


def rate_length(frontend: FrontEnd, request: InfillRequest, count_all: bool = False) -> Length:
    """By the reference's rate of spoken symbols: phones or letters, no pauses. With `count_all` of all symbols, rounded up."""
    texts = request.reference_text, request.text
    if count_all:
        given, asked = (len(frontend.encode(t)) for t in texts)
        return Length(math.ceil(len(request.reference) * asked / given / request.speed), RATE_SPREAD)
    said, to_say = (spoken_symbols(frontend, t) for t in texts)
    return Length(max(1, round(len(request.reference) * to_say / said / request.speed)), RATE_SPREAD)


@torch.inference_mode()
def learned_length(lengths: Any, frontend: FrontEnd, request: InfillRequest) -> Length:
    """What a `LengthPredictor`, or its export, expects of the request's text, told how long the visible texts took."""
    seen = request.seen_frames
    parts = symbols_of_parts(frontend, request.texts, [seen[0] > 0, True, seen[1] > 0])
    device = next(lengths.parameters()).device
    symbols = torch.tensor([[i for part in parts for i in part]], device=device)
    weights = lengths.weights(symbols, torch.ones_like(symbols, dtype=torch.bool))[0]
    before, mine, after = (w.sum()[None] for w in weights.split([len(p) for p in parts]))
    mean, variance = lengths(mine, before + after, torch.tensor([float(sum(seen))], device=device))
    return Length(max(len(parts[1]), round(float(mean.exp()) / request.speed)), float(variance.sqrt()))


def length_loss(
    lengths: LengthPredictor,
    batch: SpeechBatch,
    hidden: Mask,
    durations: Int[Tensor, "b m"],
    known: Bool[Tensor, "b"],
    unseen: Bool[Tensor, "b"],
) -> Tensor:
    """A scalar: of the hidden part from the visible one, where durations are known; else of the whole clip from another of its
    speaker. Nothing is told of items that are `unseen`."""
    weights = lengths.weights(batch.symbols, batch.symbols_mask)
    share = torch.where(known[:, None], hidden_share(durations, hidden), 1.0)
    frames, weight = batch.mask.sum(1).float(), weights.sum(1)
    hidden_frames = torch.where(known, hidden.sum(1).float(), frames)
    other = torch.tensor(partners(batch.speakers), device=known.device)
    has_other = other != torch.arange(len(batch), device=known.device)
    other_weight = torch.where(known, weight - (weights * share).sum(1), weight[other] * has_other)
    other_frames = torch.where(known, frames - hidden_frames, frames[other] * has_other)
    return lengths.loss(weights, share, hidden_frames, other_weight * ~unseen, other_frames * ~unseen)
