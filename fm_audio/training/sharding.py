"""FSDP2 by a flag: every rank holds a share of weights, gradients and optimizer state.

    fm-audio fit --config recipes/….yaml --trainer.strategy fsdp2 --trainer.devices 4

Zhao et al. 2023 (arXiv 2304.11277), in PyTorch's second form (`torch.distributed.fsdp.fully_shard`).
"""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from fm_audio.training.callbacks import SpokenSentences

ENTRIES = ("loss", "generate", "align")  # ways into a task besides forward: there, too, the weights must be gathered


def shard(task: nn.Module, mesh: Any = None) -> nn.Module:
    """Shard a task in place: each entry of a `ModuleList` (the layers) on its own, what is left in one piece."""
    lists = [part for part in task.modules() if isinstance(part, nn.ModuleList)]
    for layer in [layer for part in reversed(lists) for layer in part]:
        fully_shard(layer, mesh=mesh)
    fully_shard(task, mesh=mesh)
    for entry in ENTRIES:
        if hasattr(task, entry):
            register_fsdp_forward_method(task, entry)
    return task


class FSDP2(ModelParallelStrategy):
    """Shards the task of a `FlowModule` over all devices; checkpoints hold the whole weights, as on one device.

    `RunningMean` copies the unsharded model, and `SpokenSentences` generates on one rank while the others would wait: both
    are left out, with a warning. Train with DDP where they matter and the model fits.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_processes * self.num_nodes
        super().setup_environment()
        trainer: Any = self.lightning_module.trainer  # type: ignore[union-attr]
        left_out = [callback for callback in trainer.callbacks if isinstance(callback, (WeightAveraging, SpokenSentences))]
        if left_out:
            names = " and ".join(type(callback).__name__ for callback in left_out)
            rank_zero_warn(f"FSDP2: {names} cannot work on sharded weights: left out of this run")
        trainer.callbacks = [callback for callback in trainer.callbacks if callback not in left_out]

    def setup(self, trainer: L.Trainer) -> None:
        module: Any = self.lightning_module
        self.accelerator.setup(trainer)  # type: ignore[union-attr]
        self.model_to_device()
        shard(module.task, self.device_mesh["data_parallel"])
        self.model = self.precision_plugin.convert_module(module)
        self.barrier()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()


def register() -> None:
    """Make `--trainer.strategy fsdp2` known to Lightning."""
    StrategyRegistry.register("fsdp2", FSDP2, description="every rank holds a share of the weights", override=True)
