"""How commands run on a machine: --precision, --compile and --threads of those that generate, --precision of those that train."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def add_running(command: argparse.ArgumentParser) -> None:
    """--precision and --compile, which `load`, `load_cloner` and `load_sounds` take."""
    precision = "what the network computes in: fp32, or bf16 where the processor has it (default: fp32)"
    command.add_argument("--precision", default="fp32", metavar="NAME", help=precision)
    compiled = "compile the network first, for long work: that takes minutes on a CPU; needs a C++ compiler"
    command.add_argument("--compile", action="store_true", help=compiled)


def add_training_precision(command: argparse._ActionsContainer) -> None:
    """--precision, which `training.brief.fit` takes."""
    names = ("auto", "32-true", "bf16-mixed", "16-mixed")
    usual = "Lightning's (default: auto, which is bf16-mixed where the device computes in bfloat16 and 32-true elsewhere)"
    command.add_argument("--precision", default="auto", choices=names, help=usual)


def add_threads(command: argparse.ArgumentParser) -> None:
    what = "CPU threads (default: OMP_NUM_THREADS, else the physical cores that this process may use)"
    command.add_argument("--threads", type=int, metavar="N", help=what)


@contextmanager
def threads(asked: int | None) -> Iterator[None]:
    """Within, torch computes on so many threads, by default on `usual_threads()` unless OMP_NUM_THREADS is set.

    Raises FmAudioError for fewer than one.
    """
    import torch

    from fm_audio.types import FmAudioError

    if asked is not None and asked < 1:
        raise FmAudioError(f"--threads: given {asked}; give 1 or more, or leave it out")
    before = torch.get_num_threads()
    if asked is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(asked or usual_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usual_threads(root: Path = Path("/")) -> int:
    """Physical cores that this process may run on, at most its container's share of the processor.

    torch by itself starts a thread for each core of the machine; where a container has fewer, they wait for each other.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    return max(1, min(_physical(root, allowed), int(_share(root, len(allowed)))))


def _physical(root: Path, allowed: set[int]) -> int:
    """Two logical cores of one physical core count once, where the system tells which they are."""
    cores = set()
    for cpu in allowed:
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        names = [_read(topology / name) or f"{name} of {cpu}" for name in ("physical_package_id", "core_id")]
        cores.add(tuple(names))
    return len(cores)


def _share(root: Path, otherwise: float) -> float:
    """How many cores' time the control group of this process, or one around it, may use (cgroup v2, then v1)."""
    least = float(otherwise)
    own = (_read(root / "proc/self/cgroup") or "").rpartition("::")[2].splitlines()[:1]
    place = root / "sys/fs/cgroup" / (own[0].strip("/") if own else "")
    for group in (place, *place.parents):
        quota, _, period = (_read(group / "cpu.max") or "max").partition(" ")
        if quota != "max":
            least = min(least, int(quota) / int(period))
        if group == root / "sys/fs/cgroup":
            break
    quota, period = (_read(root / f"sys/fs/cgroup/cpu/cpu.cfs_{name}_us") or "0" for name in ("quota", "period"))
    return min(least, int(quota) / int(period)) if int(quota) > 0 and int(period) > 0 else least


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return None
