"""Text metrics are what can be counted by hand, and the command measures every row that it promises."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from fm_audio.checkpoint import instantiate, save_model
from fm_audio.data.text.pairs import Pair, write_pairs
from fm_audio.evaluation.text import main
from fm_audio.evaluation.text_metrics import bleu, distinct, diversity, entropy, quality, self_bleu
from fm_audio.types import FmAudioError

LETTERS = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abc ", "longest": 6}}


def test_the_nearest_right_answer_counts() -> None:
    found = quality(["a b c", "a x", ""], [["a b c"], ["q q q q q", "a b"], ["a b", "a b c d"]])
    assert found.token_error.value == pytest.approx((0 + 1 + 2) / (3 + 2 + 2))
    assert found.item_error.value == pytest.approx(2 / 3)
    assert found.token_error.low <= found.token_error.value <= found.token_error.high
    perfect = quality(["a", "b"], [["a"], ["x", "b"]])
    assert (perfect.token_error.value, perfect.item_error.value, perfect.item_error.high) == (0, 0, 0)


def test_of_equally_near_answers_the_longest_counts() -> None:
    assert quality(["a b"], [["b", "b b", "a"]]).token_error.value == 1 / 2
    with pytest.raises(FmAudioError, match="a right answer or more"):
        quality(["a"], [[]])
    with pytest.raises(FmAudioError, match="2 answers for 1"):
        quality(["a", "b"], [["a"]])


def test_diversity_of_texts_that_can_be_counted() -> None:
    texts = ["a b a b".split(), "c d".split()]
    assert distinct(texts, 1) == 4 / 6 and distinct(texts, 2) == 3 / 4 and distinct([["a"]], 2) == 0.0
    assert entropy([["a", "b"], ["c", "d"]]) == pytest.approx(2.0) and entropy([["a"] * 9]) == 0.0
    assert self_bleu([["a", "b", "c", "d"]] * 5) == pytest.approx(1.0)
    assert self_bleu([["a"], ["b"], ["c"]]) == 0.0 == self_bleu([["a"]])
    found = diversity(["a b", "a b"])
    assert (found.distinct_1, found.distinct_2, found.entropy, found.self_bleu) == (0.5, 0.5, 1.0, 1.0)
    assert (diversity(["", " "]).distinct_1, diversity([""]).self_bleu) == (0.0, 1.0)


def test_bleu_is_papinenis_with_its_clipping_and_brevity() -> None:
    assert bleu("the the the the".split(), [["the", "cat", "the", "mat"]], 1) == pytest.approx(2 / 4)
    assert bleu(["a"], [["a", "b", "c"]]) == pytest.approx(math.exp(1 - 3))
    assert bleu("a b c d e".split(), ["a b c d e".split(), ["x"]]) == pytest.approx(1.0)
    assert bleu([], [["a"]]) == 0.0
    # 3 of 4 unigrams, 2 + 1 of 3 + 1 bigrams
    assert bleu("a b c x".split(), ["a b c d".split()], 2) == pytest.approx(math.sqrt(3 / 4 * 3 / 4))


def folder(path: Path, task: str, **arguments: Any) -> Path:
    torch.manual_seed(0)
    node = {"class_path": f"fm_audio.tasks.{task}", "init_args": arguments}
    model = instantiate(node)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return save_model(path, node, model.state_dict())


def small(source: bool) -> dict[str, Any]:
    net = {"width": 16, "layers": 1, "heads": 2, "tokens_width": 16 if source else 0, "position_kernel": 0}
    return {
        "source": LETTERS if source else None, "target": LETTERS, "channels": 8, "text_width": 16, "text_layers": 1,
        "text_heads": 2, "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net},
    }  # fmt: skip


def report(tmp_path: Path, model: Path, pairs: list[Pair], *more: str) -> dict[str, Any]:
    write_pairs(tmp_path / "test.tsv", pairs)
    asked = [str(model), str(tmp_path / "test.tsv"), "--json", str(tmp_path / "out.json"), "--alone", "1", *more]
    assert main(asked) == 0
    return json.loads((tmp_path / "out.json").read_text())


PAIRS = [Pair("abc", "a b", ("a c",)), Pair("cab", "c"), Pair("b", "b a")]


def test_every_row_is_measured_the_one_step_row_always(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = folder(tmp_path / "model", "text_to_text.TextToText", **small(True))
    found = report(
        tmp_path, model, PAIRS, "--steps", "3", "--temperature", "0", "0.5", "--mbr", "2", "--mbr-steps", "2", "--no-stop"
    )
    rows = {row["label"]: row for row in found["rows"]}
    assert list(rows) == [
        "1 step, temperature 0",
        "3 steps, temperature 0",
        "1 step, temperature 0.5",
        "3 steps, temperature 0.5",
        "2 steps, temperature 0.5, MBR of 2",
    ]
    assert [row["forwards"] for row in rows.values()] == [1, 3, 1, 3, 4]
    for row in rows.values():
        assert len(row["answers"]) == 3 and row["quality"]["item_error"]["value"] <= 1 and row["alone_ms"] > 0
    out = capsys.readouterr().out
    assert "1 step, temperature 0" in out and "the right answers" in out and found["items"] == 3 and found["parameters"] > 0


def test_free_writing_has_diversity_and_no_errors(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", "text_to_text.TextToText", **small(False))
    found = report(
        tmp_path, model, [Pair(None, "a b"), Pair(None, "b c a")], "--steps", "2", "--temperature", "1", "--limit", "2"
    )
    assert [row["quality"] for row in found["rows"]] == [None, None]
    assert found["rows"][0]["settings"]["length"] == "drawn" and found["right"]["distinct_1"] == 3 / 5


IN_TURN = {"width": 16, "layers": 1, "heads": 2, "text_width": 16, "text_layers": 1, "text_heads": 2}


def test_an_autoregressive_model_has_a_row_for_each_temperature(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", "autoregressive_text.AutoregressiveText", source=LETTERS, target=LETTERS, **IN_TURN)
    rows = report(tmp_path, model, PAIRS, "--mbr", "3")["rows"]
    assert [row["label"] for row in rows] == ["greedy", "temperature 1", "temperature 1, MBR of 3"]
    assert rows[2]["forwards"] > rows[1]["forwards"]


def test_answers_are_as_likely_as_another_model_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = folder(tmp_path / "model", "text_to_text.TextToText", **small(False))
    judge = folder(tmp_path / "judge", "autoregressive_text.AutoregressiveText", source=None, target=LETTERS, **IN_TURN)
    pairs = [Pair(None, "a b"), Pair(None, "b c a")]
    found = report(tmp_path, model, pairs, "--steps", "2", "--temperature", "1", "--likelihood", str(judge))
    for nats in (*(row["nats"] for row in found["rows"]), found["right_nats"]):
        assert 0 < nats["low"] <= nats["value"] <= nats["high"]
    write_pairs(tmp_path / "test.tsv", pairs)
    assert main([str(model), str(tmp_path / "test.tsv"), "--likelihood", str(model)]) == 2
    assert "has no exact probability" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "--limit: given 0"),
        (["--threads", "0"], "--threads"),
        (["--json", "nowhere/x.json"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_measured_is_said_before(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none"), str(tmp_path / "none.tsv"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_mistakes_are_one_line(tmp_path: Path, tiny_voice: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pairs(tmp_path / "test.tsv", PAIRS)
    for model, pairs, message in (
        (tiny_voice, tmp_path / "test.tsv", "holds a AlignedTTS, which writes no text"),
        (tmp_path / "none", tmp_path / "test.tsv", "no model there"),
        (tiny_voice, tmp_path / "none.tsv", "cannot be read"),
    ):
        assert main([str(model), str(pairs)]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
