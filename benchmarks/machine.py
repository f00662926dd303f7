"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Machine:
    """`load` is what else ran before: the load average of the last minute, in busy cores; None where nobody tells."""

    processor: str
    cores: int
    accelerator: str | None
    torch: str
    python: str
    commit: str
    load: float | None

    def __str__(self) -> str:
        where = f"{self.processor}, {self.cores} cores" + (f", {self.accelerator}" if self.accelerator else "")
        load = "unknown" if self.load is None else f"{self.load:.1f}"
        return f"{where}, torch {self.torch}, Python {self.python}, commit {self.commit}, load before the run {load}"


def this_machine(device: str = "cpu") -> Machine:
    accelerator = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    return Machine(_processor(), os.cpu_count() or 1, accelerator, torch.__version__, platform.python_version(), _commit(), load)


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit of this checkout, with a plus where files of it were changed."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
