"""Vocabularies give texts back as they were, and say what they cannot take."""

from __future__ import annotations

from pathlib import Path

import pytest

from fm_audio.data.text.edits import edit_distance, least_risk
from fm_audio.data.text.vocabulary import (
    END,
    PAD,
    Dealt,
    Letters,
    LettersAndPhones,
    Phones,
    Pieces,
    Symbols,
    Vocabulary,
    Words,
)
from fm_audio.types import FmAudioError


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    from sentencepiece import SentencePieceTrainer

    folder = tmp_path_factory.mktemp("pieces")
    SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "a dog sat on a log"] * 20), model_prefix=str(folder / "p"),
        vocab_size=30, model_type="bpe", minloglevel=2,
    )  # fmt: skip
    return Pieces(str(folder / "p.model"), 12)


def test_there_and_back(pieces: Pieces) -> None:
    vocabularies: list[tuple[Vocabulary, str]] = [
        (Letters(), "o'clock"), (Symbols(["do", "re", "mi"]), "re do do mi"), (Phones(), "F L IH1 B"),
        (Phones(stress=False), "F L IH B"), (pieces, "the dog sat"), (LettersAndPhones(), "o'clock at ten"),
        (LettersAndPhones(), "F L IH1 B"), (Words("a dog"), "a dog's on a log"),
    ]  # fmt: skip
    for v, text in vocabularies:
        assert isinstance(v, Vocabulary)
        ids = v.encode(text)
        assert PAD not in ids and END not in ids and max(ids) < len(v.symbols) and len(set(v.symbols)) == len(v.symbols)
        assert v.decode(ids) == text
        assert v.decode([*ids, END, ids[0], PAD]) == text, "nothing after the end"
        assert v.decode([]) == ""


def test_what_is_dealt_to_letters_is_joined_again() -> None:
    v = Dealt(["_", "F", "IH1", "K+S"], 5)
    assert isinstance(v, Vocabulary) and v.decode(v.encode("F _ IH1 K+S")) == "F IH1 K S" and v.decode(v.encode("_ _")) == ""
    assert v.decode([*v.encode("F"), END, *v.encode("F")]) == "F"


def test_letters_and_phones_are_told_apart() -> None:
    v = LettersAndPhones("abcd ", 6)
    assert v.symbols[:8] == ("<pad>", "<end>", "a", "b", "c", "d", " ", "B")
    assert v.encode("B") == [7] and v.encode("b") == [3] and v.encode(" B  AE1\nD ") == v.encode("B AE1 D")
    assert v.encode("B A") == v.encode("b a"), "what is not phones throughout is letters"
    assert v.decode([*v.encode("ab"), *v.encode("B D"), *v.encode("c a")]) == "ab B D c a"
    refused = {"B IH9 D": "'i' is none", "B " * 7: "7 symbols; at most 6", "abcdabc": "7 characters", "": "empty"}
    for text, message in refused.items():
        with pytest.raises(FmAudioError, match=message):
            v.encode(text)


def test_letters_stand_beside_what_is_dealt_to_them() -> None:
    v = LettersAndPhones("abcd ", 6, ["_", "AE1", "K+S", "T"])
    assert v.symbols[7:] == ("_", "AE1", "K+S", "T") and v.encode("K+S _ AE1") == [9, 7, 8]
    assert v.decode([*v.encode("a b"), *v.encode("T _ K+S")]) == "a b T K S" and v.decode(v.encode("_")) == ""
    with pytest.raises(FmAudioError, match="not so: .'a'"):
        LettersAndPhones("ab ", 6, ["a", "T"])


def test_words_that_are_not_known_are_spelled() -> None:
    v = Words("a dog", "adgs ", 6)
    assert v.symbols == ("<pad>", "<end>", "a", "d", "g", "s", " ", "a ", "dog ")
    assert v.encode(" A\ndog") == [7, 8] and v.encode("sad a") == [5, 2, 3, 6, 7]
    refused = {"cat": "'c' is none of the characters", "sad sad": "8 words and letters; at most 6", " ": "empty"}
    for text, message in refused.items():
        with pytest.raises(FmAudioError, match=message):
            v.encode(text)
    with pytest.raises(FmAudioError, match="no space"):
        Words("a dog", "adg")
    with pytest.raises(FmAudioError, match="not so: .'a '"):
        Words("a dog a")


def test_letters_are_written_in_one_way() -> None:
    assert Letters("abc é").encode(" A  e\u0301\n") == Letters("abc é").encode("a é")
    with pytest.raises(FmAudioError, match="'A' is none of the characters"):
        Letters("abc", lower=False).encode("A")


def test_what_is_refused_is_said(pieces: Pieces) -> None:
    for v in (Letters(longest=5), Phones(longest=5), Symbols(["a"], 5), pieces):
        with pytest.raises(FmAudioError, match="empty"):
            v.encode("  ")
    with pytest.raises(FmAudioError, match="10000 characters; at most 5 are allowed") as caught:
        Letters(longest=5).encode("a" * 10_000)
    assert len(str(caught.value)) < 200
    with pytest.raises(FmAudioError, match="'ñ' is none of the characters that this model knows, 'abc"):
        Letters("abcdefo").encode("ñ")
    with pytest.raises(FmAudioError, match="'AA3' is none of the symbols"):
        Phones().encode("AA1 AA3")
    with pytest.raises(FmAudioError, match="none of the symbols"):
        Symbols(["a"]).encode("<end>")
    with pytest.raises(FmAudioError, match="does not know"):
        pieces.encode("ЖЖ")
    with pytest.raises(FmAudioError, match="at most 12"):
        pieces.encode("the cat " * 9)
    with pytest.raises(FmAudioError, match="no file"):
        Pieces("nowhere.model").encode("a")


def test_bad_vocabularies_are_refused() -> None:
    for make in (
        lambda: Letters("aab"), lambda: Letters(""), lambda: Letters("aB"), lambda: Letters("ab", longest=0),
        lambda: Symbols(["a", "a"]), lambda: Symbols([]), lambda: Symbols(["a b"]), lambda: Symbols(["<pad>"]),
    ):  # fmt: skip
        with pytest.raises(FmAudioError):
            make()


def test_edits_are_the_fewest() -> None:
    assert edit_distance("kitten", "sitting") == 3 and edit_distance("", "abc") == 3 and edit_distance("abc", "abc") == 0
    assert edit_distance(["HH", "AH0"], ["HH"]) == 1


def test_least_risk_is_in_the_middle_and_the_first_of_equals() -> None:
    assert least_risk(["xyz", "abcd", "abce", "abcd"]) == 1
    assert least_risk(["a", "b"]) == 0 and least_risk(["", ""]) == 0 and least_risk(["q"]) == 0


def test_paths_are_plain(tmp_path: Path) -> None:
    (tmp_path / "bad.model").write_text("no model")
    with pytest.raises(FmAudioError, match="no SentencePiece model"):
        Pieces(str(tmp_path / "bad.model")).encode("a")
