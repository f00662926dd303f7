"""A run that was killed goes on as if nothing had happened, and its checkpoints are whole at every moment."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from fm_audio.training.checkpoints import WholeCheckpoints
from fm_audio.types import FmAudioError
from tests.recipes.commands import command, in_processes, recipe_with

pytestmark = pytest.mark.timeout(600)  # three whole runs


def run(
    folder: Path, data: Path, steps: int, saved_every: int, *arguments: str, name: str, dies_after: int = 0
) -> list[dict[str, Any]]:
    """One `fit` of `steps` in `folder`; what its witness saw."""
    folder.mkdir(exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to(data / "data")
    witness = {"class_path": "tests.recipes.witness.Witness", "init_args": {"path": f"{name}.jsonl", "dies_after": dies_after}}

    def change(recipe: dict[str, Any]) -> None:
        recipe["model"]["init_args"] |= {"total_steps": steps, "warmup_steps": 15}
        recipe["model"]["init_args"]["task"]["init_args"] |= {"dropout": 0.2, "condition_drop": 0.3}
        recipe["trainer"] |= {"max_steps": steps, "val_check_interval": min(90, steps - 10), "enable_progress_bar": False}
        saving = next(c for c in recipe["trainer"]["callbacks"] if c["class_path"].endswith("ModelCheckpoint"))
        saving["init_args"]["every_n_train_steps"] = saved_every
        recipe["trainer"]["callbacks"].append(witness)

    recipe = recipe_with(folder / f"{name}.yaml", change)
    code = command(["fit", "--config", str(recipe), *arguments], folder)
    output = (folder / "output.txt").read_text()
    assert code == (-signal.SIGKILL if dies_after else 0), output[-3000:]
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "runs/smoke/checkpoints/last.ckpt", weights_only=True)


def same(a: Any, b: Any, where: str = "") -> None:
    """Bit for bit, all the way down."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


# The last checkpoint before the kill, of step 8 or 17, is in the middle of an epoch.
@pytest.mark.parametrize(
    ("steps", "saved_every", "killed_at"), [(24, 8, 10), pytest.param(221, 17, 24, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_killed_run_goes_on_bit_for_bit(steps: int, saved_every: int, killed_at: int, smoke_data: Path, tmp_path: Path) -> None:
    """Losses, learning rates and batches of every later step; weights, averaged weights, optimizer and schedule at the end."""
    how: Any = (smoke_data, steps, saved_every)
    whole = run(tmp_path / "whole", *how, name="whole")
    killed = run(tmp_path / "killed", *how, "--ckpt_path", "last", name="killed", dies_after=killed_at)
    resumed = run(tmp_path / "killed", *how, "--ckpt_path", "last", name="resumed")

    assert killed == whole[:killed_at]
    first = resumed[0]["step"]
    assert first == saved_every + 1
    middle_of_epoch = whole[first - 2]["epoch"] == whole[first - 1]["epoch"]
    assert middle_of_epoch and resumed[-1]["epoch"] > resumed[0]["epoch"]
    assert len(resumed) == steps - saved_every and resumed == whole[first - 1 :]

    a, b = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    weights = ("state_dict", "current_model_state", "averaging_state")
    for part in (*weights, "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        same(a[part], b[part], part)
    averaged, current = a["state_dict"], a["current_model_state"]
    assert any(not torch.equal(averaged[key], current[key]) for key in averaged), "the average is no average"


def save_and_die_half_way(path: Path) -> None:
    def half(obj: Any, file: Any) -> None:
        file.write(b"half of a checkpoint")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half  # in a process that ends here
    WholeCheckpoints().save_checkpoint({"step": 2}, path)


def test_a_kill_while_saving_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    files = WholeCheckpoints()
    files.save_checkpoint({"step": 1, "weights": torch.arange(1000.0)}, path)
    code = in_processes(partial(save_and_die_half_way, path), tmp_path)[0]
    assert code == -signal.SIGKILL
    assert files.load_checkpoint(path, weights_only=True)["step"] == 1
    files.save_checkpoint({"step": 3}, path)
    assert files.load_checkpoint(path, weights_only=True)["step"] == 3
    assert not list(tmp_path.glob(".*.part"))


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"weights": torch.arange(1000.0)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FmAudioError, match="last.ckpt: cannot be read as a checkpoint"):
        WholeCheckpoints().load_checkpoint(path)
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(FmAudioError, match="last.ckpt: cannot be read as a checkpoint"):
        WholeCheckpoints().load_checkpoint(path)
    with pytest.raises(FmAudioError, match="no checkpoint there"):
        WholeCheckpoints().load_checkpoint(tmp_path / "none.ckpt")
