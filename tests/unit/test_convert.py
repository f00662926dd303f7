"""What converting promises of any family: no code is run, vocoders are joined as the config says, blanks lie where they must."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import instantiate, load_model, read_config, save_model
from fm_audio.cli import main
from fm_audio.convert.layout import read_tensors, write_folder
from fm_audio.data.text.frontend import Encoded
from fm_audio.data.text.matcha import SYMBOLS, with_blanks
from fm_audio.decoders.renormalised import Renormalised
from fm_audio.types import FmAudioError
from fm_audio.voices.cloner import load_cloner
from tests.unit.conftest import published


@pytest.fixture
def vocoder(tmp_path: Path) -> Path:
    """A folder with a small Vocos for mels that end at 1e-7."""
    node = {
        "class_path": "fm_audio.decoders.vocos.Vocos",
        "init_args": {"spec": {"log_floor": 1e-7}, "width": 8, "layers": 1, "hidden": 8},
    }
    return save_model(tmp_path / "vocos", node, instantiate(node).state_dict(), {"kind": "vocoder"})


def convert(folder: Path, *more: str) -> int:
    published(folder)
    vocabulary = ("--vocabulary", str(folder / "vocab.txt"))
    return main(["convert", "f5-v1", str(folder / "model.safetensors"), str(folder / "f5"), *vocabulary, *more])


def test_another_floor_is_allowed_by_name_only(vocoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = vocoder.parent
    assert convert(folder, "--vocoder", str(vocoder)) == 2
    printed = capsys.readouterr().err
    assert "1e-07" in printed and "1e-05" in printed and "--other-floor" in printed and not (folder / "f5").exists()
    assert convert(folder, "--vocoder", str(vocoder), "--other-floor") == 0
    assert read_config(folder / "f5")["vocoder"] == {"folder": "vocos", "other_floor": True}
    cloner: Any = load_cloner(folder / "f5")
    x, mask = torch.randn(1, 5, 100) - 5, torch.ones(1, 5, dtype=torch.bool)
    assert cloner.vocoder.spec == cloner.spec == AudioSpec(log_floor=1e-5)
    assert torch.equal(cloner.vocoder.decode(x, mask), load_model(vocoder).decode(x, mask))


def test_a_vocoder_of_the_same_mel_is_named_by_its_folder(vocoder: Path, tmp_path: Path) -> None:
    node = read_config(vocoder)["model"]
    node["init_args"]["spec"] = {}
    save_model(tmp_path / "same", node, instantiate(node).state_dict(), {"kind": "vocoder"})
    assert convert(tmp_path, "--vocoder", str(tmp_path / "same")) == 0
    assert read_config(tmp_path / "f5")["vocoder"] == "same"


def test_a_vocoder_elsewhere_is_refused(vocoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    assert convert(tmp_path / "below", "--vocoder", str(vocoder)) == 2
    assert "beside each other" in capsys.readouterr().err


def test_what_lies_below_the_decoders_floor_is_raised_to_it() -> None:
    class Same(nn.Module):
        spec = AudioSpec(bands=4, log_floor=1e-3)

        def decode(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)

    lower, mask = AudioSpec(bands=4, log_floor=1e-5, mean=-2.0, std=2.0), torch.ones(1, 1, dtype=torch.bool)
    joined = Renormalised(Same(), lower, other_floor=True)
    quiet = torch.tensor([[[-9.0, -1.0, 0.0, 1.0]]])
    assert joined.decode(quiet, mask)[0].tolist() == pytest.approx([Same.spec.floor, -4.0, -2.0, 0.0])
    with pytest.raises(FmAudioError, match="other_floor"):
        Renormalised(Same(), lower)
    with pytest.raises(FmAudioError, match="bands"):
        Renormalised(Same(), AudioSpec(bands=5), other_floor=True)


class Trap:
    """Unpickled, it runs a command."""

    def __init__(self, *command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.call, (list(self.command),)


def test_classes_beside_the_tensors_are_read_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vanished = types.ModuleType("vanished")

    class Config(dict):  # type: ignore[type-arg]
        pass

    class Node:
        def __init__(self) -> None:
            self.content = {"a": [1, 2]}

    Node.__module__ = Config.__module__ = "vanished"
    Node.__qualname__, Config.__qualname__, Config.__name__ = "Node", "AttributeDict", "AttributeDict"
    vars(vanished).update(Node=Node, AttributeDict=Config)
    weights = {"a": torch.randn(3)}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "vanished", vanished)
        beside = {
            "optimizer": functools.partial(torch.optim.Adam, lr=1e-3),
            "encoder": Node(),
            "all": Config(width=3),
            "lists": defaultdict(list, a=[1]),
            "trap": Trap("touch", str(tmp_path / "sprung")),
        }
        torch.save({"state_dict": weights, "hyper_parameters": beside}, tmp_path / "last.ckpt")
    read = read_tensors(tmp_path / "last.ckpt")
    assert torch.equal(read["state_dict"]["a"], weights["a"]) and read["hyper_parameters"]["all"] == {"width": 3}
    assert not (tmp_path / "sprung").exists()


def test_blanks_lie_between_all_symbols_and_words_stay_where_they_are() -> None:
    symbols = ["^", "a", "b", ",", " ", "c", "-", "^"]
    plain = Encoded(list(range(len(symbols))), symbols, [("ab", 1, 3), ("c", 5, 6)], {0: 0.5, 4: 0.2, 7: 1.0})
    encoded = with_blanks(plain)
    assert "".join(encoded.symbols) == "_a_b_,_ _c_—_"
    assert [SYMBOLS[i] for i in encoded.ids] == encoded.symbols
    assert ["".join(encoded.symbols[first:last]) for _, first, last in encoded.words] == ["a_b_", "c_"]
    assert encoded.pauses_seconds == {0: 0.5, 7: 0.2, 12: 1.0}
    with pytest.raises(FmAudioError, match="ℵ"):
        with_blanks(Encoded([0], ["ℵ"], []))


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def fails(path: Path) -> None:
        raise OSError("disk full")

    out = tmp_path / "back"
    with pytest.raises(FmAudioError, match="disk full"):
        write_folder(out, {"first": lambda path: path.write_text("1"), "second": fails})
    assert not list(tmp_path.iterdir())
    write_folder(out, {"first": lambda path: path.write_text("1")})
    with pytest.raises(FmAudioError, match="exists already"):
        write_folder(out, {"first": lambda path: path.write_text("2")})
    assert [p.name for p in tmp_path.iterdir()] == ["back"] and (out / "first").read_text() == "1"
