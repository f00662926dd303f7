"""Curves of runs: parts are joined without the time between, steps that were done again count once, a picture is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from fm_audio.training.curves import curve_of, main, smoothed
from fm_audio.types import FmAudioError


def part(run: Path, steps: list[int], start_seconds: float, name: str) -> None:
    with SummaryWriter(str(run), filename_suffix=name) as writer:
        for k, step in enumerate(steps):
            writer.add_scalar("train/loss", 10.0 - step, step, walltime=start_seconds + 60 * k)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Stopped after step 4 of which the checkpoint knows 2, and gone on with an hour later."""
    part(tmp_path / "run", [0, 1, 2, 3, 4], 1_000_000.0, ".a")
    part(tmp_path / "run", [3, 4, 5], 1_003_600.0, ".b")
    return tmp_path / "run"


def test_parts_are_one_curve(run: Path) -> None:
    curve = curve_of(run, "train/loss")
    assert curve.steps == [0, 1, 2, 3, 4, 5] and curve.values == [10, 9, 8, 7, 6, 5]
    assert curve.minutes == pytest.approx([0, 1, 2, 2, 3, 4])


def test_a_picture_and_a_line_for_each(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "curves.png"
    assert main([str(run), "-o", str(out), "--scalar", "train/loss", "--log"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG") and out.stat().st_size > 5_000
    assert capsys.readouterr().out == "run, train/loss: 5 after 6 steps and 4.0 minutes\n"


def test_what_is_not_there_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FmAudioError, match="has no scalar 'validation/loss'; it has train/loss"):
        curve_of(run, "validation/loss")
    with pytest.raises(FmAudioError, match="holds no TensorBoard file"):
        curve_of(tmp_path, "train/loss")
    assert main([str(run), "-o", str(tmp_path / "none/curves.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_run_is_drawn_where_it_has_a_scalar(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with SummaryWriter(str(tmp_path / "other")) as writer:
        writer.add_scalar("train/error", 0.5, 0)
    both = [str(run), str(tmp_path / "other"), "-o", str(tmp_path / "c.png"), "--scalar"]
    assert main([*both, "train/loss", "train/error"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["run, train/loss", "other, train/error"]
    assert main([*both, "train/loss"]) == 2  # nothing of one run would be seen
    assert "other: has no scalar 'train/loss'" in capsys.readouterr().err
    assert main([*both, "train/loss", "train/error", "test/loss"]) == 2
    assert "run: has no scalar 'test/loss'" in capsys.readouterr().err


def test_smoothing_looks_back_only() -> None:
    assert smoothed([4.0, 2.0, 0.0, 0.0], 2) == [4.0, 3.0, 1.0, 0.0]
