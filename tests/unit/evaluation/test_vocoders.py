"""Vocoders are compared on the same clips: rounds bring copies nearer, each gets its row, and wrong ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fm_audio.audio import Audio
from fm_audio.checkpoint import instantiate, save_model
from fm_audio.evaluation import vocoders
from tests.unit.evaluation.test_sounds import RATE, corpus

SPEC = {"mean": -1.7, "std": 2.6}
PLAIN = json.dumps({"class_path": "fm_audio.decoders.griffin_lim.GriffinLim", "init_args": {"rounds": 0, "iterations": 4}})
NEARER = json.dumps({"class_path": "fm_audio.decoders.griffin_lim.GriffinLim", "init_args": {"iterations": 4}})


def test_every_vocoder_has_its_row_beside_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = {"class_path": "fm_audio.decoders.vocos.Vocos", "init_args": {"spec": SPEC, "width": 8, "layers": 1, "hidden": 8}}
    trained = save_model(tmp_path / "vocos", node, instantiate(node).state_dict(), {"kind": "vocoder"})
    judge, held, report = corpus(tmp_path / "judge", 3, 1), corpus(tmp_path / "held", 1, 2), tmp_path / "out.json"
    more = ["--limit", "4", "--judge-cuts", judge, "--json", str(report), "--picture", str(tmp_path / "a.png")]
    assert vocoders.main([PLAIN, NEARER, "harmonic.HarmonicPlusNoise", str(trained), "--held-out", held, *more]) == 0
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads(report.read_text())
    plain, nearer, _, untrained = told["vocoders"]
    assert told["clips"] == 4 and [row["name"] for row in told["vocoders"]][1:3] == [NEARER, "harmonic.HarmonicPlusNoise"]
    assert plain["above"]["mel"] == {"value": 0, "low": 0, "high": 0, "confidence": 0.95}
    for distance in vocoders.DISTANCES:
        difference = nearer["distances"][distance] - plain["distances"][distance]
        assert nearer["above"][distance]["value"] == pytest.approx(difference)
    assert nearer["above"]["mel"]["high"] < 0, "rounds bring each of the clips nearer"
    assert untrained["distances"]["mel"] > 3 * plain["distances"]["mel"]
    assert untrained["frechet"] > plain["frechet"] and untrained["kind_right"]["value"] <= plain["kind_right"]["value"]
    shown = capsys.readouterr().out
    assert shown.startswith("4 clips\n") and shown.count("real-time factor") == 4 and shown.count("kind right") == 4


def test_a_copy_is_no_copy_of_another(tmp_path: Path) -> None:
    decoder = vocoders.vocoder_of("harmonic.HarmonicPlusNoise")
    draw = np.random.default_rng(0)
    hiss = Audio((0.05 * draw.standard_normal(RATE)).astype(np.float32), RATE)
    tone = Audio((0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32), RATE)
    distance = vocoders.Distances(decoder.spec)
    own, other = distance(tone, vocoders.copy_of(decoder, tone)[0]), distance(tone, vocoders.copy_of(decoder, hiss)[0])
    assert all(o > 3 * s for s, o in zip(own, other, strict=True))
    assert distance(tone, tone) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("griffin_lim.GriffinLin", "GriffinLim"),
        ("{not json", "is no JSON"),
        ("nearest.NearestToken", "NearestToken takes no 'spec'"),
        ("no/such/folder", "no/such/folder"),
    ],
)
def test_what_is_no_vocoder_is_refused(given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vocoders.main([given, "--held-out", str(tmp_path / "none.gz")]) == 2
    assert said in capsys.readouterr().err


def test_clips_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vocoders.main([PLAIN, "--held-out", str(tmp_path / "none.gz")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert vocoders.main([PLAIN, "--held-out", corpus(tmp_path / "held", 1, 2), "--limit", "0"]) == 2
    assert "at least one" in capsys.readouterr().err
    one = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": {"sample_rate": 16_000}}}
    assert vocoders.main([PLAIN, json.dumps(one), "--held-out", str(tmp_path / "held/cuts.jsonl.gz")]) == 2
    assert "of one rate" in capsys.readouterr().err


@pytest.mark.slow
def test_listeners_scores_stand_beside_the_distances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("speechmos", reason="DNSMOS is not installed")
    held, report = corpus(tmp_path / "held", 1, 2), tmp_path / "out.json"
    assert vocoders.main([PLAIN, "--held-out", held, "--limit", "2", "--dnsmos", "--json", str(report)]) == 0
    [row] = json.loads(report.read_text())["vocoders"]
    assert 1 <= row["dnsmos"] <= 5 and row["kind_right"] is None
    assert f"DNSMOS {row['dnsmos']:.2f}" in capsys.readouterr().out
