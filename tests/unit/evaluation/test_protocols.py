"""A protocol's fingerprint changes with everything that can change a number, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fm_audio.evaluation.protocols import load_protocol
from fm_audio.types import FmAudioError


def test_harvard40_is_forty_different_sentences() -> None:
    sentences = load_protocol("harvard40").sentences
    assert len(set(sentences)) == 40
    assert all(s[0].isupper() and s.endswith(".") and 5 <= len(s.split()) <= 12 for s in sentences)
    assert sentences[0] == "The birch canoe slid on the smooth planks."
    assert sentences[10] == "The boy was there when the sun rose."
    assert sentences[39] == "What joy there is in living."


def test_settings_are_chosen_on_other_sentences_than_the_judged() -> None:
    dev = load_protocol("harvard_dev30").sentences
    assert len(set(dev)) == 30 and not set(dev) & set(load_protocol("harvard40").sentences)


def test_fingerprint_knows_sentences_and_judges_but_not_the_name(tmp_path: Path) -> None:
    shipped = load_protocol("harvard40")
    (tmp_path / "mine.txt").write_text("\n\n".join(shipped.sentences) + "\n", encoding="utf-8")
    mine = load_protocol(str(tmp_path / "mine.txt"))
    assert mine.name == "mine"
    assert mine.fingerprint == shipped.fingerprint
    changed = [
        shipped.first(39),
        shipped.judged_by(name="whisper-base"),
        shipped.judged_by(name="whisper-base", beam=1),
        replace(shipped, language="de"),
        replace(shipped, normaliser=shipped.normaliser + 1),
        replace(shipped, sentences=(*shipped.sentences[1:], shipped.sentences[0])),
    ]
    prints = {shipped.fingerprint, *(p.fingerprint for p in changed)}
    assert len(prints) == 1 + len(changed)


def test_a_part_says_so() -> None:
    shipped = load_protocol("harvard40")
    assert shipped.first(10).name == "harvard40[:10]"
    assert shipped.first(40) == shipped.first(None) == shipped


def test_unknown_name_and_empty_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="harvard40"):
        load_protocol("havard40")
    empty, silent = tmp_path / "empty.txt", tmp_path / "silent.txt"
    empty.write_text("\n \n", encoding="utf-8")
    silent.write_text("Hello there.\n\n…\n", encoding="utf-8")
    with pytest.raises(FmAudioError, match="no sentence"):
        load_protocol(str(empty))
    with pytest.raises(FmAudioError, match="line 3"):
        load_protocol(str(silent))
