"""A short training that begins with a trained task: as many steps or minutes as there are, and somebody who looks at the weights.

Both kinds of weights are looked at: those that the optimizer moves, and their running mean (`callbacks.RunningMean`).
"""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import lightning as L
from torch import Tensor, nn

from fm_audio.training.callbacks import RunningMean, TimeLeft
from fm_audio.training.module import FlowModule
from fm_audio.training.precision import chosen

Weights = Mapping[str, Tensor]
# Told the step, the weights as trained and their mean (trainable ones, by name); says whether that is enough.
Look = Callable[[int, Weights, Weights], bool]


def trainable(task: nn.Module) -> dict[str, Tensor]:
    """Copies of what an optimizer may move."""
    return {name: p.detach().clone() for name, p in task.named_parameters() if p.requires_grad}


class MeanBeside(RunningMean):
    """A running mean that stays beside the weights when training ends."""

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing: who looks chooses between the two."""

    @property
    def weights(self) -> dict[str, Tensor]:
        assert self._average_model is not None
        return trainable(self._average_model.module.task)  # type: ignore[arg-type, union-attr]


class Budget(L.Callback):
    """Stops after so many minutes, and lets the learning rate fall by the clock instead of by steps."""

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.began = perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        share = (perf_counter() - self.began) / self.seconds
        pl_module.total_steps = max(trainer.global_step, round(trainer.global_step / share))  # type: ignore[assignment]
        trainer.should_stop = trainer.should_stop or share >= 1


class Looks(L.Callback):
    """Shows both kinds of weights every `every` steps and once at the end, and stops when that is enough."""

    def __init__(self, look: Look, every: int, mean: MeanBeside):
        self.look, self.every, self.mean, self.last = look, every, mean, 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every == 0 and trainer.global_step > self.last:
            trainer.should_stop = self._look(trainer, pl_module) or trainer.should_stop

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step > self.last:
            self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> bool:
        self.last = trainer.global_step
        task: Any = pl_module.task
        task.eval()
        enough = self.look(self.last, trainable(task), self.mean.weights)
        task.train()
        return enough


class AtSteps(L.Callback):
    """Does something after certain steps, with the task as it is when it speaks."""

    def __init__(self, steps: Container[int], do: Callable[[], None]):
        self.steps, self.do = steps, do

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self.steps:
            task: Any = pl_module.task
            task.eval()
            self.do()
            task.train()


def fit(
    task: nn.Module,
    batches: Iterable[Any],
    look: Look,
    every: int,
    steps: int,
    folder: Path,
    minutes: float | None = None,
    learning_rate: float = 1e-3,
    decay: float = 0.999,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "auto",
    progress: bool = False,
    also: Sequence[L.Callback] = (),
) -> int:
    """Train what requires gradients on `batches`, which may be endless, and return the number of steps made.

    `look` may load other weights into the task while it looks; it puts back what it found. Lightning writes nothing but into
    `folder`. `precision` is Lightning's, or "auto" (`training.precision.chosen`). Raises KeyboardInterrupt when interrupted.
    """
    module = FlowModule(task, steps, learning_rate, 0.1 * learning_rate, warmup_steps=min(50, max(1, steps // 10)), seed=seed)
    mean = MeanBeside(decay)
    callbacks: list[L.Callback] = [*also, mean, Looks(look, every, mean), TimeLeft() if minutes is None else Budget(minutes)]
    with _quiet():
        trainer = L.Trainer(
            accelerator="cpu" if device == "cpu" else "gpu",
            devices=1,
            precision=chosen(precision, device),  # type: ignore[arg-type]
            max_steps=steps,
            gradient_clip_val=1.0,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
            limit_val_batches=0,
            default_root_dir=folder,
        )
        task.train()
        try:
            trainer.fit(module, train_dataloaders=batches)
        finally:
            task.eval()
    return trainer.global_step


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's hints for recipes, and with Ctrl-C as it was: Lightning exits on it and lets none through after."""
    log = logging.getLogger("lightning.pytorch")
    level, handler = log.level, signal.getsignal(signal.SIGINT)
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SystemExit as e:
        raise KeyboardInterrupt from e
    finally:
        log.setLevel(level)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
