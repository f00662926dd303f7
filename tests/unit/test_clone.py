"""Cloning from the command line and in Python, with a published layout's weights drawn at random; and the way there and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from fm_audio.audio import Audio, load_audio, resample
from fm_audio.cli import main
from fm_audio.evaluation import reading, recognisers, speaker, verify
from fm_audio.evaluation.guard import Guard, clone
from fm_audio.evaluation.sound import SoundLimits
from fm_audio.evaluation.verify import Verifier
from fm_audio.types import FmAudioError
from fm_audio.voices.cloner import FADE_SECONDS, Cloner, load_cloner

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"


@pytest.fixture(scope="module")
def cloner(model: Path) -> Cloner:
    return load_cloner(model)


@pytest.fixture(scope="module")
def reference() -> Audio:
    return load_audio(RECORDING, 24_000)


def test_the_published_layout_goes_there_and_back(model: Path, tmp_path: Path) -> None:
    assert main(["convert", "f5-v1", str(model), str(tmp_path / "back.safetensors")]) == 0
    before, after = load_file(model.parent / "model.safetensors"), load_file(tmp_path / "back.safetensors")
    kept = {k: v for k, v in before.items() if "mel_spec" not in k and k != "step"}
    assert kept.keys() == after.keys() - {"step"} and all(torch.equal(after[k], v) for k, v in kept.items())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["f5-v1", "model.safetensors", "new"], "--vocabulary"),
        (["f5-v1", "model.safetensors", "f5", "--vocabulary", "vocab.txt"], "holds a model already"),
        (["f5-v1", "nowhere.safetensors", "new", "--vocabulary", "vocab.txt"], "no such file"),
        (["f5-v1", "vocab.txt", "new", "--vocabulary", "vocab.txt"], "more than tensors"),
        (["f5-v1", "cut.safetensors", "new", "--vocabulary", "vocab.txt"], "truncated"),
        (["f5-v1", "less.safetensors", "new", "--vocabulary", "vocab.txt"], "proj_out.bias is missing"),
        (["f5-v1", "other.safetensors", "new", "--vocabulary", "vocab.txt"], "holds no ema_model.transformer"),
        (["f5-v0", "f5", "new.safetensors"], "was converted from f5-v1"),
        (["f5-v1", "f5", "new.bin"], "new .safetensors"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_nothing_is_written(
    arguments: list[str], says: str, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.parent
    monkeypatch.chdir(folder)
    state = load_file("model.safetensors")
    save_file({k: v for k, v in state.items() if not k.endswith("proj_out.bias")}, "less.safetensors")
    save_file({"weight": torch.ones(1)}, "other.safetensors")
    Path("cut.safetensors").write_bytes(Path("model.safetensors").read_bytes()[:1000])
    before = sorted(folder.rglob("*"))
    assert main(["convert", *arguments]) == 2
    printed = capsys.readouterr().err
    assert says in printed and printed.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_a_published_model_sees_the_recording_as_it_is(cloner: Cloner, reference: Audio) -> None:
    narrow = resample(resample(reference.samples, 24_000, 16_000), 16_000, 24_000)
    assert torch.equal(cloner.seen(narrow), cloner.spec.log_mel(torch.from_numpy(narrow)[None])[0])


def test_the_command_speaks_at_the_pace_of_the_reference(model: Path, reference: Audio, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    arguments = ["clone", "What the author said.", "--reference", str(RECORDING), "--reference-text", SAID, "--model", str(model)]
    assert main([*arguments, "-o", str(out), "--steps", "2"]) == 0
    wave, rate = soundfile.read(out)
    letters = sum(c.isalnum() for c in "What the author said.") / sum(c.isalnum() for c in SAID)
    assert rate == 24_000 and np.isfinite(wave).all()
    assert len(wave) / rate == pytest.approx(reference.seconds * letters, rel=0.15)


def test_the_same_request_is_the_same_sound_and_seconds_are_exact(cloner: Cloner, reference: Audio) -> None:
    one = cloner.say("Say it again.", reference, SAID, seed=4, steps=2)
    assert np.array_equal(one.samples, cloner.say("Say it again.", reference, SAID, seed=4, steps=2).samples)
    assert not np.array_equal(one.samples, cloner.say("Say it again.", reference, SAID, seed=5, steps=2).samples)
    exact = cloner.say("Say it again. <break 300ms> And then once more.", reference, SAID, steps=2, seconds=3.21)
    assert len(exact.samples) == round(3.21 * 24_000)


def test_a_break_is_silent_and_exactly_as_long_as_asked(cloner: Cloner, reference: Audio) -> None:
    halves = [len(cloner.say(t, reference, SAID, steps=1).samples) for t in ("Say it.", "Once more.")]
    wave = cloner.say("Say it.<break 750ms>Once more.", reference, SAID, steps=1).samples
    assert len(wave) == sum(halves) + 18_000
    assert not wave[halves[0] : halves[0] + 18_000].any()
    assert wave[: halves[0]].any() and wave[halves[0] + 18_000 :].any()


def test_long_texts_are_pieces_that_fade_into_each_other(cloner: Cloner, reference: Audio) -> None:
    sentence = "The author of the danger trail went home and said nothing more about it to anybody that day."
    parts = cloner._parts(" ".join([sentence] * 8), SAID, cloner.spec.frames_of_samples(len(reference.samples)))
    assert len(parts) > 1 and " ".join(p.text for p in parts) == " ".join([sentence] * 8)
    n = round(FADE_SECONDS * 24_000)
    a, b = np.full(2 * n, 0.5, np.float32), np.full(3 * n, -0.5, np.float32)
    joined = cloner._joined(parts[:2], [a, b])
    assert len(joined) == 4 * n and np.allclose(joined[:n], 0.5) and np.allclose(joined[2 * n :], -0.5)
    assert (np.diff(joined[n : 2 * n]) < 0).all()


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.ones(4_800, np.float32), "0.20 s long; give 1 to 20 s"),
        (np.ones(24_000 * 300, np.float32), "300.00 s long"),
        (np.zeros(48_000, np.float32), "silent"),
        (np.full(48_000, np.nan, np.float32), "silent or broken"),
    ],
    ids=["short", "long", "silent", "broken"],
)
def test_references_that_cannot_serve_are_refused(cloner: Cloner, samples: np.ndarray, says: str) -> None:
    with pytest.raises(FmAudioError, match=says):
        cloner.say("Hello.", Audio(samples, 24_000), SAID)


def test_stereo_and_quiet_references_serve(cloner: Cloner, reference: Audio, tmp_path: Path) -> None:
    quiet = 0.02 * reference.samples
    soundfile.write(tmp_path / "stereo.wav", np.stack([quiet, quiet], 1), 24_000, subtype="FLOAT")
    loud = cloner.say("Hello.", Audio(0.2 * reference.samples, 24_000), SAID, steps=1).samples
    soft = cloner.say("Hello.", load_audio(tmp_path / "stereo.wav", 24_000), SAID, steps=1).samples
    assert len(loud) == len(soft) and 0.05 < np.abs(soft).max() / np.abs(loud).max() < 0.2, "as loud as its reference"


@pytest.mark.parametrize(
    ("text", "said", "says"),
    [
        ("…", SAID, "no letter or digit|no words"),
        ("", SAID, "no words"),
        ("Hello.", " ", "reference text"),
        ("Hello.", 8 * SAID, "nobody says less than"),
        ("Hello.", "I", "nobody says less than"),
        ("你好", SAID, "pinyin"),
    ],
)
def test_texts_that_cannot_be_said_are_refused(cloner: Cloner, reference: Audio, text: str, said: str, says: str) -> None:
    with pytest.raises(FmAudioError, match=says):
        cloner.say(text, reference, said, steps=1)


def test_a_voice_is_no_cloner(tiny_voice: Path) -> None:
    with pytest.raises(FmAudioError, match="'aligned_tts' cannot clone"):
        load_cloner(tiny_voice)


class Scripted:
    """A recogniser that hears one line after another."""

    def __init__(self, *lines: str):
        self.lines, self.settings = list(lines), {"name": "scripted"}

    def transcribe(self, audio: Audio) -> str:
        return self.lines.pop(0)


def test_a_guard_listens_to_every_piece_and_for_the_reference(cloner: Cloner, reference: Audio) -> None:
    limits = SoundLimits(-1e9, -1e9, 1e9, 1e9, 1e9, 1.0, 1e9, (0.0, 1e9))
    guard = Guard(Verifier(Scripted(SAID, "shook hands say it", "say it", "once more"), sound=limits))
    text = "Say it. <break 300ms> Once more."
    audio = clone(cloner, text, reference, SAID, guard, seed=4, steps=2)
    assert guard.ok and [len(p.tries) for p in guard.pieces] == [2, 1]
    [leaked] = guard.pieces[0].tries[0].verdict.faults
    assert leaked.kind == "leaked" and leaked.words == ("shook", "hands")
    assert guard.pieces[0].verdict.unchecked[0] == "speaker: there is no speaker judge"
    plain = cloner.say(text, reference, SAID, seed=4, steps=2)
    n = cloner.spec.samples_of_frames(1) * round(len(plain.samples) / 3 / cloner.spec.hop_samples)
    assert len(audio.samples) == len(plain.samples) and np.array_equal(audio.samples[-n:], plain.samples[-n:])
    assert not np.array_equal(audio.samples, plain.samples), "the first piece was drawn again"


def test_a_guard_refuses_a_reference_that_says_something_else(cloner: Cloner, reference: Audio) -> None:
    pytest.importorskip("jiwer")
    guard = Guard(Verifier(Scripted("nobody ever came to this place again")))
    with pytest.raises(FmAudioError, match="is not what the reference says; the judge heard 'nobody ever came"):
        clone(cloner, "Say it.", reference, SAID, guard, steps=1)


def test_candidates_are_lengths_around_the_rule(cloner: Cloner, reference: Audio) -> None:
    limits = SoundLimits(-1e9, -1e9, 1e9, 1e9, 1e9, 1.0, 1e9, (0.0, 1e9))
    guard = Guard(Verifier(Scripted(SAID, "say", "say it", "it"), sound=limits), redraws=0, candidates=3)
    audio = clone(cloner, "Say it.", reference, SAID, guard, seed=4, steps=1)
    plain = cloner.say("Say it.", reference, SAID, seed=4, steps=1, length="rate")
    [piece] = guard.pieces
    factors = [t.longer for t in piece.tries]
    assert guard.ok and piece.kept == 1 and factors[0] == 1 and factors[1] < 1 < factors[2]
    assert len(audio.samples) / len(plain.samples) == pytest.approx(factors[1], abs=0.02)
    with pytest.raises(FmAudioError, match="candidates"):
        clone(cloner, "Say it.", reference, SAID, guard, seconds=1.0)
    with pytest.raises(FmAudioError, match="learned_length"):
        cloner.say("Say it.", reference, SAID, length="learned")


def test_the_command_ranks_candidates(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognisers, "load_recogniser", lambda *_: Scripted(SAID, "it", "say it"))
    monkeypatch.setattr(verify, "sound_faults", lambda *_: [])
    monkeypatch.setattr(speaker, "installed_judge", lambda: None)
    monkeypatch.setattr(reading, "shipped_reading", lambda: None)  # this model says noise
    arguments = ["clone", "Say it.", "--reference", str(RECORDING), "--reference-text", SAID, "--model", str(model), "--json"]
    how = ["--steps", "1", "--candidates", "2", "--redraws", "0"]
    assert main([*arguments, "-o", str(tmp_path / "x.wav"), *how]) == 0
    report = json.loads(capsys.readouterr().out)
    [piece] = report["verification"]["pieces"]
    assert piece["ok"] and piece["kept"] == 1 and len(piece["tries"]) == 2 and report["length"] == "rate"


def test_the_command_reports_what_it_cloned(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.wav"
    arguments = ["clone", "Say it.", "--reference", str(RECORDING), "--reference-text", SAID, "--model", str(model)]
    assert main([*arguments, "-o", str(out), "--steps", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["seconds"] == pytest.approx(soundfile.info(out).duration) and report["output"] == str(out)
    assert "verification" not in report


@pytest.mark.slow
def test_the_frontier_of_a_cloner_has_the_guidance_that_it_leans_by(
    model: Path, tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("Hello there.\n")
    asked = ["frontier", str(model), "--data", str(tmp_path / "lines.txt"), "--solver", "euler", "--grid", "uniform",
             "--steps", "2", "8", "--no-presets", "--threads", "1", "--out", str(tmp_path),
             "--rest", "--cache", "--guidance-alike"]  # fmt: skip
    heard = ["--reference", str(RECORDING), "--reference-text", SAID]
    assert main([*asked, *heard]) == 0
    points = json.loads((tmp_path / "frontier.json").read_text())["points"]
    assert {p["guidance"] for p in points} == {"own", "interval", "off", "two_null"}
    errors = {(p["guidance"], p["steps"]): p["error"] for p in points}
    assert errors["own", 8] < errors["own", 2] and errors["two_null", 8] > errors["own", 8], "held against the model's own way"
    assert {p["forwards"] for p in points if p["guidance"] == "two_null"} == {4, 16}
    assert main(asked) == 2 and "give a recording of 1 to 20 s" in capsys.readouterr().err
    spoken = ["frontier", str(tiny_voice), "--data", str(tmp_path / "lines.txt")]
    assert main([*spoken, *heard]) == 2 and "does not clone and hears none" in capsys.readouterr().err
    assert main([*spoken, "--guidance", "two_null"]) == 2 and "is for models that clone" in capsys.readouterr().err
