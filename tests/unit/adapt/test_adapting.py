"""A voice is learned from a folder: the loss falls, what was there stays, and bad input leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import fm_audio
from fm_audio.checkpoint import CONFIG, WEIGHTS
from fm_audio.cli import main
from fm_audio.voices.adapter import TENSORS, fingerprint

QUICK = ["--judge", "none", "--precision", "32-true", "--batch-seconds", "8", "--sentences", "2", "--rank", "4"]


def adapt(voice: Path, data: Path, out: Path, *more: str) -> int:
    return main(["adapt", "--voice", str(voice), "--data", str(data), "-o", str(out), *QUICK, *more])


@pytest.fixture(scope="module")
def base(tiny_voice: Path) -> dict[str, bytes]:
    return {name: (tiny_voice / name).read_bytes() for name in (CONFIG, WEIGHTS)}


@pytest.fixture(scope="module")
def carl(tiny_voice: Path, recordings: Path, base: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter after twenty steps, in a folder that was empty before."""
    out = tmp_path_factory.mktemp("adapted") / "carl"
    facts = ["--consent", "Carl, in writing", "--licence", "CC0-1.0"]
    assert adapt(tiny_voice, recordings, out, "--steps", "20", "--look-every", "10", "--learning-rate", "0.01", *facts) == 0
    return out


def card_of(folder: Path) -> str:
    return (folder / "card.md").read_text()


def losses_of(folder: Path) -> tuple[float, float, float]:
    """At the start, with averaged weights, with weights as trained."""
    card = card_of(folder)
    start = re.search(r"held-out loss of ([\d.]+)", card)
    rows = re.findall(r"weights (?:averaged|as trained) \| ([\d.]+)", card)
    assert start is not None and len(rows) == 2
    return float(start[1].rstrip(".")), float(rows[0]), float(rows[1])


def test_the_loss_of_the_new_speaker_falls(carl: Path) -> None:
    start, averaged, trained = losses_of(carl)
    assert averaged < start and trained < start


def test_an_adapter_is_a_small_folder_that_says_where_it_is_from(carl: Path, tiny_voice: Path) -> None:
    files = ["adapter.safetensors", "card.md", CONFIG, "held_out.txt", "listen.html", "mels.png"]
    assert sorted(p.name for p in carl.iterdir()) == files
    held_out = (carl / "held_out.txt").read_text().splitlines()
    assert len(held_out) == 2 and all(line in (carl / "listen.html").read_text() for line in held_out)
    assert list(carl.parent.iterdir()) == [carl]
    assert sum(p.stat().st_size for p in carl.iterdir()) < 20e6
    config = json.loads((carl / CONFIG).read_text())
    assert config["base"] == {"name": str(tiny_voice), "fingerprint": fingerprint(tiny_voice)}
    assert config["facts"]["consent"] == "Carl, in writing" and config["facts"]["licence"] == "CC0-1.0"
    card = card_of(carl)
    assert all(said in card for said in ("Carl, in writing", "CC0-1.0", fingerprint(tiny_voice), "broken", "recorded"))


def test_the_page_holds_every_sound(carl: Path) -> None:
    page = (carl / "listen.html").read_text()
    assert page.count("<audio") == page.count("data:audio/flac;base64,") == 6  # two sentences: recorded, base, new
    assert "http:" not in page and "https:" not in page and "<script" not in page


def test_the_base_is_as_it_was_and_its_voice_too(carl: Path, tiny_voice: Path, base: dict[str, bytes]) -> None:
    assert {name: (tiny_voice / name).read_bytes() for name in base} == base
    plain, adapted = fm_audio.load(tiny_voice), fm_audio.load(adapter=carl)
    assert adapted.name == "carl"
    for name in ("anna", "bernard"):
        said, again = (v.say("Hello there.", voice=name).samples for v in (plain, adapted))
        assert np.array_equal(said, again)
    assert not np.array_equal(adapted.say("Hello there.").samples, plain.say("Hello there.").samples)


