"""The scripts that make pairs of texts: everything is counted, and nothing of what is held out stands in training."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from data_prep import phrases, pronunciations, verses
from data_prep.splits import SPLITS, split_of
from fm_audio.data.text.pairs import Pair, read_pairs
from fm_audio.data.text.vocabulary import Dealt, Letters, Phones, Pieces
from fm_audio.types import FmAudioError


def parts(out: Path) -> dict[str, list[Pair]]:
    return {name: read_pairs(out / f"{name}.tsv") for name in SPLITS}


def test_a_key_falls_to_one_part_for_ever() -> None:
    assert [split_of(w) for w in ("aalborg", "hello", "flow")] == [split_of(w) for w in ("aalborg", "hello", "flow")]
    shares = Counter(split_of(str(i)) for i in range(20_000))
    assert abs(shares["train"] / 20_000 - 0.9) < 0.01 and abs(shares["test"] / 20_000 - 0.05) < 0.01


def test_pronunciations_of_the_shipped_dictionary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pronunciations.main([str(tmp_path), "--max-letters", "5", "--max-phones", "5"])
    found, report = parts(tmp_path), json.loads((tmp_path / "report.json").read_text())
    words = [p.source for pairs in found.values() for p in pairs]
    assert len(set(words)) == len(words) == sum(report[name] for name in SPLITS) > 10_000
    assert report["left_out"]["words of more than 5 letters"] > 50_000 and "left out" in capsys.readouterr().out
    assert all(split_of(str(p.source)) == name for name, pairs in found.items() for p in pairs)
    letters, phones = Letters("abcdefghijklmnopqrstuvwxyz'-.", 5), Phones(longest=5)
    for pair in found["test"]:
        assert letters.encode(str(pair.source)) and all(phones.encode(r) for r in pair.right)
    several = {p.source: p.right for pairs in found.values() for p in pairs if len(p.right) > 1}
    assert several["a"] == ("AH0", "EY1") and len(several) == report["several_pronunciations"]


def test_phones_are_dealt_to_the_letters(tmp_path: Path) -> None:
    pronunciations.main([str(tmp_path), "--max-letters", "4", "--in-place"])
    found, report = parts(tmp_path), json.loads((tmp_path / "report.json").read_text())
    letters, table = Letters("abcdefghijklmnopqrstuvwxyz'-.", 4), Dealt(report["dealt"], 4)
    for pair in found["train"] + found["validation"]:
        assert len(letters.encode(str(pair.source))) == len(ids := table.encode(pair.target))
        assert table.decode(ids) in pair.right
    said = {p.source: p.target for p in found["train"] + found["validation"]}
    assert said["know"] == "_ N OW1 _" and said["six"] == "S IH1 K+S"
    assert all("_" not in p.target and "+" not in p.target for p in found["test"])
    assert report["left_out"]["words whose letters have unusual phones"] > 0


def test_without_stress_and_from_a_dictionary_of_ones_own(tmp_path: Path) -> None:
    lines = [f"w{a}{b}  W AH{i % 2} B # x" for i, (a, b) in enumerate((a, b) for a in "abcdefghijklmnopqr" for b in "aeiouy")]
    (tmp_path / "my.dict").write_text("\n".join([*lines, "waa(2)  W AH2 B"]), encoding="utf-8")
    pronunciations.main([str(tmp_path / "out"), "--dictionary", str(tmp_path / "my.dict"), "--no-stress"])
    assert {p.right for pairs in parts(tmp_path / "out").values() for p in pairs} == {("W AH B",)}
    with pytest.raises(FmAudioError, match="not there"):
        pronunciations.main([str(tmp_path / "out"), "--dictionary", str(tmp_path / "none.dict")])


def test_verses_are_held_out_in_runs_and_not_repeated(tmp_path: Path) -> None:
    book = [[f"And it came to pass in year {i} that he begat “sons” — yea", f"In the year {i} he had sons"] for i in range(3000)]
    book[100:1400:10] = [["The same words.", "Those same words."]] * 130
    book[5] = ["word " * 40, "short"]
    (tmp_path / "book.json.gz").write_bytes(gzip.compress(json.dumps(book).encode()))
    verses.main([str(tmp_path / "book.json.gz"), str(tmp_path / "out"), "--pieces", "60"])
    found, report = parts(tmp_path / "out"), json.loads((tmp_path / "out/report.json").read_text())
    runs = {name: {int(str(p.source).split("year ")[1].split()[0]) // 24 for p in pairs if "year" in str(p.source)}
            for name, pairs in found.items()}  # fmt: skip
    assert not runs["train"] & (runs["test"] | runs["validation"]) and not runs["test"] & runs["validation"]
    held_out = {p.source for name in ("validation", "test") for p in found[name]}
    assert "The same words." not in held_out and any(p.source == "The same words." for p in found["train"])
    assert report["left_out"]["verses of more than 32 words"] == 1
    pieces = Pieces(str(tmp_path / "out/pieces.model"), 64)
    one = found["test"][0]
    assert '"sons" - yea' in str(one.source) and pieces.decode(pieces.encode(one.target)) == one.target


def test_bad_verses_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}')
    for path, message in ((tmp_path / "x.json", "no list"), (tmp_path / "none.json", "cannot be read")):
        with pytest.raises(FmAudioError, match=message):
            verses.main([str(path), str(tmp_path / "out")])


def test_phrases_are_plain_and_each_stands_once() -> None:
    texts = ["A strong Wind!", "a strong wind", "the 3 bears", "so", "well-known facts; indeed", "x" * 60 + " y"]
    left_out: Counter[str] = Counter()
    kept = [pair.target for _, pair in phrases.phrases(texts, 2, 48, left_out)]
    assert kept == ["a strong wind", "well known facts indeed"] and sum(left_out.values()) == 4


def test_too_little_text_is_said(tmp_path: Path) -> None:
    for part in ("adj", "adv", "noun", "verb"):
        (tmp_path / f"data.{part}").write_text('1 | a gloss; "a phrase"\n')
    with pytest.raises(FmAudioError, match="too few pairs"):
        phrases.main([str(tmp_path), str(tmp_path / "out")])
