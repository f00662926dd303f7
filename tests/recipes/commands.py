"""`fm-audio` in a forked process: as mortal as a real one, without its seconds of imports."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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

    def run() -> int:
        from fm_audio.cli import main

        return main(list(arguments))

    return in_processes(run, folder)[0]


def steps_logged(run: Path) -> list[int]:
    """Steps of "train/loss" in a run's TensorBoard files, in the order they were written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
    return [scalar.step for scalar in events.Scalars("train/loss")]


def in_processes(job: Callable[[], int | None], folder: Path, world_size: int = 1) -> list[int]:
    """Run `job` in `world_size` forked processes that know each other as ranks; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_begin, args=(job, folder, rank, world_size, port)) for rank in range(world_size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=280)
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()
    return [int(process.exitcode or 0) for process in processes]


def _begin(job: Callable[[], int | None], folder: Path, rank: int, world_size: int, port: int) -> None:
    handle = os.open(folder / ("output.txt" if rank == 0 else f"output{rank}.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.chdir(folder)
    if world_size > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    code = 1
    try:
        code = job() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
