"""`fm-audio text`: a line for each line, a report, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fm_audio.checkpoint import instantiate, save_model
from fm_audio.cli import main
from fm_audio.data.text.arpabet import PHONES

LETTERS = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abc", "longest": 6}}


def saved(path: Path, task: str, **arguments: Any) -> str:
    torch.manual_seed(0)
    node = {
        "class_path": f"fm_audio.tasks.{task}",
        "init_args": arguments | {"text_width": 16, "text_layers": 1, "text_heads": 2},
    }
    return str(save_model(path, node, instantiate(node).state_dict()))


def flow(path: Path, source: bool) -> str:
    net = {"width": 16, "layers": 1, "heads": 2, "tokens_width": 16 if source else 0, "position_kernel": 0}
    backbone = {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net}
    letters = LETTERS if source else None
    return saved(path, "text_to_text.TextToText", source=letters, target=LETTERS, backbone=backbone, channels=8)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("writers")
    turns = saved(
        root / "t", "autoregressive_text.AutoregressiveText", source=LETTERS, target=LETTERS, width=16, layers=1, heads=2
    )
    return {"answers": flow(root / "a", True), "free": flow(root / "f", False), "in turn": turns}


def test_a_line_for_each_line(models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.txt").write_text("abc\n\ncab\n", encoding="utf-8")
    assert main(["text", "--file", str(tmp_path / "words.txt"), "--model", models["answers"]]) == 0
    both = capsys.readouterr().out.split("\n")
    assert main(["text", "cab", "--model", models["answers"]]) == 0
    assert len(both) == 3 and capsys.readouterr().out.split("\n")[0] == both[1]


def test_the_model_that_ships_says_how_words_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["text", "flibbertigibbet", "--model", "g2p"]) == 0
    said = capsys.readouterr().out.split()
    assert set(said) <= set(PHONES) and said[:2] == ["F", "L"] and 9 <= len(said) <= 14
    assert main(["text", "", "--model", "g2p"]) == 2 and "it is empty" in capsys.readouterr().err
    assert main(["text", "x" * 10_000, "--model", "g2p"]) == 2 and "at most 24 are allowed" in capsys.readouterr().err
    assert main(["text", "naïve", "--model", "g2p"]) == 2 and "none of the characters" in capsys.readouterr().err


def test_a_report(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    wishes = ["--steps", "2", "--temperature", "1", "--samples", "3", "--candidates", "2", "--guidance", "1.5", "--json"]
    assert main(["text", "abc", "--model", models["answers"], *wishes]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["input"] == "abc" and found["forwards"] == 2 * 3 * 2 * 2 and len(found["samples"]) == 3
    assert found["text"] in found["samples"] and found["log_probability"] < 0


def test_free_texts_are_of_their_seeds(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for seed, count in (("3", "4"), ("5", "1")):
        assert main(["text", "--model", models["free"], "--count", count, "--seed", seed, "--json"]) == 0
    first, second = capsys.readouterr().out.split("]\n[")
    assert json.loads(first + "]")[2]["text"] == json.loads("[" + second)[0]["text"]


def test_one_token_after_the_other(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["text", "abc", "--model", models["in turn"]]) == 0
    assert main(["text", "abc", "--model", models["in turn"], "--steps", "4"]) == 2
    assert "knows no --steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "--model", "answers"], "empty"),
        (["xyz", "--model", "answers"], "'x' is none of the characters"),
        (["a" * 10_000, "--model", "answers"], "at most 6"),
        (["abc", "--model", "free"], "writes freely"),
        (["--model", "free", "--count", "0"], "--count"),
        (["abc", "--model", "answers", "--count", "3"], "leave out the text, or --count"),
        (["abc", "--model", "answers", "--samples", "2"], "raise the temperature"),
        (["abc", "--model", "nowhere"], "no model there"),
        (["--file", "nowhere.txt", "--model", "answers"], "cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["text", *(models.get(a, a) for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and not out


def test_a_voice_writes_no_text(tiny_voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["text", "abc", "--model", str(tiny_voice)]) == 2
    assert "which writes no text" in capsys.readouterr().err
