"""Scenes: lines begin where they should, levels and fades are what they say, mistakes are named before anything is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fm_audio.cli import main
from fm_audio.types import FmAudioError
from fm_audio.voices.scene import read_scene, starts_of
from fm_audio.voices.scene_studio import Studio, at_level, faded, loudness
from tests.unit.test_sounds import folder as folder  # noqa: F401 - a small model with random weights

RATE = 24_000


def tone(path: Path, seconds: float, rate: int = RATE, level: float = 0.3) -> Path:
    t = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, level * np.sin(2 * np.pi * 440 * t), rate, subtype="FLOAT")
    return path


def scene(path: Path, text: str) -> Path:
    (path / "scene.yaml").write_text(text)
    return path / "scene.yaml"


def test_lines_lie_in_a_row_but_for_those_beside(tmp_path: Path) -> None:
    told = read_scene(scene(tmp_path, """
lines:
  - {play: a.wav, name: first}
  - {play: bed.wav, at: 0.25}
  - {pause: 0.5}
  - {play: b.wav}
  - {play: c.wav, with: first}
  - {play: d.wav}
"""))
    assert starts_of(told.lines, [1.0, 9.0, 0.5, 2.0, 4.0, 1.0]) == [0.0, 0.25, 1.0, 1.5, 0.0, 3.5]


def test_levels_and_fades_are_what_they_say() -> None:
    t = np.arange(3 * RATE) / RATE
    sine = (0.2 * np.sin(2 * np.pi * 997 * t)).astype(np.float32)
    # BS.1770: a full-scale sine of 997 Hz in one channel is -3.01 LUFS
    assert loudness(sine, RATE) == pytest.approx(-3.01 + 20 * np.log10(0.2), abs=0.1)
    assert loudness(at_level(sine, RATE, -30.0, "here"), RATE) == pytest.approx(-30, abs=0.05)
    assert loudness(at_level(sine[: RATE // 10], RATE, -30.0, "here"), RATE) == pytest.approx(-30, abs=0.5), "short clips too"
    with pytest.raises(FmAudioError, match="here: is silent"):
        at_level(np.zeros(RATE, np.float32), RATE, -20.0, "here")
    ones = faded(np.ones(RATE, np.float32), RATE, 0.25, 0.5)
    assert ones[0] == 0 and ones[RATE // 8] == pytest.approx(0.5, abs=1e-3) and ones[RATE // 3] == 1 and ones[-1] == 0


def test_a_scene_is_made_of_every_kind(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    tone(tmp_path / "door.wav", 0.5, 16_000)
    script = scene(tmp_path, f"""
loudness: -20
lines:
  - {{sound: rain, seconds: 1.5, at: 0, lufs: -40, fade: 0.2, model: {folder}, seed: 3}}
  - {{pause: 0.25}}
  - {{say: Hello., voice: heart, lufs: -20, steps: 1}}
  - {{play: door.wav, from: 0.1, seconds: 0.3}}
""")
    assert main(["scene", str(script), "-o", str(tmp_path / "out.wav"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    samples, rate = soundfile.read(tmp_path / "out.wav")
    kinds = [line["kind"] for line in report["lines"]]
    assert kinds == ["sound", "pause", "say", "play"] and rate == RATE
    rain, _, said, door = report["lines"]
    assert (rain["start_seconds"], rain["end_seconds"]) == (0.0, 1.5) and said["start_seconds"] == 0.25
    assert door["start_seconds"] == pytest.approx(said["end_seconds"], abs=1e-3)
    assert door["end_seconds"] - door["start_seconds"] == pytest.approx(0.3, abs=1e-3)
    assert len(samples) / rate == pytest.approx(report["seconds"]) and report["seconds"] >= door["end_seconds"] - 1e-3
    assert loudness(samples, RATE) == pytest.approx(-20, abs=0.3) or np.abs(samples).max() == pytest.approx(0.98, abs=0.01)
    again, _ = Studio().make(read_scene(script))
    assert np.abs(again.samples - samples).max() < 1e-4, "the same script gives the same sound"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lines: []", "has lines: a list of say, sound, play or pause; this has none"),
        ("- a", "this has none"),
        ("lines: [{say: Hello., vioce: heart}]", r"line 1 \(say\): knows no 'vioce'; did you mean voice"),
        ("lines: [{sing: la}]", "a line has exactly one of say, sound, play, pause"),
        ("lines: [{say: A., sound: b}]", "exactly one"),
        ("lines: [{say: ' '}]", r"line 1 \(say\): is empty"),
        ("lines: [{pause: -1}]", "given -1; allowed is 0 to 3600 seconds"),
        ("lines: [{pause: 1, fade: 2}]", "a pause has no fade"),
        ("lines: [{say: A., at: 1, with: b}]", "has at and with"),
        ("lines: [{say: A., with: b}]", "begins with 'b'; earlier lines are named not at all"),
        ("lines: [{say: A., name: x}, {say: B., name: x}]", "the name 'x' is taken by line 1"),
        ("lines: [{sound: a, retrieve: 2}]", "retrieve: from where"),
        ("lines: [{say: A., lufs: loud}]", "lufs is 'loud'; give a number"),
        ("lines: [{say: A., lufs: 3}]", "lufs: given 3; allowed is -70 to 0 LUFS"),
        ("{lines: [{say: A.}], sample_rate: 10}", "sample_rate is 10"),
        ("lines: [", "is no YAML"),
    ],
)
def test_scenes_that_mean_nothing_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match=message):
        read_scene(scene(tmp_path, text))


def test_what_a_line_needs_is_looked_for_first(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    for line, message in (
        ("{play: gone.wav}", "line 1 (play): gone.wav: no such file"),
        ("{say: Hello., voice: nobody}", "line 1 (say): unknown voice 'nobody'"),
        ("{sound: rain, model: nowhere}", "line 1 (sound): nowhere"),
        (f"{{sound: rain, model: {folder}, bank: nothing}}", "line 1 (sound): nothing: is no sound bank"),
        (f"{{sound: rain, model: {folder}, seconds: 10000}}", "line 1 (sound): seconds: given 10000"),
    ):
        assert main(["scene", str(scene(tmp_path, f"lines: [{line}]")), "-o", str(tmp_path / "out.wav")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out.wav").exists()
    tone(tmp_path / "a.wav", 0.5)
    asked = scene(tmp_path, "lines: [{play: a.wav, from: 2}]")
    assert main(["scene", str(asked), "-o", str(tmp_path / "out.wav")]) == 2
    assert "from: given 2; a.wav lasts 0.50 s" in capsys.readouterr().err
