"""The request gate, as a user meets it: one clear line, exit code 2, and no file that was not written whole."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from fm_audio.checkpoint import CONFIG, WEIGHTS
from fm_audio.cli import main


class Say:
    """Runs `fm-audio say … -o out/x.wav` in this process."""

    def __init__(self, voice: Path, out: Path, capsys: pytest.CaptureFixture[str]):
        self.voice, self.out, self.capsys = voice, out, capsys

    def __call__(self, *arguments: str, output: str = "x.wav", voice: str | None = None) -> str:
        """Standard output of a call that must succeed."""
        assert self.run(*arguments, output=output, voice=voice) == 0
        return self.capsys.readouterr().out

    def refused(self, *arguments: str, output: str = "x.wav", voice: str | None = None) -> str:
        """The one line of a call that must fail and leave nothing behind."""
        before = sorted(self.out.rglob("*"))
        assert self.run(*arguments, output=output, voice=voice) == 2
        printed = self.capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("fm-audio: error: ") and printed.err.count("\n") == 1, printed.err
        assert sorted(self.out.rglob("*")) == before
        return printed.err

    def run(self, *arguments: str, output: str, voice: str | None) -> int:
        return main(["say", *arguments, "-o", str(self.out / output), "--voice", voice or str(self.voice)])


@pytest.fixture
def say(tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    return Say(tiny_voice, tmp_path, capsys)


def test_a_sentence_is_written_and_reported(say: Say) -> None:
    report = json.loads(say("Hello there.", "--json", "--seed", "3", "--steps", "4", "--guidance", "1"))
    info = soundfile.info(say.out / "x.wav")
    assert info.samplerate == report["sample_rate"] and info.channels == 1
    assert info.duration == pytest.approx(report["seconds"])
    assert [w["text"].lower() for w in report["words"]] == ["hello", "there"]
    assert (report["steps"], report["forwards"], report["seed"], report["voice"], report["model"]) == (4, 4, 3, "anna", "tiny")
    assert report["real_time_factor"] == pytest.approx(report["wall_seconds"] / report["seconds"], rel=0.01)
    assert [p.name for p in say.out.iterdir()] == ["x.wav"]


@pytest.mark.parametrize(
    "how",
    [
        ["--solver", "bosh3", "--tolerance", "0.2"],
        ["--solver", "midpoint", "--steps", "6", "--rest", "0.5"],
        ["--guidance", "2", "--guidance-alike", "0.5"],
    ],
    ids=lambda how: how[0],
)
def test_what_is_computed_may_depend_on_the_item(say: Say, how: list[str]) -> None:
    assert json.loads(say("Hello.", "--json", *how))["forwards"] is None


def test_what_an_item_may_decide_must_have_a_meaning(say: Say) -> None:
    assert "tolerance is 0.1 with the solver 'euler'" in say.refused("Hello.", "--tolerance", "0.1")
    assert "rest is 0.1 with the adaptive solver 'bosh3'" in say.refused("Hello.", "--solver", "bosh3", "--rest", "0.1")
    assert "no middle blocks to leave out" in say.refused("Hello.", "--cache", "0.1"), "the tiny voice has one block"
    assert "Did you mean 'bosh3'" in say.refused("Hello.", "--solver", "bosh")


def test_quiet_when_all_is_well(say: Say) -> None:
    assert say("Hello.") == ""


def test_the_same_request_is_the_same_file(say: Say) -> None:
    say("Hello.", output="a.wav")
    say("Hello.", output="b.wav")
    say("Hello.", "--seed", "1", output="c.wav")
    a, b, c = [(say.out / f"{name}.wav").read_bytes() for name in "abc"]
    assert a == b != c


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_the_ending_picks_the_format(say: Say, ending: str) -> None:
    say("Hello there.", output=f"x.{ending}")
    assert soundfile.info(say.out / f"x.{ending}").format == ending.upper()


def test_text_from_a_file_and_from_standard_input(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    say("Hello there.", output="a.wav")
    (say.out / "text.txt").write_text("Hello there.\n", encoding="utf-8")
    say("--file", str(say.out / "text.txt"), output="b.wav")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello there.")))
    say("-", output="c.wav")
    a, b, c = [(say.out / f"{name}.wav").read_bytes() for name in "abc"]
    assert a == b == c


def test_total_seconds_and_breaks(say: Say) -> None:
    say("Hello there.", "--seconds", "2")
    assert soundfile.info(say.out / "x.wav").duration == pytest.approx(2, abs=0.006)
    say("Hello <break 900ms> there.", output="long.wav")
    say("Hello <break 100ms> there.", output="short.wav")
    long, short = [soundfile.info(say.out / f"{name}.wav").duration for name in ("long", "short")]
    assert long - short == pytest.approx(0.8, abs=0.011)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "text"),
        (" \n\t ", "text"),
        ("...!?", "text"),
        ("x" * 5000, "put spaces into it"),
        ("😀🎉", "text"),
        ("Hello \udcff", "surrogate"),
        ("Привет, как дела?", "read"),
        ("你好", "read"),
        ("Hello <break 99999s> there", "break"),
        ("Hello <prosody>", "markup"),
    ],
    ids=["empty", "blank", "punctuation", "endless", "emoji", "surrogate", "cyrillic", "chinese", "long break", "markup"],
)
def test_texts_that_cannot_be_read(say: Say, text: str, words: str) -> None:
    assert words in say.refused(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "0"], "steps"),
        (["--guidance", "nan"], "guidance"),
        (["--temperature", "-1"], "temperature"),
        (["--speed", "0"], "speed"),
        (["--speed", "nan"], "speed"),
        (["--seconds", "0"], "seconds"),
        (["--seconds", "inf"], "seconds"),
        (["--seed", "-1"], "seed"),
        (["--seed", str(2**64)], "seed"),
        (["--device", "nowhere"], "device 'nowhere'"),
        (["--precision", "fp8"], "give one of fp32, bf16"),
        (["--threads", "0"], "--threads: given 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_numbers_that_cannot_be_meant(say: Say, arguments: list[str], words: str) -> None:
    assert words in say.refused("Hello.", *arguments)


def test_bfloat16_is_as_long_and_is_refused_where_it_is_not_had(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fm_audio.flow.runner._capabilities", lambda: {"avx512_bf16"})
    plain, half = (json.loads(say("Hello there.", "--json", "--precision", name)) for name in ("fp32", "bf16"))
    assert (plain["precision"], half["precision"]) == ("fp32", "bf16")
    assert half["words"] == plain["words"] and half["seconds"] == plain["seconds"]
    monkeypatch.setattr("fm_audio.flow.runner._capabilities", lambda: {"avx2"})
    assert "this processor does not compute in bfloat16" in say.refused("Hello.", "--precision", "bf16")


def test_unknown_voices_name_near_ones(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "did you mean bernard" in say.refused("Hello.", voice=str(say.voice / "bernhard"))
    monkeypatch.setattr("fm_audio.voices.find.SHIPPED", say.voice.parent)
    line = say.refused("Hello.", voice="Bernardo")
    assert "did you mean bernard" in line and "anna, bernard" in line
    assert "unknown voice" in say.refused("Hello.", voice=str(say.out / "nothing"))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("nowhere/x.wav", "does not exist"),
        ("x.xyz", ".wav, .flac"),
        ("x", "without an ending"),
        ("folder.wav", "is a folder"),
        ("/proc/x.wav", "cannot write there"),
    ],
)
def test_outputs_that_cannot_be_written(say: Say, output: str, words: str) -> None:
    (say.out / "folder.wav").mkdir()
    assert words in say.refused("Hello.", output=output)


def test_files_that_cannot_be_read(say: Say) -> None:
    assert "none.txt" in say.refused("--file", str(say.out / "none.txt"))
    (say.out / "latin.txt").write_bytes("Gr\xfc\xdfe".encode("latin-1"))
    assert "not UTF-8" in say.refused("--file", str(say.out / "latin.txt"))


@pytest.fixture
def copied(say: Say, tmp_path_factory: pytest.TempPathFactory) -> Say:
    """A voice that may be spoilt."""
    root = tmp_path_factory.mktemp("copied")
    for name in ("tiny", "tiny_vocoder"):
        (root / name).mkdir()
        for file in (CONFIG, WEIGHTS):
            (root / name / file).write_bytes((say.voice.parent / name / file).read_bytes())
    return Say(root / "tiny", say.out, say.capsys)


def edit(folder: Path, change: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)  # type: ignore[operator]
    (folder / CONFIG).write_text(json.dumps(config))


def test_a_truncated_checkpoint(copied: Say) -> None:
    weights = copied.voice / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    line = copied.refused("Hello.")
    assert str(weights) in line and "truncated" in line


def test_a_vocoder_for_another_mel(copied: Say) -> None:
    vocoder = copied.voice.parent / "tiny_vocoder"
    edit(vocoder, lambda config: config["model"]["init_args"]["spec"].update(sample_rate=16_000))
    line = copied.refused("Hello.")
    assert "do not speak of the same mel" in line and "24000" in line and "16000" in line


def test_a_voice_whose_vocoder_is_missing(copied: Say) -> None:
    edit(copied.voice, lambda config: config.update(vocoder="elsewhere"))
    assert "vocoder 'elsewhere'" in copied.refused("Hello.")


def test_a_folder_that_is_no_voice(copied: Say) -> None:
    assert "is no voice" in copied.refused("Hello.", voice=str(copied.voice.parent / "tiny_vocoder"))
    edit(copied.voice, lambda config: config["model"].update(stranger=1))
    assert "unknown keys ['stranger']" in copied.refused("Hello.")


def test_voices_are_listed(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fm_audio.voices.find.SHIPPED", say.voice.parent)
    assert main(["voices", "--json"]) == 0
    rows = json.loads(say.capsys.readouterr().out)
    assert [(r["name"], r["model"], r["default"]) for r in rows] == [("anna", "tiny", True), ("bernard", "tiny", False)]
    assert all(r["licence"] == r["consent"] == "unstated" for r in rows), "what a config leaves out is said to be left out"
    assert main(["voices"]) == 0
    assert [line.split()[0] for line in say.capsys.readouterr().out.splitlines()] == ["anna", "bernard"]


@pytest.mark.parametrize("arguments", [[], ["sing"], ["say"], ["say", "a"], ["say", "a", "--steps", "many", "-o", "x.wav"]])
def test_wrong_usage_is_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2 and "error:" in capsys.readouterr().err


def test_the_command_itself(tiny_voice: Path, tmp_path: Path) -> None:
    """A process of its own, with an argument that is no UTF-8, as a shell may hand over."""
    command = [sys.executable, "-m", "fm_audio.cli", "say"]
    end = ["-o", str(tmp_path / "x.wav"), "--voice", str(tiny_voice)]
    bad = subprocess.run([*command, os.fsencode("Hello ") + b"\xff", *end], capture_output=True)
    assert (bad.returncode, bad.stderr.count(b"\n"), list(tmp_path.iterdir())) == (2, 1, [])
    good = subprocess.run([*command, "Hello.", *end], capture_output=True)
    assert (good.returncode, good.stdout, good.stderr) == (0, b"", b"")
    assert soundfile.info(tmp_path / "x.wav").frames > 0


def test_nobody_need_read_what_is_printed() -> None:
    """As with `fm-audio voices | head -n 0`."""
    asked = subprocess.Popen([sys.executable, "-m", "fm_audio.cli", "voices"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert asked.stdout is not None and asked.stderr is not None
    asked.stdout.close()
    told = asked.stderr.read()
    assert asked.wait() == 141 and told == b""


def test_an_interrupted_command_leaves_nothing(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("soundfile.write", stop)
    assert say.run("Hello.", output="x.wav", voice=None) == 130
    assert list(say.out.iterdir()) == []
