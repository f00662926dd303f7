"""FlowModule: every batch has a chance of its own, and the learning rate follows its law."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from fm_audio.training.module import FlowModule


class Recorder(nn.Module):
    """A task that remembers what chance it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.seeds: list[int] = []
        self.dropout: list[float] = []

    def loss(self, batch: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        assert generator is not None
        if torch.is_grad_enabled():
            self.seeds.append(generator.initial_seed())
            self.dropout.append(float(torch.rand(())))
        return {"loss": (self.weight * batch).mean()}


class Data(L.LightningDataModule):
    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.ones(6, 2), batch_size=1)

    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.ones(2, 2), batch_size=1)


def fit(folder: Path, accumulate: int = 1, validate_every: int = 6, seed: int = 0) -> Recorder:
    task = Recorder()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, accumulate_grad_batches=accumulate, val_check_interval=validate_every, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(FlowModule(task, total_steps=12, seed=seed), Data())
    return task


def test_every_batch_has_a_chance_of_its_own(tmp_path: Path) -> None:
    """Also when gradients of several batches are gathered before a step, and whatever validation draws in between."""
    task = fit(tmp_path)
    assert len(task.seeds) == len(set(task.seeds)) == 12
    assert fit(tmp_path, accumulate=3).seeds == task.seeds
    often = fit(tmp_path, validate_every=1)
    assert often.seeds == task.seeds and often.dropout == task.dropout
    assert not set(fit(tmp_path, seed=1).seeds) & set(task.seeds)


def test_the_learning_rate_climbs_and_falls() -> None:
    module = FlowModule(Recorder(), total_steps=110, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-5)
    factor = module.learning_rate_factor
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert factor(60) == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert factor(110) == factor(500) == pytest.approx(0.01)
    assert all(factor(step) >= factor(step + 1) for step in range(10, 120))


def test_no_decay_on_biases_and_scales() -> None:
    module = FlowModule(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), total_steps=1)
    module.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    optimizer = module.configure_optimizers()["optimizer"]
    decayed, kept = optimizer.param_groups
    assert all(p.ndim > 1 for p in decayed["params"]) and decayed["weight_decay"] > 0
    assert len(kept["params"]) == 3 and kept["weight_decay"] == 0
