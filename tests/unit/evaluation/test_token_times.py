"""What a model knows at each t: points tell more the less noise they have, and a network that learnt nothing adds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fm_audio.backbones.dit import DiT
from fm_audio.data.text.pairs import Pair
from fm_audio.data.text.vocabulary import Letters
from fm_audio.evaluation.token_times import TIMES, Known, known, laid, main
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_to_text import TextToText
from tests.unit.evaluation.test_projection import NET, saved

PAIRS = [Pair("badge", "egdab"), Pair("cab", "bac"), Pair("a", "a")] * 8
VOCABULARY = Letters("abcdefgh", longest=6)


def model(in_place: bool) -> TextToText | TextInPlace:
    torch.manual_seed(0)
    given = {"channels": 32, "text_width": 16, "text_layers": 1, "text_heads": 2}
    if in_place:
        return TextInPlace(VOCABULARY, VOCABULARY, DiT(**NET), **given).eval()  # type: ignore[arg-type]
    return TextToText(VOCABULARY, VOCABULARY, DiT(**NET, tokens_width=16), **given).eval()  # type: ignore[arg-type]


def rows(found: list[Known], kind: str) -> dict[float, Known]:
    return {row.t: row for row in found if row.kind == kind}


@pytest.mark.parametrize("in_place", [False, True])
def test_what_learnt_nothing_knows_what_its_points_show(in_place: bool) -> None:
    found = known(laid(model(in_place), PAIRS))
    assert all(row.nats == pytest.approx(0.0, abs=1e-4) for row in found)
    noisy, noiseless = rows(found, "noisy"), rows(found, "noiseless")
    assert noisy[0.0].wrong > 0.6 > noisy[0.3].wrong > noisy[0.95].wrong == 0.0
    assert all(row.wrong == 0.0 for t, row in noiseless.items() if t > 0.0)
    assert noisy[0.0].sure == pytest.approx(1 / len(VOCABULARY.symbols)) and noisy[0.95].sure > 0.99


def test_what_the_network_says_against_its_points_is_seen() -> None:
    contrary = model(False)
    port = contrary.writer.head.ports["text"]  # type: ignore[union-attr]
    token = VOCABULARY.encode("a")[0]
    with torch.no_grad():
        port.bias[token] = -80.0  # type: ignore[index]
    found = known(laid(contrary, [Pair("aaa", "aaa")]), (0.0, 0.5))
    half = rows(found, "noiseless")[0.5]
    assert half.wrong == pytest.approx(0.6) and half.nats < -30.0, "three of five places: the end and one padding are not a"


def test_the_command_says_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, pairs, report = saved(tmp_path / "m", "text_to_text.TextToText"), tmp_path / "p.tsv", tmp_path / "r.json"
    pairs.write_text("cab\tbac\nbad\tdab\n")
    assert main([folder, str(pairs), "--limit", "1", "--json", str(report)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(TIMES)
    assert len(json.loads(report.read_text())["rows"]) == 3 * len(TIMES)
    in_turn = saved(tmp_path / "t", "autoregressive_text.AutoregressiveText")
    for given, message in (
        ([in_turn, str(pairs)], "has no table of tokens"),
        ([folder, str(pairs), "--times", "1.5"], "from 0 to 1"),
    ):
        assert main(given) == 2 and message in capsys.readouterr().err
    pairs.write_text("bac\n")
    assert main([folder, str(pairs)]) == 2 and "two columns" in capsys.readouterr().err
