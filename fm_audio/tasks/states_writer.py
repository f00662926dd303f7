"""Writing a text by flow through contextual states: noise → the states that a frozen encoder would have of the text → its pieces.

    x1 = states of the text and its end        x̂1 by the network, squared error of the velocity
    decoding: the same network at t = 1, told so, reads states that are noisy still, and says which piece each is

After "Embedded language flows" (ELF, 2026): contextual targets are easier to make than a table's rows, and the backbone itself
learns to read them. Logits are against the encoder's own embeddings of its pieces, so a large vocabulary costs no parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.data.text.hub_pieces import HubPieces
from fm_audio.data.text.vocabulary import until_end
from fm_audio.encoders.tokens import with_positions
from fm_audio.flow.guidance import drop_conditions
from fm_audio.flow.noise import noise_like
from fm_audio.flow.path import Path
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import LogitNormal, TimeLaw
from fm_audio.tasks.frozen_text import FrozenText
from fm_audio.tasks.text_requests import Draft, Try
from fm_audio.tasks.text_writer import LENGTH_WEIGHT, POSITIONS_WIDTH, TextWriter, trimmed
from fm_audio.types import Cond, FmAudioError, Frames, Mask, length_mask, masked_mean

DECODED_SHARE = 0.2  # of training items that learn to decode rather than to flow
KEPT_MEAN, KEPT_STD = 0.8, 0.8  # logit of the share of a state that is left when decoding is learned
NOISE = 2.0  # deviation of the start, for states of deviation 1


class StatesWriter(TextWriter):
    """`target` are the pieces of the encoder whose states are made; the other arguments are those of `TextWriter`.

    time_law: by default logit-normal with mean −1.5 and deviation 0.8, since many channels decide a state early.
    """

    def __init__(
        self,
        target: HubPieces,
        backbone: nn.Module,
        source_width: int,
        condition_drop: float = 0.1,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
    ) -> None:
        frozen = FrozenText(target)  # no module: its weights are not ours
        channels, width = frozen.channels, int(backbone.width)  # type: ignore[arg-type]
        port = MelPort(channels, width, POSITIONS_WIDTH, prediction="data")
        law = time_law or LogitNormal(-1.5, 0.8)
        super().__init__(target, backbone, source_width, channels, condition_drop, 0, time_law=law, path=path, port=port)
        self.frozen = frozen
        self.mode = nn.Parameter(torch.zeros(width))
        self.read = nn.Linear(width, channels)
        self.bias = nn.Parameter(torch.zeros(len(target.symbols)))

    def loss(
        self, cond: Cond, target: Int[Tensor, "b m"], target_mask: Bool[Tensor, "b m"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Scalars "loss" and its parts "flow", "decode" and "length"."""
        ids, mask, _ = self.canvas(target, target_mask, generator)
        cond = drop_conditions(cond, len(ids), self.condition_drop, ids.device, generator)
        length = self.lengths.loss(cond, target_mask.sum(1))
        cond, null = (with_positions(c, ids.shape[1], POSITIONS_WIDTH, len(ids), ids.device) for c in (cond, cond.null()))
        x1 = self.frozen.states(ids, mask) / NOISE  # as noise of deviation NOISE would be to them
        flow = self.head.loss(x1, mask, cond, "text", generator, null=null)
        at = generator.device if generator is not None else torch.device("cpu")
        rows = torch.randperm(len(ids), generator=generator, device=at)[: max(1, round(DECODED_SHARE * len(ids)))].to(ids.device)
        kept = torch.sigmoid(KEPT_MEAN + KEPT_STD * noise_like(x1[rows, :, :1], generator))
        noisy = kept * x1[rows] + (1 - kept) * noise_like(x1[rows], generator)
        logits = self._logits(noisy, mask[rows], cond.rows(rows))
        decode = masked_mean(F.cross_entropy(logits.mT, ids[rows], reduction="none"), mask[rows])
        return {"loss": flow + decode + LENGTH_WEIGHT * length, "flow": flow, "decode": decode, "length": length}

    def default_sampling(self) -> Sampling:
        steps, temperature = (8, 0.0) if self.answers else (32, 1.0)
        return Sampling(steps=steps, grid="quantile", temperature=temperature)

    def _logits(self, x: Frames, mask: Mask, cond: Cond) -> Float[Tensor, "b n v"]:
        """Of each piece at each place, float32: what the backbone reads in states at t = 1."""
        h, token_mask = self.head.ports["text"].embed(x, cond.frames, mask)  # type: ignore[operator]
        t = torch.ones(len(x), device=x.device)
        h = self.head.backbone(h + self.mode, t, token_mask, Cond(tokens=cond.tokens, tokens_mask=cond.tokens_mask))
        with torch.autocast(x.device.type, enabled=False):
            points, rows = self.read(h.float()), self.frozen.embeddings.to(h.device)
            return points @ rows.mT / rows.shape[1] ** 0.5 + self.bias

    def _written(self, drafts: Sequence[Draft], conds: Cond, sampling: Sampling, patience: int | None) -> list[Try]:
        device = self.bias.device
        mask = length_mask(torch.tensor([d.tokens + 1 for d in drafts], device=device))
        sources = trimmed(conds.rows(torch.tensor([d.request for d in drafts], device=device)))
        cond, null = (with_positions(c, mask.shape[1], POSITIONS_WIDTH, len(drafts), device) for c in (sources, sources.null()))
        field = self.head.field(mask, cond, sampling, "text", null)
        x = self.head.solve(field, self.head.start(mask, sampling, [d.seed for d in drafts], "text"), sampling, "text")
        log_p, ids = self._logits(x, mask, cond).log_softmax(-1).max(-1)
        made = []
        for row, p, keep, forwards in zip(ids, log_p, mask, field.forwards.tolist(), strict=True):
            found = until_end(row[keep].tolist())
            made.append(Try(tuple(found), float(p[keep][: len(found) + 1].mean()), forwards + 1))
        return made


def require_pieces(target: object) -> HubPieces:
    """Raises FmAudioError where a target is not in the pieces of an encoder."""
    if not isinstance(target, HubPieces):
        raise FmAudioError(
            f"states: contextual states need the encoder's own pieces as target, and here it is {type(target).__name__}; "
            "give fm_audio.data.text.hub_pieces.HubPieces"
        )
    return target
