"""Threads: as many as the process may use, unless somebody says otherwise, and afterwards as before."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
import torch

from fm_audio.commands.running import add_running, add_threads, add_training_precision, threads, usual_threads
from fm_audio.types import FmAudioError


def system(root: Path, cores: list[tuple[int, int]], files: dict[str, str] | None = None) -> Path:
    """A system whose logical core i is of `cores[i]`: package and physical core."""
    for i, (package, core) in enumerate(cores):
        topology = root / f"sys/devices/system/cpu/cpu{i}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "core_id").write_text(f"{core}\n")
    for name, text in (files or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


EIGHT = [(0, 0), (0, 1), (1, 0), (1, 1)] * 2  # eight logical cores, two of each physical one


@pytest.mark.parametrize(
    ("allowed", "files", "wanted"),
    [
        (range(8), {}, 4),
        ([0, 4], {}, 1),
        ([0, 1, 2], {}, 3),
        (range(8), {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 4),
        (range(8), {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
        (range(8), {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        (range(8), {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
        (
            range(8),
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        (range(8), {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 4),
    ],
    ids=["physical", "one core twice", "some", "no quota", "2.5 cores", "half a core", "a group around", "v1", "v1, no quota"],
)
def test_physical_cores_within_the_share(
    allowed: list[int], files: dict[str, str], wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(allowed), raising=False)
    assert usual_threads(system(tmp_path, EIGHT, files)) == wanted


def test_where_the_system_tells_nothing_every_core_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert usual_threads(tmp_path) == 3


def test_who_asks_wins_then_the_environment_then_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr("fm_audio.commands.running.usual_threads", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with threads(None):
        assert torch.get_num_threads() == 3
    with threads(2):
        assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # torch has read it when it was loaded
    with threads(None):
        assert torch.get_num_threads() == before
    with threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    with pytest.raises(FmAudioError, match="--threads: given 0"), threads(0):
        pass


def test_options_have_their_defaults() -> None:
    command = argparse.ArgumentParser()
    add_running(command)
    add_threads(command)
    assert vars(command.parse_args([])) == {"precision": "fp32", "compile": False, "threads": None}


def test_trainings_choose_their_precision_unless_told(capsys: pytest.CaptureFixture[str]) -> None:
    command = argparse.ArgumentParser()
    add_training_precision(command)
    assert command.parse_args([]).precision == "auto"
    assert command.parse_args(["--precision", "bf16-mixed"]).precision == "bf16-mixed"
    with pytest.raises(SystemExit):
        command.parse_args(["--precision", "fp8"])
    assert "auto" in capsys.readouterr().err
