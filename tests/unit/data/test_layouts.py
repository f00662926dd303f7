"""Three layouts of the same clips read alike; a bad line is named with its file and number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fm_audio.data.preparation.layouts import Naming, read_folder
from fm_audio.types import FmAudioError

NAMING = Naming("anna", "en")
TEXTS = {"a": "First one.", "b": "Second one."}


@pytest.fixture
def raw(tmp_path: Path, write_wave) -> Path:
    for name in TEXTS:
        write_wave(tmp_path / f"{name}.wav")
    return tmp_path


def test_the_three_layouts_give_the_same_clips(raw):
    for name, text in TEXTS.items():
        (raw / f"{name}.txt").write_text(text)
    sidecars = read_folder(raw, NAMING)
    (raw / "metadata.csv").write_text("".join(f"{n}|{t}\n" for n, t in TEXTS.items()))
    table = read_folder(raw, NAMING)
    (raw / "manifest.jsonl").write_text("".join(json.dumps({"audio": f"{n}.wav", "text": t}) + "\n" for n, t in TEXTS.items()))
    assert sidecars == table == read_folder(raw, NAMING)
    assert [(c.id, c.text, c.speaker) for c in table] == [("a", "First one.", "anna"), ("b", "Second one.", "anna")]


def test_ljspeech_wavs_folder_and_normalised_text(raw, write_wave):
    write_wave(raw / "wavs" / "LJ001-0001.wav")
    (raw / "metadata.csv").write_text("LJ001-0001|In 1455|In fourteen fifty-five\n")
    [clip] = read_folder(raw, NAMING)
    assert clip.text == "In fourteen fifty-five" and clip.path.parent.name == "wavs"


@pytest.mark.parametrize(
    "line, why",
    [
        ("{broken", "is not JSON"),
        ("[1]", "is a list"),
        ('{"audio": "a.wav"}', "has no 'text'"),
        ('{"text": "hello"}', "has no 'audio'"),
        ('{"audio": "gone.wav", "text": "hello"}', "gone.wav"),
        ('{"audio": "a.wav", "text": "hi", "phones": "ab", "durations": [1, 2, 3]}', "3 durations for 2 phones"),
        ('{"audio": "a.wav", "text": "hi", "phones": "a", "durations": [1, -2, 3]}', "whole numbers"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(raw, line, why):
    good = json.dumps({"audio": "b.wav", "text": "Second one."})
    (raw / "manifest.jsonl").write_text(f"{good}\n\n{line}\n{good}\n")
    with pytest.raises(FmAudioError) as e:
        read_folder(raw, NAMING)
    assert "manifest.jsonl, line 3" in str(e.value) and why in str(e.value) and "--skip-bad" in str(e.value)
    refused = []
    clips = read_folder(raw, NAMING, lambda where, why: refused.append(where))
    assert len(clips) == 2 and len(refused) == 1 and "line 3" in refused[0]


def test_phones_get_silent_ends_and_what_is_unknown_is_kept(raw):
    row = {"audio": "a.wav", "text": "hi", "phones": "ab", "durations": [4, 1, 2, 3], "first_take": True, "speaker": "bo"}
    (raw / "manifest.7.jsonl").write_text(json.dumps(row))
    [clip] = read_folder(raw, NAMING)
    assert clip.phones == ("^", "a", "b", "^") and clip.durations_units == (4, 1, 2, 3)
    assert clip.extra == {"first_take": True} and clip.speaker == "bo"


def test_table_lines_without_text_or_audio_are_refused(raw):
    for line in ("a", "a| ", "gone|text"):
        (raw / "metadata.csv").write_text(f"b|fine\n{line}\n")
        with pytest.raises(FmAudioError, match="metadata.csv, line 2"):
            read_folder(raw, NAMING)


def test_a_folder_without_clips_says_what_to_put_there(tmp_path):
    with pytest.raises(FmAudioError, match="metadata.csv"):
        read_folder(tmp_path, NAMING)
    with pytest.raises(FmAudioError, match="not a folder"):
        read_folder(tmp_path / "gone", NAMING)
