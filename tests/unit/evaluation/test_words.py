"""Words are compared by their sound: the same sound is no difference, and every difference has its name and place."""

from __future__ import annotations

import pytest

from fm_audio.evaluation.words import Difference, differences, edit_cost, same_sound, spoken_words

TEXT = "the two men shook hands at the twentieth time"


def compare(asked: str, heard: str, reference: str = "", tolerance: float = 0.34) -> list[Difference]:
    texts = (spoken_words(t).words for t in (asked, heard, reference))
    return differences(*texts, tolerance=tolerance)


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ("The buses halt half way.", "the busses halt halfway"),
        ("There, their flower!", "They're there flour"),
        ("She paid $4.50 on May 3rd.", "She paid four dollars fifty on May third"),
        ("a part of the whole", "apart of the hole"),
        ("the grey theatre", "the gray theater"),
        ("I'm sure it isn't.", "I’m sure it isn't"),
    ],
)
def test_what_sounds_the_same_is_the_same(asked: str, heard: str) -> None:
    assert compare(asked, heard, tolerance=0.15) == []


def test_a_name_spelled_by_ear_is_near() -> None:
    assert compare("apologized Whittemore", "apologized Whitmore") == []


@pytest.mark.parametrize(
    ("heard", "kind", "asked", "said"),
    [
        ("the two men shook at the twentieth time", "missing", "hands", ""),
        ("two men shook hands at the twentieth time", "missing", "the", ""),
        ("the two men shook hands at the", "missing", "twentieth time", ""),
        ("the two two men shook hands at the twentieth time", "repeated", "", "two"),
        ("the two men two men shook hands at the twentieth time", "repeated", "", "men two|two men"),
        ("the two men shook hands at the twentieth time time", "repeated", "", "time"),
        ("the two purple men shook hands at the twentieth time", "added", "", "purple"),
        ("the two men shook bananas at the twentieth time", "garbled", "hands", "bananas"),
        ("danger trail the two men shook hands at the twentieth time", "leaked", "", "danger trail"),
    ],
)
def test_a_fault_has_its_name_and_its_words(heard: str, kind: str, asked: str, said: str) -> None:
    [found] = compare(TEXT, heard, reference="author of the danger trail")
    assert found.kind == kind and " ".join(found.asked) == asked and " ".join(found.heard) in said.split("|")
    assert tuple(TEXT.split()[found.start : found.end]) == found.asked
    assert tuple(heard.split()[found.heard_start : found.heard_start + len(found.heard)]) == found.heard
    assert 0.34 < found.distance <= 1


def test_a_repetition_that_was_asked_for_is_none() -> None:
    assert compare("she had had it", "she had had it") == []
    [found] = compare("she had had it", "she had it")
    assert found.kind == "missing" and found.asked == ("had",)


def test_nothing_heard_is_everything_missing() -> None:
    [found] = compare(TEXT, "")
    assert found.kind == "missing" and found.asked == tuple(TEXT.split())


def test_other_languages_are_compared_by_letters() -> None:
    assert differences(["grüße"], ["grüsse"], language="de", tolerance=0.5) == []
    [found] = differences(["guten", "tag"], ["guten", "morgen"], language="de", tolerance=0.5)
    assert found.kind == "garbled" and found.asked == ("tag",)


def test_a_text_is_rewritten_in_its_own_writing() -> None:
    written = spoken_words("For $4.50, Tom left.")
    assert written.words == ("for", "four", "dollars", "fifty", "tom", "left")
    assert written.replaced(4, 5, ()) == "For $4.50, left."
    assert written.replaced(0, 1, ()) == "$4.50, Tom left."
    assert written.replaced(6, 6, ("quickly",)) == "For $4.50, Tom left. quickly"
    assert written.replaced(3, 4, ("cents",)) == "For four dollars cents Tom left.", "a number that is cut is written out"
    assert written.span(1, 3) == ["four", "dollars"] and written.span(1, 4) == ["$4.50,"]
    assert spoken_words("the men").replaced(0, 1, ()) == "men"
    assert spoken_words("The men").replaced(0, 1, ()) == "Men"


def test_distance_of_sounds_is_a_metric_on_examples() -> None:
    words = [("K", "AE", "T"), ("G", "AE", "T"), ("D", "AO", "G"), ("AH",), ()]
    for a in words:
        assert edit_cost(a, a) == 0
        for b in words:
            assert edit_cost(a, b) == pytest.approx(edit_cost(b, a))
            for c in words:
                assert edit_cost(a, c) <= edit_cost(a, b) + edit_cost(b, c) + 1e-9
    assert same_sound(["cat"], ["gat"]) and not same_sound(["cat"], ["dog"])
