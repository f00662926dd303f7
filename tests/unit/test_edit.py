"""Editing recordings by their text, with weights drawn at random: what is not changed is bit for bit as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import fm_audio
from fm_audio.audio import load_audio
from fm_audio.cli import main
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner
from fm_audio.voices.cloner import load_cloner
from fm_audio.voices.editor import Editor, differences
from fm_audio.voices.recording import Recording

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner(fm_audio.load().model)


@pytest.fixture(scope="module")
def editor(model: Path, aligner: Aligner) -> Editor:
    return Editor(load_cloner(model), aligner)


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    """The recording as two channels of 24 bits at 44.1 kHz, the second one louder."""
    samples = load_audio(RECORDING, 44_100).samples
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([0.5 * samples, samples], 1), 44_100, subtype="PCM_24")
    return path


def test_words_are_found_where_the_voice_said_them(aligner: Aligner) -> None:
    spoken = fm_audio.load().say_detailed("The old man walked slowly home. Nobody saw him again that winter.", seed=3)
    found = aligner.words(spoken.audio, "The old man walked slowly home. Nobody saw him again that winter.")
    assert len(found) == len(spoken.words)
    off = [abs(a.start_seconds - b.start_seconds) for a, b in zip(found, spoken.words, strict=True)]
    assert np.median(off) < 0.03 and max(off) < 0.15


def test_words_come_in_order_within_the_recording(aligner: Aligner) -> None:
    audio = load_audio(RECORDING, 24_000)
    words = aligner.words(audio, SAID)
    assert [w.text for w in words] == SAID.split()
    edges = [t for w in words for t in (w.start_seconds, w.end_seconds)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= audio.seconds


def test_numbers_are_words_of_their_own(aligner: Aligner) -> None:
    words = aligner.words(load_audio(RECORDING, 24_000), "For the 20th time that evening - the 2 men shook hands.")
    assert [w.text for w in words] == ["For", "the", "20th", "time", "that", "evening -", "the", "2", "men", "shook", "hands."]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("One two three.", "One four three.", [(1, 2, ["four"])]),
        ("One two three.", "One two, big three!", [(2, 2, ["big"])]),
        ("One two three.", "two three", [(0, 1, [])]),
        ("One two three four.", "Zero two three five.", [(0, 1, ["Zero"]), (3, 4, ["five."])]),
    ],
)
def test_differences_are_of_words(before: str, after: str, changes: list[tuple[int, int, list[str]]]) -> None:
    assert differences(before, after) == changes


@pytest.mark.parametrize(
    ("before", "after", "says"), [("Hi you.", "hi, you", "same words"), ("Hi you.", "Bye.", "keeps no word")]
)
def test_texts_without_a_change_or_without_anything_left_are_refused(before: str, after: str, says: str) -> None:
    with pytest.raises(FmAudioError, match=says):
        differences(before, after)


@pytest.mark.parametrize(
    "after",
    [
        SAID.replace("twentieth", "hundred and first"),
        SAID.replace("men ", ""),
        SAID.replace("the two", "the other two"),
        SAID.replace("For", "At").replace("hands", "legs"),
    ],
    ids=["replaced", "deleted", "inserted", "at both ends"],
)
def test_everything_outside_the_changes_is_bit_for_bit(editor: Editor, stereo: Path, tmp_path: Path, after: str) -> None:
    before = Recording.load(stereo)
    edited = editor.edit(before, SAID, after, steps=2)
    assert edited.recording.samples.dtype == before.samples.dtype
    path = edited.recording.save(tmp_path / "out.wav")
    assert soundfile.info(str(path)).subtype == "PCM_24"
    new, old = soundfile.read(path, dtype="int32")[0], before.samples
    kept_new, kept_old = 0, 0
    for change in edited.changes:
        start, end, was_start, was_end = (round(t * 44_100) for t in list(vars(change).values())[2:])
        assert np.array_equal(new[kept_new:start], old[kept_old:was_start])
        assert not np.array_equal(new[start:end], old[was_start:was_end])
        kept_new, kept_old = end, was_end
    assert np.array_equal(new[kept_new:], old[kept_old:])
    hidden = sum(c.was_end_seconds - c.was_start_seconds for c in edited.changes)
    assert hidden < 0.6 * before.mono().seconds, "most of it is kept"


def test_new_words_take_time_and_missing_ones_give_it_back(editor: Editor, stereo: Path) -> None:
    recording = Recording.load(stereo)
    longer = editor.edit(recording, SAID, SAID.replace("hands", "hands with extraordinary enthusiasm"), steps=1).recording
    shorter = editor.edit(recording, SAID, SAID.replace("twentieth ", ""), steps=1).recording
    assert len(shorter.samples) < len(recording.samples) < len(longer.samples)
    assert 1.0 < (len(longer.samples) - len(recording.samples)) / 44_100 < 3.0


def test_the_same_edit_is_the_same_sound(editor: Editor, stereo: Path) -> None:
    after = SAID.replace("shook", "took")
    one, two, other = (editor.edit(Recording.load(stereo), SAID, after, seed=s, steps=1).recording.samples for s in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_the_command_writes_the_recording_and_says_where_it_changed(
    model: Path, stereo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.flac"
    arguments = ["edit", str(stereo), "--text-before", SAID, "--text-after", SAID.replace("two", "three"), "--model", str(model)]
    assert main([*arguments, "-o", str(out), "--steps", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(c["before"], c["after"]) for c in report["changes"]] == [("two", "three")]
    assert soundfile.info(str(out)).samplerate == 44_100 and soundfile.info(str(out)).channels == 2


@pytest.mark.parametrize(
    ("recording", "before", "out", "says"),
    [
        ("stereo.wav", SAID, "out.mp3", "would not keep"),
        ("stereo.wav", SAID, "nowhere/out.wav", "does not exist"),
        ("nothing.wav", SAID, "out.wav", "cannot be read as audio"),
        ("stereo.wav", SAID * 40, "out.wav", "give the words that it says"),
        ("silent.wav", SAID, "out.wav", "silent"),
        ("long.wav", SAID, "out.wav", "at most 120 s"),
    ],
)
def test_what_cannot_be_edited_is_one_line_and_nothing_is_written(
    recording: str, before: str, out: str, says: str, model: Path, stereo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stereo.parent
    soundfile.write(folder / "silent.wav", np.zeros(48_000), 24_000)
    soundfile.write(folder / "long.wav", np.ones(8_000 * 121) * 0.1, 8_000)
    there = sorted(folder.rglob("*"))
    after = before.replace("two", "three")
    arguments = ["edit", str(folder / recording), "--text-before", before, "--text-after", after, "--model", str(model)]
    assert main([*arguments, "-o", str(folder / out)]) == 2
    printed = capsys.readouterr().err
    assert says in printed and printed.count("\n") == 1
    assert sorted(folder.rglob("*")) == there
