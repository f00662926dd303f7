"""The frontier: errors fall with forwards, forwards are those that were made, presets are written and then used."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fm_audio.cli import main
from fm_audio.data.text.pairs import write_pairs
from fm_audio.evaluation.frontier import LEARNED, Frontier, Point, guided, pareto, presets
from fm_audio.flow.guidance import GuidedField
from fm_audio.flow.path import LinearPath
from fm_audio.flow.resting import RestingField
from fm_audio.flow.sampling import Sampling
from fm_audio.types import Cond, FmAudioError
from fm_audio.voices import load
from fm_audio.voices.presets import FILE, NAMES, sampling_of
from fm_audio.voices.sounds import load_sounds
from tests.maths.toys import MixtureField
from tests.unit.evaluation.test_text import PAIRS, small
from tests.unit.evaluation.test_text import folder as text_model
from tests.unit.test_sounds import folder as sounds  # noqa: F401 - a small model with random weights

OWN = Sampling(guidance=2.0)


def toy(item: int, seed: int, sampling: Sampling) -> torch.Tensor:
    """A field that bends, guided away from one that is mirrored."""
    one = torch.ones(1, 5, dtype=torch.bool)
    cond = Cond(vector=torch.ones(1, 1))

    def predict(x: torch.Tensor, t: torch.Tensor, mask: torch.Tensor, c: Cond) -> torch.Tensor:
        assert c.vector is not None
        return MixtureField()(x, t) * (0.5 + 0.5 * c.vector[:, :, None])

    field = GuidedField(predict, one, cond, sampling, LinearPath())
    x0 = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(seed))
    resting = RestingField(field, LinearPath(), sampling.rest) if sampling.rest else field
    return sampling.make_solver(LinearPath())(resting, x0, sampling.times())[0]


def test_errors_fall_and_forwards_are_counted() -> None:
    frontier = Frontier(toy, 3, OWN)
    points = frontier.sweep(["euler", "heun", "dpm++2m"], ["uniform", LEARNED], [1, 4, 16], ["own", "off"], 64)
    own = {(p.solver, p.grid, p.steps): p for p in points if p.guidance == "own"}
    assert own["euler", "uniform", 4].forwards == 8 and own["heun", "uniform", 4].forwards == 16
    assert all(p.forwards == p.steps * (2 if p.solver == "heun" else 1) for p in points if p.guidance == "off")
    assert own["euler", "uniform", 16].error < own["euler", "uniform", 4].error < own["euler", "uniform", 1].error
    assert own["euler", LEARNED, 4].error < own["euler", "uniform", 4].error
    assert own["heun", "uniform", 16].error < own["euler", "uniform", 16].error
    assert ("euler", LEARNED, 1) not in own, "all grids of one step are the same"
    off = next(p for p in points if p.guidance == "off" and p.steps == 16)
    assert off.error > own["euler", "uniform", 16].error, "errors are held against the guided answer"
    with pytest.raises(FmAudioError, match="no items were given"):
        Frontier(toy, 0, OWN)
    with pytest.raises(FmAudioError, match="another seed gives the same answers"):
        Frontier(lambda item, seed, sampling: torch.zeros(2, 2), 1, OWN)


def test_an_adaptive_solver_is_counted_too() -> None:
    point = Frontier(toy, 2, OWN).point("dopri5", "uniform", 1, "own")
    assert point.forwards >= 12 and point.error < 0.05


def test_what_items_decide_for_themselves_is_measured_by_what_each_was_asked() -> None:
    frontier = Frontier(toy, 3, replace(OWN, guidance=3.0))
    adaptive = {"tolerance": [0.1, 0.001], "rest": [0.3], "guidance_alike": [0.9], "cache": []}
    points = frontier.sweep(["euler", "bosh3"], ["uniform", "sway"], [2, 16], ["own", "off"], 64, adaptive)
    own = {(p.solver, p.steps, *p.adaptive.items()): p for p in points if p.guidance == "own" and p.grid == "uniform"}
    plain, rest, alike = (own["euler", 16, *a] for a in ([], [("rest", 0.3)], [("guidance_alike", 0.9)]))
    assert plain.forwards == 32 and rest.forwards < 32 and 16 <= alike.forwards < 32
    assert rest.error < 1 and rest.way == "euler rest 0.3"
    loose, tight = (own["bosh3", 2, ("tolerance", t)] for t in (0.1, 0.001))
    assert loose.forwards < tight.forwards and loose.error > tight.error
    euler = [p for p in points if p.solver == "euler"]
    assert not any(p.adaptive for p in euler if p.guidance == "off" or p.grid == "sway" or p.steps == 2)
    assert all("tolerance" in p.adaptive for p in points if p.solver == "bosh3")
    assert tight.sampling(OWN).tolerance == 0.001


def test_the_front_has_nothing_that_is_beaten_and_presets_keep_to_their_forwards() -> None:
    def of(forwards: float, error: float) -> Point:
        return Point("euler", "uniform", int(forwards), "own", forwards, 0.1, 1.0, error)

    points = [of(4, 0.5), of(2, 0.9), of(8, 0.6), of(8, 0.2), of(32, 0.01), of(64, 0.0)]
    assert [(p.forwards, p.error) for p in pareto(points)] == [(2, 0.9), (4, 0.5), (8, 0.2), (32, 0.01), (64, 0.0)]
    chosen = presets(points)
    assert {k: p.forwards for k, p in chosen.items()} == {"fast": 4, "balanced": 8, "best": 32}
    assert presets([of(64, 0.0), of(6, 0.3)])["fast"].forwards == 6, "where four are too few, the cheapest"


def test_guidance_modes_are_what_they_say() -> None:
    own = replace(OWN, guidance_rescale=0.5)
    assert guided(own, "own") == own and guided(own, "off").guidance == 1.0
    assert guided(own, "interval").guidance_interval == (0.0, 0.5) and guided(own, "constant").guidance_rescale == 0.0
    assert guided(own, "rescaled").guidance_rescale == 0.7


@pytest.mark.slow
def test_presets_of_a_voice_are_measured_written_and_used(
    tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "voice"
    shutil.copytree(tiny_voice, folder)
    shutil.copytree(tiny_voice.parent / "tiny_vocoder", tmp_path / "tiny_vocoder")
    (tmp_path / "lines.txt").write_text("Hello there.\nGood morning.\n")
    asked = ["frontier", str(folder), "--data", str(tmp_path / "lines.txt"), "--solver", "euler", "--solver", "ab2"]
    assert main([*asked, "--grid", "uniform", "--grid", "learned", "--steps", "1", "2", "8", "--threads", "1"]) == 0
    shown, said = capsys.readouterr()
    assert "fast" in shown and "balanced" in shown
    assert "--cache is left out" in said and "no middle blocks" in said, "the tiny voice has too few blocks"
    assert main([*asked, "--cache", "0.1"]) == 2 and "no middle blocks" in capsys.readouterr().err
    assert (folder / "frontier.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads((folder / FILE).read_text())
    voice, fast = load(folder), load(folder, preset="fast")
    assert voice.sampling.steps == told["presets"]["balanced"]["sampling"]["steps"]
    assert fast.sampling.steps == told["presets"]["fast"]["sampling"]["steps"] <= 4
    assert voice.sampling.temperature == load(tiny_voice).sampling.temperature, "what is no preset's business stays"
    told["measured"]["chosen_by"] = "ears"
    (folder / FILE).write_text(json.dumps(told))
    few = ["frontier", str(folder), "--data", str(tmp_path / "lines.txt"), "--solver", "euler", "--steps", "1", "4"]
    assert main([*few, "--grid", "sway", "--rest", "0.1", "--guidance", "own"]) == 0
    said = capsys.readouterr().err
    assert "sampling.json stays as it is: its presets were chosen by ears" in said and "not measured: --rest; adaptive" in said
    assert json.loads((folder / FILE).read_text()) == told
    assert len(voice.say("Hello.", steps=3).samples) > 0, "other steps may be asked for, whatever grid the preset has"
    assert main(["say", "Hello.", "-o", str(tmp_path / "a.wav"), "--voice", str(folder), "--preset", "best"]) == 0
    assert main(["say", "Hello.", "-o", str(tmp_path / "a.wav"), "--voice", str(folder), "--preset", "quick"]) == 2
    assert "there are fast, balanced, best" in capsys.readouterr().err


@pytest.mark.slow
def test_sounds_have_a_frontier_too(sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    folder = tmp_path / "sounds"
    shutil.copytree(sounds, folder)
    (tmp_path / "captions.txt").write_text("rain\na bell\n")
    asked = ["frontier", str(folder), "--data", str(tmp_path / "captions.txt"), "--seconds", "0.4", "--threads", "1"]
    assert main([*asked, "--solver", "euler", "--steps", "1", "2", "--json", "--out", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {p["guidance"] for p in report["points"]} == {"own", "interval", "off"} and (tmp_path / "frontier.json").is_file()
    assert load_sounds(folder, preset="fast").sampling.steps in (1, 2)
    assert main([*asked, "--steps", "0"]) == 2 and main([*asked, "--out", str(tmp_path / "none")]) == 2
    assert "is no folder; make it first" in capsys.readouterr().err


def test_the_presets_that_ship_are_those_that_judges_chose() -> None:
    assert {name: load("heart", preset=name).sampling.steps for name in NAMES} == {"fast": 2, "balanced": 4, "best": 4}
    assert load("heart").sampling == load("heart", preset="balanced").sampling
    assert all(load("heart", preset=name).sampling.temperature == 0.6 for name in NAMES)


def test_folders_without_presets_say_so(tiny_voice: Path, tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="has no sampling.json; measure one: fm-audio frontier"):
        load(tiny_voice, preset="fast")
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(FmAudioError, match="holds no presets of format 1"):
        sampling_of(tmp_path, {})
    (tmp_path / FILE).write_text('{"format": 1, "presets": {"balanced": {"forwards": 4}}}')
    with pytest.raises(FmAudioError, match="its preset 'balanced' names no sampling"):
        sampling_of(tmp_path, {})
    with pytest.raises(FmAudioError, match="its sampling has stepz"):
        sampling_of(tmp_path / "none", {"sampling": {"stepz": 3}})


def test_text_is_measured_in_edits_and_its_presets_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = text_model(tmp_path / "model", "text_to_text.TextToText", **small(True))
    write_pairs(tmp_path / "pairs.tsv", PAIRS[:2])
    asked = ["frontier", str(folder), "--data", str(tmp_path / "pairs.tsv"), "--solver", "euler", "--solver", "adaptive_heun"]
    assert main([*asked, "--steps", "1", "4", "--temperature", "1", "--tolerance", "0.1", "--threads", "1"]) == 0
    assert "--cache is left out" in capsys.readouterr().err
    report = json.loads((folder / "frontier.json").read_text())
    points = [p for p in report["points"] if p["solver"] == "euler"]
    assert {p["grid"] for p in points} == {"uniform", "quantile", "sway", "shifted", "cosine", LEARNED}
    assert {p["forwards"] for p in points} == {1, 4} and not any(p["adaptive"] for p in points), "tokens have a rest of their own"
    assert report["temperature"] == 1 and report["items"] == 2 and min(p["error"] for p in points) < 1
    told = json.loads((folder / FILE).read_text())
    assert all(preset["sampling"]["temperature"] == 1 for preset in told["presets"].values()), "as it was measured"
    assert main([*asked, "--device", "gpu7"]) == 2 and "device 'gpu7' cannot be used" in capsys.readouterr().err
    told["presets"]["best"]["sampling"] |= {"steps": 7, "solver": "euler", "grid": "uniform"}
    (folder / FILE).write_text(json.dumps(told))
    more = ["--json", "--temperature", "0"]
    assert main(["text", "cab", "--model", str(folder), "--preset", "best", *more]) == 0
    assert 1 < json.loads(capsys.readouterr().out)[0]["forwards"] <= 7
    assert main(["text", "cab", "--model", "g2p", "--preset", "best"]) == 2
    assert "has no sampling.json" in capsys.readouterr().err
    told_again = text_model(tmp_path / "told", "text_to_text.TextToText", **small(True), self_conditioning=0.5)
    asked[1] = str(told_again)
    assert main([*asked, "--no-presets"]) == 2 and "which a self-conditioned head answers otherwise" in capsys.readouterr().err
    few = ["--grid", "uniform", "--steps", "1", "2", "--temperature", "1", "--no-presets", "--most-forwards", "4"]
    assert main(["frontier", str(told_again), "--data", str(tmp_path / "pairs.tsv"), *few]) == 0
    report = json.loads((told_again / "frontier.json").read_text())
    assert {p["solver"] for p in report["points"]} == {"euler", "ab2", "dpm++2m", "midpoint", "heun", "rk4"}
    capsys.readouterr()
    free = text_model(tmp_path / "free", "text_to_text.TextToText", **small(False))
    assert main(["frontier", str(free), "--data", str(tmp_path / "pairs.tsv")]) == 2
    assert "writes freely" in capsys.readouterr().err
    (tmp_path / "one.tsv").write_text("a b\n")
    assert main(["frontier", str(folder), "--data", str(tmp_path / "one.tsv")]) == 2
    assert "no source to be asked" in capsys.readouterr().err
