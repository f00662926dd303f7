"""A teacher and its student: reports become rows by forwards, and mels are held against the teacher's own answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fm_audio.evaluation import few_steps, frontier, student_distance
from fm_audio.evaluation.metrics import Edits, Interval
from fm_audio.types import FmAudioError


def setting(forwards: int, wrong: list[int], protocol: str = "abc", quality: float = 3.0) -> dict[str, Any]:
    """Sentences of ten words, each heard so much better as more of them are wrong."""
    interval = {"value": sum(wrong) / 10 / len(wrong), "low": 0.0, "high": 0.5, "confidence": 0.95}
    return {
        "protocol": protocol,
        "forwards": forwards,
        "word_error_rate": interval,
        "character_error_rate": interval,
        "words_left_out": 1,
        "words_said_twice": 0,
        "similarity": {**interval, "value": 0.3},
        "dnsmos": None,
        "sentences": [{"words": vars(Edits(10, n, 0, 0)), "dnsmos": {"overall": quality + n}} for n in wrong],
    }


def written(path: Path, *settings: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"settings": settings}))
    return path


def test_rows_are_told_by_forwards_and_above_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = written(tmp_path / "t.json", setting(32, [0, 2]), setting(4, [1, 3], quality=2.5))
    student = written(tmp_path / "s.json", setting(2, [0, 2]))
    points = [{"steps": 2, "forwards": 2, "error": 0.4}]
    (tmp_path / "d.json").write_text(json.dumps({"distances": {"student": points}}))
    picture = tmp_path / "picture.png"
    asked = [f"teacher={teacher}", f"student={student}", "--against", "teacher@32", "-o", str(picture)]
    assert few_steps.main([*asked, "--distances", str(tmp_path / "d.json")]) == 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["teacher", "4"], ["teacher", "32"], ["student", "2"]]
    assert [row[-2] for row in rows] == ["+10.0 [+10.0, +10.0]", "", "+0.0 [+0.0, +0.0]"], "in pairs, both sentences lose alike"
    assert [row[-1] for row in rows] == ["+0.50 [+0.50, +0.50]", "", "+0.00 [+0.00, +0.00]"]
    assert rows[2][2] == "10.0 [0.0, 50.0]" and rows[2][4:7] == ["1 / 0", "0.30 [0.00, 0.50]", ""]
    assert picture.read_bytes()[1:4] == b"PNG"
    [row] = few_steps.rows_of("student", student)
    assert row.figure(few_steps.PANELS[0]) == Interval(10.0, 0.0, 50.0) and row.figure(few_steps.PANELS[2]) is None


def test_speakers_of_one_report_are_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cloned(name: str, **wrong: list[int]) -> str:
        settings = []
        for forwards, quality in ((4, 2.0), (32, 3.0)):
            for speaker, some in wrong.items():
                of_one = setting(forwards, [n + (forwards == 4) for n in some], quality=quality)
                for sentence in of_one["sentences"]:
                    sentence["characters"], sentence["similarity"] = sentence["words"], 0.5
                settings.append({**of_one, "label": f"{speaker}, steps {forwards}", "dnsmos": {}})
        (tmp_path / name).write_text(json.dumps({"settings": settings, "likeness": [{"label": "steps 4"}]}))
        return f"cloner={tmp_path / name}"

    two = cloned("two.json", anna=[0, 2], bert=[1, 1])
    rows = few_steps.read([two])
    assert [(row.forwards, len(row.told)) for row in rows] == [(4, 2), (32, 2)]
    few, many = rows
    assert many.rate("word").value == pytest.approx(0.1) and few.rate("character").value == pytest.approx(0.2)
    assert many.rate("word").low < 0.1 < many.rate("word").high
    words, quality = few.above(many)
    assert (words.low, words.value, words.high) == pytest.approx((0.1, 0.1, 0.1)), "each sentence lost one word more"
    assert quality is not None and quality.value == pytest.approx(-1.0 + 1), "a worse judge of clips with more words wrong"
    similar = many.figure(few_steps.PANELS[1])
    assert similar is not None and (similar.low, similar.high) == pytest.approx((0.5, 0.5)) and many.count("words_left_out") == 2
    assert few_steps.main([two, "--against", "cloner@32"]) == 0
    assert "+10.0 [+10.0, +10.0]" in capsys.readouterr().out
    [one, _] = few_steps.read([cloned("one.json", anna=[0, 2])])
    with pytest.raises(FmAudioError, match="is of 1 speakers, cloner of 2; judge the same"):
        one.above(many)


def test_what_cannot_be_shown_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = f"a={written(tmp_path / 'good.json', setting(2, [0]))}"
    other = f"b={written(tmp_path / 'other.json', setting(2, [0], 'def'))}"
    recorded = f"b={written(tmp_path / 'recorded.json', {**setting(2, [0]), 'forwards': None})}"
    for arguments, why in (
        ([good, other], "several protocols"),
        ([good, recorded], "is no report"),
        ([good, str(tmp_path)], "give NAME=FILE"),
        ([good, "--against", "a@4"], "there are a@2"),
        ([good, "--distances", str(tmp_path / "good.json")], "holds no distances"),
        ([good, "-o", str(tmp_path / "none" / "x.png")], "make it first"),
    ):
        assert few_steps.main(arguments) == 2
        assert why in capsys.readouterr().err


def test_distances_are_from_the_guided_answer(
    tiny_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(frontier, "FINE", 8)
    out = tmp_path / "distances.json"
    asked = [str(tiny_voice), str(tiny_voice), "--limit", "1", "--steps", "2", "16", "--student-steps", "16", "--json", str(out)]
    assert student_distance.main(asked) == 0
    assert "student: 16 steps, 16 forwards" in capsys.readouterr().out
    found = {name: [p["error"] for p in points] for name, points in json.loads(out.read_text())["distances"].items()}
    forwards = [p["forwards"] for p in json.loads(out.read_text())["distances"]["teacher"]]
    assert forwards == [4, 32], "guidance 2 doubles the forwards"
    assert all(found[way][1] < found[way][0] for way in ("teacher", "teacher, midpoint")), "more steps come nearer"
    assert found["student"][0] > found["teacher"][1], "a student is asked without guidance, which this one has not learnt"
    assert student_distance.main([str(tiny_voice), str(tiny_voice), "--limit", "0"]) == 2
