"""Two processes train as one: the same gradients, whole or sharded, however unevenly the clips are dealt out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from fm_audio.checkpoint import instantiate
from fm_audio.data.batches import SpeechBatch
from fm_audio.training.module import FlowModule
from fm_audio.training.sharding import FSDP2
from tests.conftest import TINY_ACOUSTIC
from tests.recipes.commands import SMOKE, commands_as_ranks, in_processes, steps_logged

CLIPS, STEPS = 3, 2
SHARES = {1: [slice(0, 3)], 2: [slice(0, 2), slice(2, 3)]}  # of the clips, by the number of ranks


def batch() -> SpeechBatch:
    """Three clips of different lengths, without durations, so that the alignment search takes part."""
    generator = torch.Generator().manual_seed(1)
    symbols, frames = torch.tensor([5, 7, 4]), torch.tensor([30, 42, 36])
    mask = torch.arange(42) < frames[:, None]
    symbols_mask = torch.arange(7) < symbols[:, None]
    return SpeechBatch(
        ids=["a", "b", "c"],
        texts=["a", "b", "c"],
        speakers=["anna", "bert", "anna"],
        symbols=torch.randint(1, 20, (CLIPS, 7), generator=generator).masked_fill(~symbols_mask, 0),
        symbols_mask=symbols_mask,
        mel=torch.randn(CLIPS, 42, 8, generator=generator).masked_fill(~mask[..., None], -3.0),
        mask=mask,
        durations_frames=torch.zeros(CLIPS, 7, dtype=torch.long),
        has_durations=torch.zeros(CLIPS, dtype=torch.bool),
    )


def part_of(whole: SpeechBatch, rows: slice) -> SpeechBatch:
    cut: dict[str, Any] = {f.name: value[rows] for f in fields(whole) if (value := getattr(whole, f.name)) is not None}
    n, m = int(cut["mask"].sum(1).max()), int(cut["symbols_mask"].sum(1).max())
    part = SpeechBatch(**cut)
    return replace(
        part, symbols=part.symbols[:, :m], symbols_mask=part.symbols_mask[:, :m], mel=part.mel[:, :n], mask=part.mask[:, :n],
        durations_frames=part.durations_frames[:, :m],
    )  # fmt: skip


class NoNoise(nn.Module):
    """A time law and a coupling without chance: what remains must not depend on who holds which clip."""

    def sample(self, batch: int, generator: Any, device: torch.device) -> Tensor:
        return torch.full((batch,), 0.4, device=device)

    def forward(self, x0: Tensor, x1: Tensor, mask: Tensor, cond: Any) -> Tensor:
        return 0.5 * x1.flip(-1)


def module() -> FlowModule:
    torch.manual_seed(0)
    task: Any = instantiate({**TINY_ACOUSTIC, "init_args": {**TINY_ACOUSTIC["init_args"], "dropout": 0.0, "condition_drop": 0.0}})
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    task.head.time_law = task.head.coupling = NoNoise()
    return FlowModule(task, total_steps=10, warmup_steps=1, learning_rate=1e-3)


class Dealt:
    """The same clips at every step, each rank its own share of them."""

    def __init__(self, trainer: L.Trainer):
        self.trainer = trainer

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[SpeechBatch]:
        rows = SHARES[self.trainer.world_size][self.trainer.global_rank]
        yield from [part_of(batch(), rows)] * STEPS


class Gradients(L.Callback):
    """Every gradient of the last step, before it is used, whole."""

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        for name, parameter in pl_module.named_parameters():
            gradient: Any = parameter.grad
            if gradient is not None:
                self.seen[name] = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient.clone()


def train(strategy: str, world_size: int, folder: Path) -> None:
    gradients, how = Gradients(), FSDP2() if strategy == "fsdp2" else strategy
    trainer = L.Trainer(
        accelerator="cpu", devices=world_size, strategy=how, max_steps=STEPS, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[gradients],
        default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module(), Dealt(trainer))
    trainer.save_checkpoint(folder / "last.ckpt", weights_only=True)
    if trainer.is_global_zero:
        torch.save(gradients.seen, folder / "gradients.pt")
    trainer.strategy.barrier()


def trained(strategy: str, world_size: int, folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradients of the last step and the weights in the checkpoint after it, as rank 0 has them."""
    folder.mkdir()
    codes = in_processes(partial(train, strategy, world_size, folder), folder, world_size)
    assert codes == [0] * world_size, "\n".join(path.read_text()[-2500:] for path in sorted(folder.glob("output*.txt")))
    weights = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    return torch.load(folder / "gradients.pt", weights_only=True), weights


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One process that holds all the clips."""
    return trained("auto", 1, tmp_path_factory.mktemp("ranks") / "alone")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_are_as_one(strategy: str, alone: Any, tmp_path: Path) -> None:
    gradients, weights = trained(strategy, 2, tmp_path / "two")
    assert gradients.keys() == alone[0].keys() and weights.keys() == alone[1].keys()
    assert sum(float(g.abs().sum()) for g in gradients.values()) > 0
    largest = max(float(g.abs().max()) for g in alone[0].values())
    for name, gradient in alone[0].items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6 * largest, msg=lambda m, n=name: f"{n}: {m}")
    for name, weight in alone[1].items():
        told = alone[0].get(name, torch.zeros(())).abs() > 1e-3 * largest  # Adam makes whole steps of rounding errors
        assert weights[name].shape == weight.shape, name
        if told.shape == weight.shape:
            torch.testing.assert_close(weights[name][told], weight[told], rtol=0, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_by_flag_a_recipe_trains_on_two_ranks_and_goes_on(strategy: str, smoke_data: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(smoke_data / "data")
    ranks = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", strategy]
    steps_at_the_end = []
    for steps in ("20", "40"):
        arguments = ["fit", "--config", str(SMOKE), *ranks, "--trainer.max_steps", steps, "--ckpt_path", "last"]
        codes = commands_as_ranks(arguments, tmp_path, 2)
        assert codes == [0, 0], "\n".join(path.read_text()[-2500:] for path in sorted(tmp_path.glob("output*.txt")))
        saved = torch.load(tmp_path / "runs/smoke/checkpoints/last.ckpt", weights_only=True)
        steps_at_the_end.append(saved["global_step"])
    assert steps_at_the_end == [20, 40]
    steps = steps_logged(tmp_path / "runs/smoke")
    assert steps == sorted(set(steps)) and steps[-1] >= 30, "the second run went on from the first, not from the start"
