"""Sentences for a teacher: readable, new, not held out, and rich in phones first."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.sentences import candidates, choose, main, runs_of_words, wordnet_examples
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.types import FmAudioError


def triples(sentences: list[str]) -> set[tuple[int, ...]]:
    ids = [Arpabet().encode(s).ids for s in sentences]
    return {t for row in ids for t in zip(row, row[1:], row[2:], strict=False)}


def test_candidates_are_sentences_that_nobody_knows() -> None:
    texts = [
        "a strong wind from the north", "A strong wind from the north!", "too short", "the NASA people said so",
        "it cost him 5 pounds", "we sat on the edge of a table", "they heard him before the rain", "what did you say to her?",
    ]  # fmt: skip
    kept = candidates(iter(texts), known=["They heard him, before the rain."], held_out=["On the edge of a cliff he stood."])
    assert kept == ["A strong wind from the north.", "What did you say to her?"]


def test_four_words_in_a_row_are_shared_words() -> None:
    assert runs_of_words("One, two, three four five.") == {"one two three four", "two three four five"}
    assert runs_of_words("Hello there!") == {"hello there"}


def test_the_seed_decides_where_more_than_are_drawn_could_be_chosen() -> None:
    many = [f"They gave {a} a {b} in the {c}." for a in ("Ann", "Bob", "him", "us") for b in "hat box rope map".split()
            for c in "rain dark attic field river".split()]  # fmt: skip
    assert choose(many, 5) == choose(many, 5) != choose(many, 5, seed=2)


def test_a_longer_choice_begins_with_the_shorter() -> None:
    sentences = candidates(iter(SENTENCES), [], [])
    assert choose(sentences, 6)[:3] == choose(sentences, 3)
    assert sorted(choose(sentences, 100)) == sorted(sentences)


def test_chosen_sentences_hold_more_of_the_language_than_the_same_number_at_hand() -> None:
    repeated = [f"The man said that {name} said that." for name in "Ann Bob Tom Jim Dan Ben Sam Ted".split()]
    chosen = choose([*repeated, *candidates(iter(SENTENCES), [], [])], 8)
    assert len(triples(chosen)) > 1.5 * len(triples(repeated))
    assert sum(s in repeated for s in chosen) <= 2


def test_the_command_reads_wordnet_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    for part in ("adj", "adv", "noun"):
        (tmp_path / f"data.{part}").write_text("  1 a licence line\n", encoding="utf-8")
    with pytest.raises(FmAudioError, match=r"data\.verb"):
        list(wordnet_examples(tmp_path))
    (tmp_path / "data.verb").write_text(
        '00001 v 01 run 0 000 | move fast; "the boys ran across the field"; "run"\n', encoding="utf-8"
    )
    out = tmp_path / "out.txt"
    main([str(out), "--wordnet", str(tmp_path)])
    assert out.read_text(encoding="utf-8") == "The boys ran across the field.\n"
    out.unlink()
    (tmp_path / "held.txt").write_text("The boys ran across a road.\nBoys ran across the field.\n", encoding="utf-8")
    for wrong, says in [
        ([], "--texts"),
        (["--wordnet", str(tmp_path), "--exclude-texts", str(tmp_path / "held.txt")], "none of 2"),
    ]:
        with pytest.raises(FmAudioError, match=says):
            main([str(out), *wrong])
    assert not out.exists() and not out.with_name("out.txt.part").exists()


SENTENCES = """the jury wished to hear the judge again
a yellow bird pecked at the garage roof
her nephew enjoys fishing by the river
they threw both boots through the window
the vision of pleasure was usual there
oil was boiling in the royal kitchen
cheap sheep chew grass beside the church
my uncle bought a thousand purple grapes""".splitlines()
