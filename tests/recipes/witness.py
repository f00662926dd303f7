"""What a test wants to know of every step, exactly; and a death in the middle."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import lightning as L


class Witness(L.Callback):
    """Writes one JSON line a step: the loss to its last bit, the learning rate, who was in the batch.

    `dies_after` is the number of steps after which the process kills itself, as the machine might; 0 is never.
    """

    def __init__(self, path: str, dies_after: int = 0):
        self.path, self.dies_after = path, dies_after

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        line = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "loss": float(outputs["loss"]).hex(),
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]).hex(),
            "ids": batch.ids,
        }
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        if trainer.global_step == self.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