def test_all_weights_and_new_letters_leave_old_rows_alone(tiny_voice: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "dora"
    assert adapt(tiny_voice, recordings, out, "--steps", "3", "--full", "--alphabet", "german", "--language", "de") == 0
    before, after = load_file(tiny_voice / WEIGHTS), load_file(out / WEIGHTS)
    for table in ("speaker.weight", "text.embedding.weight"):
        old = before[table].half()
        assert torch.equal(after[table][: len(old)], old) and len(after[table]) > len(old)
    assert not torch.equal(after["text.mean.weight"], before["text.mean.weight"].half())
    voice = fm_audio.load(out)
    assert list(voice.speakers) == ["dora"] and voice.say("Schöne Grüße.").seconds > 0


def test_a_killed_run_leaves_no_output_and_the_next_one_clears_up(
    tiny_voice: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "carl"
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("fm_audio.adapt.watch.Watch.__call__", lambda *_: os.kill(os.getpid(), 9))
        try:
            adapt(tiny_voice, recordings, out, "--steps", "2")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert not out.exists() and [p.name for p in tmp_path.iterdir()] == [".carl.part"]
    assert adapt(tiny_voice, recordings, out, "--steps", "1") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["carl"]


class Refusals:
    """Commands that must end with one line, exit code 2, and no output."""

    def __init__(self, voice: Path, data: Path, out: Path, capsys: pytest.CaptureFixture[str]):
        self.voice, self.data, self.out, self.capsys = voice, data, out, capsys

    def __call__(self, *more: str, voice: str | None = None, data: Path | None = None) -> str:
        before = sorted(self.out.parent.rglob("*"))
        command = ["adapt", "--voice", voice or str(self.voice), "--data", str(data or self.data), "-o", str(self.out), *QUICK]
        assert main([*command, *more]) == 2
        lines = [line for line in self.capsys.readouterr().err.splitlines() if line.startswith("fm-audio: error: ")]
        assert len(lines) == 1 and sorted(self.out.parent.rglob("*")) == before
        return lines[0]


@pytest.fixture
def refused(tiny_voice: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refusals:
    return Refusals(tiny_voice, recordings, tmp_path / "carl", capsys)


def test_what_cannot_be_is_refused_before_work(refused: Refusals, tmp_path: Path, recordings: Path) -> None:
    assert "nobody can say when to stop" in refused()
    steps = ["--steps", "1"]
    assert "unknown voice 'nobody'" in refused(*steps, voice="nobody")
    assert "espeak front-end" in refused(*steps, "--phonemes", "--language", "xx-none"), "no such language, or no eSpeak"
    assert "is not there" in refused(*steps, data=tmp_path / "nowhere")
    assert "has a speaker of that name" in refused(*steps, "--name", "anna")
    assert "letters, digits" in refused(*steps, "--name", "../anna")
    assert "give at most" in refused(*steps, "--rank", "1000000")
    assert "some of attention,adaln" in refused(*steps, "--targets", "everything")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no clips found" in refused(*steps, data=empty)
    (empty / "a.wav").write_bytes(b"")
    (empty / "a.txt").write_text("Hello.")
    assert "no clip is left" in refused(*steps, data=empty)
    refused.out.mkdir()
    assert "exists already" in refused(*steps)


def test_several_speakers_need_a_choice(refused: Refusals, tmp_path: Path, recordings: Path) -> None:
    rows = [
        {"audio": str(p), "text": p.with_suffix(".txt").read_text(), "speaker": p.stem[-1]} for p in recordings.glob("0*.wav")
    ]
    data = tmp_path / "many"
    data.mkdir()
    (data / "manifest.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    assert "choose one with --speaker: 0, 1" in refused("--steps", "1", data=data)
    assert "--speaker zoe: not in" in refused("--steps", "1", "--speaker", "zoe", data=data)


def test_missing_judges_are_said_and_steps_asked_for(refused: Refusals, monkeypatch: pytest.MonkeyPatch) -> None:
    from fm_audio.types import FmAudioError

    def missing(*_: Any) -> None:
        raise FmAudioError("no such package; run: pip install it")

    monkeypatch.setattr("fm_audio.adapt.ears.load_recogniser", missing)
    monkeypatch.setattr("fm_audio.adapt.ears.SpeakerJudge", missing)
    line = refused("--judge", "auto")
    assert "pip install it" in line and "--steps" in line and "--minutes" in line
    assert "pip install it" in refused("--judge", "whisper-base", "--steps", "1")


def test_an_interrupted_run_leaves_nothing(tiny_voice: Path, recordings: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fm_audio.adapt.watch.Watch.__call__", stop)
    assert adapt(tiny_voice, recordings, tmp_path / "carl", "--steps", "1") == 130
    assert list(tmp_path.iterdir()) == []


def test_base_speakers_can_be_replayed(tiny_voice: Path, recordings: Path, tmp_path: Path, capsys: Any) -> None:
    from data_prep.custom import main as prepare

    known, strange = tmp_path / "known", tmp_path / "strange"
    for folder, speaker in ((known, "anna"), (strange, "zoe")):
        raw = tmp_path / f"raw_{speaker}"
        shutil.copytree(recordings, raw)
        prepare([str(raw), str(folder), "--licence", "CC0-1.0", "--speaker", speaker])
    assert adapt(tiny_voice, recordings, tmp_path / "carl", "--steps", "4", "--replay", str(known)) == 0
    assert "30 % of the batches replayed" in card_of(tmp_path / "carl")
    assert adapt(tiny_voice, recordings, tmp_path / "dora", "--steps", "4", "--replay", str(strange)) == 2
    assert "its speakers zoe are none of the base's" in capsys.readouterr().err


def test_tensors_are_as_many_as_were_promised(carl: Path, tiny_voice: Path) -> None:
    from fm_audio.adapt.growth import megabytes
    from fm_audio.checkpoint import load_model
    from fm_audio.training.low_rank import USUAL_TARGETS, target_layers

    model: Any = load_model(tiny_voice)
    tensors = load_file(carl / TENSORS)
    promised = megabytes(target_layers(model, USUAL_TARGETS), 4)
    bent = sum(t.numel() for name, t in tensors.items() if name != "speaker")
    assert bent * 4 / 1e6 == pytest.approx(promised)
