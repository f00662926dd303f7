"""The speed comparison times what it says and refuses to compare with a peer that is not there."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest
import torch

from fm_audio.evaluation import speed


def test_the_median_leaves_out_the_warm_up_and_the_slowest_round() -> None:
    naps = iter([0.2, 0.01, 0.15, 0.01])
    assert speed.median_seconds(lambda: time.sleep(next(naps)), 3) < 0.1


def test_the_peer_takes_its_published_number_of_steps_over_as_much_sound() -> None:
    seen = []

    def decoder(x: torch.Tensor, mask: torch.Tensor, mean: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(x.shape), float(t)))
        return torch.ones_like(x)

    speed.peer_flow(decoder, 2.0)
    assert [round(t, 6) for _, t in seen] == [i / 10 for i in range(10)]
    assert all(shape == (1, 80, 172) for shape, _ in seen), "2 s at 22,050 Hz, hop 256, whole fours"


def test_it_reports_our_factor_as_json(tiny_voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--no-peer", "--sentences", "1", "--rounds", "1", "--threads", "1", "--voice", str(tiny_voice)]
    assert speed.main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["say_real_time_factor"] > 0 and report["speech_seconds"] > 0 and "peer" not in report
    assert report["clock"] == "wall"


def test_the_processor_counts_no_waiting() -> None:
    assert speed.median_seconds(lambda: time.sleep(0.1), 1, time.process_time) < 0.05


@pytest.mark.skipif(importlib.util.find_spec("matcha") is not None, reason="the peer is installed")
def test_a_missing_peer_is_named(tiny_voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert speed.main(["--threads", "1", "--voice", str(tiny_voice)]) == 2
    assert "pip install --no-deps matcha-tts" in capsys.readouterr().err
