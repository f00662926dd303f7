"""Each benchmark at its tiniest: who takes part stands in the table with figures that can be; their sizes are not looked at."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks import house, speech, training
from benchmarks.machine import Machine, this_machine
from benchmarks.report import table
from benchmarks.rounds import Contender, Measured, measured
from benchmarks.sentences import asked
from fm_audio.types import FmAudioError
from tests.parity.peers import f5_package, matcha_package, vocos_package

slow = pytest.mark.slow
FIGURES = {"threads": 1, "device": "cpu", "tiny": True}


def rows(printed: str) -> list[dict[str, str]]:
    """The Markdown table of what was printed."""
    lines = [line[2:-2].split(" | ") for line in printed.splitlines() if line.startswith("|")]
    head, dashes, *body = lines
    assert set(dashes) == {"---"} and body
    return [dict(zip(head, line, strict=True)) for line in body]


def checked(printed: str, file: Path, name: str) -> list[dict[str, Any]]:
    """The rows of the JSON, which are those of the table, with their machine and command."""
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["benchmark"] == name and told["command"].startswith(f"python -m benchmarks.{name}")
    assert Machine(**told["machine"]).torch
    shown = rows(printed)
    assert len(shown) == len(told["rows"]) and [r["threads"] for r in shown] == [str(r["threads"]) for r in told["rows"]]
    for row in told["rows"]:
        numbers = [v for v in row.values() if isinstance(v, float)]
        assert numbers and all(math.isfinite(v) and v > 0 for v in numbers)
    return told["rows"]


@slow
def test_speech_has_the_voice_and_its_peers(tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in (matcha_package, f5_package, vocos_package):
        with package():
            pass
    out = tmp_path / "speech.json"
    given = ["--voice", str(tiny_voice), "--tiny", "--seconds", "1", "--rounds", "2", "--threads", "1", "--batch", "2"]
    given += ["--peer-steps", "3"]
    assert speech.main([*given, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    found = checked(printed, out, "speech")
    who = [str(tiny_voice), "Matcha-TTS", "F5-TTS v1 Base"]
    assert [(r["batch"], r["who"]) for r in found] == [(2, name) for name in who]
    assert all(r["least"] <= r["real-time factor"] <= r["most"] for r in found)
    assert found[0]["against"] == 1.0
    assert [(r["forwards"], r["steps timed"]) for r in found] == [(4, 2), (10, 10), (64, 3)]
    assert "left out: ZipVoice: it is on no index; give --zipvoice DIR" in printed
    assert "left out" not in printed.replace("left out: ZipVoice", "").split("\nThe voice reads")[0]


@slow
def test_house_has_both_for_both_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with f5_package():
        pass
    out = tmp_path / "house.json"
    given = ["--tiny", "--rounds", "1", "--threads", "1", "--size", "2x40", "--json", str(out)]
    assert house.main(given) == 0
    found = checked(capsys.readouterr().out, out, "house")
    assert [(r["work"], r["who"]) for r in found] == [(w, n) for w in ("forward", "step") for n in ("fm_audio", "f5-tts")]
    assert len({r["parameters"] for r in found}) == 1, "both are the same network"


@slow
def test_training_has_steps_and_a_share_of_the_peak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, recipe = tmp_path / "training.json", "recipes/aligned_tts/smoke.yaml"
    given = ["--recipe", recipe, "--batch-seconds", "4", "--rounds", "2", "--threads", "1", "--tiny", "--json", str(out)]
    assert training.main(given) == 0
    (row,) = checked(capsys.readouterr().out, out, "training")
    assert row["recipe"] == recipe and row["precision"] == "bf16" and 4 <= row["seconds of sound"] < 4 + 10
    assert row["least"] <= row["steps a second"] <= row["most"]
    assert row["share of peak"] == pytest.approx(row["GFLOP/s"] / row["GFLOP/s of products"])
    assert row["GFLOP/s"] == pytest.approx(row["GFLOP a step"] * row["steps a second"], rel=1e-6)


@slow
def test_who_cannot_take_part_is_named_and_who_breaks_down_stops_it(capfd: pytest.CaptureFixture[str]) -> None:
    maker = "benchmarks.contenders.recipe"
    texts = FIGURES | {"recipe": "recipes/text_to_text/smoke.yaml", "batch_seconds": 1}
    lacking = Contender("a task of texts", f"{maker}:step", texts)
    there = Contender("products", f"{maker}:matmul", FIGURES | {"precision": "fp32"})
    found, missing = measured([lacking, there], 3)
    assert [m.name for m in found] == ["products"] and len(found[0].seconds) == 3
    assert list(missing) == ["a task of texts"] and "AlignedTTS alone" in missing["a task of texts"]
    with pytest.raises(FmAudioError, match="broken: its process ended with code 1; what it said stands above"):
        measured([Contender("broken", f"{maker}:nothing", FIGURES)], 1)
    assert "has no attribute 'nothing'" in capfd.readouterr().err


def test_wrong_questions_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--recipe", "nowhere.yaml"]) == 2
    assert training.main(["--rounds", "0"]) == 2
    err = capsys.readouterr().err
    assert "--recipe nowhere.yaml: cannot be read" in err and "--rounds: given 0; give 1 or more" in err


def test_where_the_figures_go_is_known_before_they_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        training.main(["--tiny", "--json", str(tmp_path / "none" / "x.json")])
    assert "is no folder; make it first" in capsys.readouterr().err


def test_a_table_has_every_column_and_shows_its_numbers() -> None:
    assert table([{"a": 1, "b": 0.12345}, {"a": 12345, "c": 2345.6}]) == (
        "| a | b | c |\n| --- | --- | --- |\n| 1 | 0.123 |  |\n| 12,345 |  | 2346 |"
    )


def test_figures_are_medians_of_what_one_unit_took() -> None:
    measured_once = Measured("x", [2.0, 9.0, 4.0], [2.0, 3.0, 2.0], 1.0, {})
    assert measured_once.each() == [1.0, 3.0, 2.0] and measured_once.median == 2.0


def test_lengths_spread_about_the_mean() -> None:
    one, (*many,) = asked(1, 3.0), asked(16, 3.0)
    assert [a.seconds for a in one] == [3.0] and len({a.text for a in many}) == 16
    seconds = [a.seconds for a in many]
    assert sum(seconds) / 16 == pytest.approx(3.0) and (min(seconds), max(seconds)) == pytest.approx((2.25, 3.75))
    assert many[0].frames(100.0) == 225


def test_a_machine_names_itself() -> None:
    told = str(this_machine())
    assert "cores" in told and "torch" in told and "commit" in told
