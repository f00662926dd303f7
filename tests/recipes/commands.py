"""`fm-audio` in a process of its own: as mortal as a real one, without its seconds of imports.

Processes are forked off a server that has imported everything and done nothing, so that no thread of a test's own process
(those of autograd, of an exporter) is ever forked.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "recipes/aligned_tts/smoke.yaml"


def recipe_with(path: Path, change: Callable[[dict[str, Any]], None], source: Path = SMOKE) -> Path:
    """A copy of a recipe, changed."""
    recipe = yaml.safe_load(source.read_text())
    change(recipe)
    path.write_text(yaml.safe_dump(recipe))
    return path


def command(arguments: Sequence[str], folder: Path) -> int:
    """`fm-audio ARGUMENTS` in `folder`; its exit code, negative for a signal. What it printed is in output.txt there."""

    return in_processes(partial(_command, list(arguments)), folder)[0]


def _command(arguments: list[str]) -> int:
    from fm_audio.cli import main

    return main(arguments)


def steps_logged(run: Path) -> list[int]:
    """Steps of "train/loss" in a run's TensorBoard files, in the order they were written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
    return [scalar.step for scalar in events.Scalars("train/loss")]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def rank_environment(rank: int, port: int) -> dict[str, str]:
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}


def commands_as_ranks(arguments: list[str], folder: Path, world_size: int) -> list[int]:
    """Run `fm-audio` as several processes of its own, as a launcher does; their exit codes."""
    port = free_port()
    running = []
    for rank in range(world_size):
        with (folder / f"output{rank}.txt").open("wb") as output:
            command = [sys.executable, "-m", "fm_audio.cli", *arguments]
            environment = os.environ | rank_environment(rank, port) | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            running.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT))
    try:
        return [process.wait(timeout=280) for process in running]
    finally:
        for process in running:
            process.kill()


def in_processes(job: Callable[[], int | None], folder: Path, world_size: int = 1) -> list[int]:
    """Run `job`, which pickles, in `world_size` processes that know each other as ranks; their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fm_audio.training.cli", "tests.recipes.witness"])
    port = free_port()
    environments = [dict(os.environ) | (rank_environment(r, port) if world_size > 1 else {}) for r in range(world_size)]
    processes = [context.Process(target=_begin, args=(job, folder, rank, environments[rank])) for rank in range(world_size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=280)
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()
    return [int(process.exitcode or 0) for process in processes]


def _begin(job: Callable[[], int | None], folder: Path, rank: int, environment: dict[str, str]) -> None:
    handle = os.open(folder / ("output.txt" if rank == 0 else f"output{rank}.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    torch.set_num_threads(1)
    torch.manual_seed(0)
    code = 1
    try:
        code = job() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
