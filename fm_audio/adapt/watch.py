"""An adaptation looks up from its work: loss on held-out recordings, the judges' figures, and whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.adapt.ears import figures, score
from fm_audio.data.batches import SpeechBatch
from fm_audio.evaluation.judge import Result

AVERAGED, TRAINED = "averaged", "as trained"


@dataclass(frozen=True)
class Seen:
    """Of one kind of weights after so many steps: loss on held-out recordings and, where judges listened, what they heard."""

    step: int
    kind: str
    loss: float
    result: Result | None = None
    strength: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        heard = figures(self.result) if self.result is not None else {}
        made = {"step": self.step, "weights": self.kind, "strength": self.strength}
        return {**made, "held_out_loss": round(self.loss, 4), **heard}

    def line(self) -> str:
        """For people."""
        said = f"held-out loss {self.loss:.3f}"
        if self.result is not None:
            said += f", word error {100 * self.result.wer.value:.1f} %"
            if self.result.similarity is not None:
                said += f", similarity {self.result.similarity.value:.3f}"
        return said


@dataclass
class Watch:
    """Remembers what was seen and which of it was best. `hear` lets the judges listen to the model as it is, if there are any.

    With `early`, the judges choose between steps and between the two kinds of weights, and `patience` looks without anything
    better are enough. Without it, the mean of the last step is taken: loss alone chooses nothing.
    """

    model: nn.Module
    batches: Sequence[SpeechBatch]
    device: torch.device
    hear: Callable[[], Result] | None = None
    early: bool = False
    patience: int = 4
    tell: Callable[[str], None] = print
    seen: list[Seen] = field(default_factory=list)
    best: Seen | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)  # of the best

    def __call__(self, step: int, trained: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> bool:
        for kind, weights in ((AVERAGED, averaged), (TRAINED, trained)):
            self.put(weights)
            seen = Seen(step, kind, self.loss(), self.hear() if self.hear else None)
            self.seen.append(seen)
            if self._better(seen):
                self.best, self.weights = seen, weights
        self.put(trained)
        self.tell(self._line(step))
        looks = len({s.step for s in self.seen if self.best is not None and s.step > self.best.step})
        return self.early and looks >= self.patience

    def strongest(self, strengths: Sequence[float], weaker: Callable[[float], Mapping[str, Tensor]]) -> float:
        """The share of what was learned that the judges like best, the greatest of equals; its weights are kept from then on.

        `weaker` gives the best weights at a share of 0 to 1: weights between two models forget less than the second (Wortsman et
        al. 2022, arXiv 2109.01903). Without judges everything is kept.
        """
        assert self.best is not None
        if not self.early or self.hear is None or self.best.result is None:
            return 1.0
        strength, weights = 1.0, self.weights
        for share in strengths:
            lesser = weaker(share)
            self.put(lesser)
            seen = Seen(self.best.step, self.best.kind, self.loss(), self.hear(), share)
            self.seen.append(seen)
            self.tell(f"strength {share:g}: {seen.line()}")
            if self._better(seen):
                self.best, strength, weights = seen, share, lesser
        self.weights = weights
        return strength

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Load trainable weights by name."""
        named = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                named[name].copy_(value)

    def last(self, kind: str) -> Seen:
        return next(s for s in reversed(self.seen) if s.kind == kind)

    def _better(self, seen: Seen) -> bool:
        if not self.early or seen.result is None:
            return seen.kind == AVERAGED
        return self.best is None or self.best.result is None or score(seen.result) > score(self.best.result)

    @torch.no_grad()
    def loss(self) -> float:
        """Mean over held-out clips; the same noise each time."""
        total = torch.zeros((), dtype=torch.float64)
        for i, batch in enumerate(self.batches):
            generator = torch.Generator(device=self.device).manual_seed(i)
            loss = self.model.loss(batch.to(self.device), generator)["loss"]  # type: ignore[operator]
            total += float(loss) * len(batch)
        return float(total) / sum(len(batch) for batch in self.batches)

    def _line(self, step: int) -> str:
        return f"step {step}: " + "; ".join(f"{kind}: {self.last(kind).line()}" for kind in (AVERAGED, TRAINED))


class LeastLoss(Watch):
    """Where nobody can listen and all that counts is told by the loss: the least of it chooses, and `patience` looks without less
    are enough."""

    def __call__(self, step: int, trained: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> bool:
        super().__call__(step, trained, averaged)
        best = self.best
        return best is not None and len({s.step for s in self.seen if s.step > best.step}) >= self.patience

    def _better(self, seen: Seen) -> bool:
        return self.best is None or seen.loss < self.best.loss
