"""Projection is exact on clean points, chance on noise, and the command measures a model's own table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fm_audio.checkpoint import instantiate, save_model
from fm_audio.evaluation.projection import TIMES, accuracy, main
from fm_audio.tokens import METRICS, TokenTable, decided_at

LETTERS = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abcdefgh", "longest": 6}}
NET = {"width": 16, "layers": 1, "heads": 2, "position_kernel": 0}


def test_what_was_clean_comes_back_and_noise_is_chance() -> None:
    torch.manual_seed(0)
    rows = TokenTable(40, 32).rows
    for metric in METRICS:
        shares = [accuracy(rows, metric, t, 4000) for t in (0.0, decided_at(40, 32), 1.0)]
        assert shares[0] == pytest.approx(1 / 40, abs=0.01) and shares[2] == 1.0 and 0.3 < shares[1] < 0.95
    assert accuracy(rows, "cosine", 0.3, 4000) == accuracy(rows, "l2", 0.3, 4000) == accuracy(rows, "bayes", 0.3, 4000)
    uneven = rows * torch.linspace(0.5, 2.0, 40)[:, None]
    assert accuracy(uneven, "bayes", 0.3, 4000) > accuracy(uneven, "l2", 0.3, 4000)


def saved(folder: Path, task: str) -> str:
    backbone = {"class_path": "fm_audio.backbones.dit.DiT", "init_args": NET | {"tokens_width": 16}}
    arguments = {"source": LETTERS, "target": LETTERS, "text_width": 16, "text_heads": 2}
    arguments |= {"backbone": backbone} if task == "text_to_text.TextToText" else {"width": 16, "heads": 2}
    node = {"class_path": f"fm_audio.tasks.{task}", "init_args": arguments}
    return str(save_model(folder, node, instantiate(node).state_dict()))


def test_the_command_draws_and_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    model, picture = saved(tmp_path / "m", "text_to_text.TextToText"), tmp_path / "p.png"
    assert main([model, str(picture), "--points", "200", "--json", str(tmp_path / "p.json")]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG" and len(capsys.readouterr().out.splitlines()) == 6
    found = json.loads((tmp_path / "p.json").read_text())
    for by_metric in found["accuracy"].values():
        assert all(len(shares) == len(TIMES) and shares[-1] == 1.0 for shares in by_metric.values())
    in_turn = saved(tmp_path / "t", "autoregressive_text.AutoregressiveText")
    for bad, message in ((in_turn, "has no table of tokens"), ("nowhere", "no model there")):
        assert main([bad, str(picture)]) == 2 and message in capsys.readouterr().err
    assert main([model, str(tmp_path / "none/p.png")]) == 2 and "make it first" in capsys.readouterr().err
