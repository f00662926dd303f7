"""FlowModule logs and steps; the task it holds thinks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from fm_audio.training.distill import Distill
from fm_audio.training.low_rank import LowRank
from fm_audio.types import FmAudioError


class FlowModule(L.LightningModule):
    """Trains any task: AdamW, linear warm-up, cosine to `final_learning_rate` at `total_steps`.

    All randomness of a batch (noise, t, dropped conditions, dropout) is seeded by (seed, number of the batch, rank), so a
    resumed run needs no memory of the generator's state to go on exactly as the uninterrupted one.
    """

    def __init__(
        self,
        task: nn.Module,
        total_steps: int,
        learning_rate: float = 1e-3,
        final_learning_rate: float = 1e-5,
        warmup_steps: int = 500,
        betas: tuple[float, float] = (0.9, 0.98),
        weight_decay: float = 0.01,
        seed: int = 0,
        start_from: str | None = None,
        start_parts: dict[str, str] | None = None,
        low_rank: LowRank | None = None,
        distill: Distill | None = None,
    ):
        """`start_from`: a model folder whose weights to begin with (the same task; speakers may be appended). `start_parts`: some
        parts begin with parts of folders, whose tasks may be others: {listening.encoder: "FOLDER:encoder"}, this model's first.
        `low_rank`: fine-tune what was begun with by changes of low rank; `fm-audio export` makes them part of the weights.
        `distill`: begin as a teacher and learn to take fewer steps than it.
        """
        super().__init__()
        self.task = task
        self.total_steps, self.warmup_steps, self.seed = total_steps, warmup_steps, seed
        self.learning_rate, self.final_learning_rate = learning_rate, final_learning_rate
        self.betas, self.weight_decay = betas, weight_decay
        if start_from is not None:
            from fm_audio.checkpoint import load_into

            load_into(task, start_from)
        if start_parts:
            from fm_audio.checkpoint import load_parts

            load_parts(task, start_parts)
        if distill is not None:
            if start_from is not None or start_parts or low_rank is not None:
                raise FmAudioError("distill: begins as its teacher; leave start_from, start_parts and low_rank out")
            distill.begin(task)
        if low_rank is not None:
            if start_from is None:
                raise FmAudioError("low_rank: bends a model that was trained; give its folder as start_from")
            low_rank.bend(task, seed)

    def on_fit_start(self) -> None:
        """On CUDA cuDNN plans anew for every length it has not met, and each batch has its own. Of seven small runs side by side
        on an H100 the one that spoke made 0.7 steps a second with cuDNN and 5.0 with torch's own convolutions."""
        self._cudnn = torch.backends.cudnn.enabled
        torch.backends.cudnn.enabled = self._cudnn and self.device.type != "cuda"

    def on_fit_end(self) -> None:
        torch.backends.cudnn.enabled = self._cudnn

    def training_step(self, batch: Any, _: int) -> Tensor:
        generator = self._seeded(self.trainer.fit_loop.epoch_loop.total_batch_idx)
        losses = self.task.loss(batch, generator)  # type: ignore[operator]
        self._log("train", losses, len(batch))
        return losses["loss"] * self._share(len(batch))

    def validation_step(self, batch: Any, batch_index: int) -> None:
        with torch.random.fork_rng(devices=[]):
            losses = self.task.loss(batch, self._seeded(batch_index))  # type: ignore[operator]
        self._log("validation", losses, len(batch))

    def configure_optimizers(self) -> Any:
        learning = [p for p in self.parameters() if p.requires_grad]
        decayed, kept = [p for p in learning if p.ndim > 1], [p for p in learning if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": kept, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, betas=self.betas, fused=not self._scaled)
        # A plain function leaves nothing of itself in the checkpoint.
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.learning_rate_factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def _scaled(self) -> bool:
        """Whether gradients are scaled for float16, which a fused optimizer would have to undo before they are clipped."""
        return self.trainer.precision == "16-mixed"

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Lightning clips for no fused optimizer, for the scaler's sake; where there is none, its own clipping is right."""
        if self._scaled or not gradient_clip_val:
            return super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        if gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.parameters(), gradient_clip_val)
        else:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def learning_rate_factor(self, step: int) -> float:
        """Learning rate at `step` as a share of the highest: up in a straight line, down along half a cosine, then flat."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        gone = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        low = self.final_learning_rate / self.learning_rate
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * gone))

    def _seeded(self, batch: int) -> torch.Generator:
        seed = (self.seed * 1_000_003 + batch) * 1_009 + self.global_rank
        torch.manual_seed(seed)
        return torch.Generator(device=self.device).manual_seed(seed)

    def _share(self, items: int) -> Tensor | float:
        """What makes the mean over ranks a mean over items when ranks hold different numbers of them."""
        if self.trainer.world_size == 1:
            return 1.0
        mine = torch.tensor(float(items), device=self.device)
        return mine / self.trainer.strategy.reduce(mine.clone(), reduce_op="mean")

    def _log(self, stage: str, losses: Mapping[str, Tensor], items: int) -> None:
        values = {f"{stage}/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(values, batch_size=items, prog_bar=False, sync_dist=stage == "validation")
        self.log("loss", losses["loss"].detach(), prog_bar=stage == "train", logger=False, batch_size=items)
