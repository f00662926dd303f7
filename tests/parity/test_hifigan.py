"""HiFi-GAN's own generator, as Matcha-TTS ships it, and ours: the same sound from the same weights, in every spelling."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.checkpoint import load_model
from fm_audio.cli import main
from fm_audio.convert.hifigan import GENERATOR, SPELLINGS
from tests.parity.peers import close, matcha_package, shaken

pytestmark = pytest.mark.slow  # needs the peer's package
PARAMETERS = {512: 13_936_130}


def generator(channels: int) -> nn.Module:
    with matcha_package(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matcha.hifigan.config import v1
        from matcha.hifigan.models import Generator

        torch.manual_seed(0)
        return Generator(SimpleNamespace(**{**v1, "upsample_initial_channel": channels}))


def spelt(net: nn.Module, spelling: str) -> dict[str, Tensor]:
    """The network's tensors under another torch's names; folding changes the network too."""
    if spelling == "folded":
        net.remove_weight_norm()  # type: ignore[operator]
    state, names = dict(net.state_dict()), zip(SPELLINGS["weight_g"], SPELLINGS[spelling], strict=False)
    for old, new in names if spelling == "parametrizations" else ():
        state = {k.removesuffix(old) + new if k.endswith(old) else k: v for k, v in state.items()}
    return state


@pytest.mark.parametrize("channels", [32, 512])
@pytest.mark.parametrize("spelling", sorted(SPELLINGS))
def test_the_same_sound_and_the_same_file_again(spelling: str, channels: int, tmp_path: Path) -> None:
    theirs = shaken(generator(channels), 0.01 if channels == 512 else 0.05)
    assert sum(p.numel() for p in theirs.parameters()) == PARAMETERS.get(channels, sum(p.numel() for p in theirs.parameters()))
    before = spelt(theirs, spelling)
    torch.save({GENERATOR: before, "steps": 7}, tmp_path / "generator_v1")
    assert main(["convert", "hifigan", str(tmp_path / "generator_v1"), str(tmp_path / "ours")]) == 0
    ours: Any = load_model(tmp_path / "ours")
    x = torch.randn(1, 9, 80) * 2 - 5
    with torch.no_grad():
        expected = theirs(x.mT)[:, 0]
    assert 1e-3 < expected.std() < 0.9
    close(ours.decode(x, torch.ones(1, 9, dtype=torch.bool)), expected)
    assert main(["convert", "hifigan", str(tmp_path / "ours"), str(tmp_path / "back")]) == 0
    after = torch.load(tmp_path / "back", weights_only=True)[GENERATOR]
    assert before.keys() == after.keys() and all(torch.equal(after[k], v) for k, v in before.items())


def test_other_tensors_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = dict(generator(32).state_dict())
    wrong = {
        "less": ({k: v for k, v in state.items() if k != "ups.1.bias"}, "ups.1.bias is missing"),
        "more": (state | {"resblocks.0.convs.0.bias": torch.zeros(1)}, "resblocks.0.convs.0.bias is unknown"),
        "none": ({"weight": torch.zeros(1)}, "conv_pre.weight is missing"),
        "short": (state | {"ups.0.weight_v": torch.zeros(32, 16, 8)}, "do not make 256 samples"),
    }
    for name, (tensors, says) in wrong.items():
        torch.save({GENERATOR: tensors}, tmp_path / name)
        assert main(["convert", "hifigan", str(tmp_path / name), str(tmp_path / "ours")]) == 2
        assert says in capsys.readouterr().err
    torch.save({GENERATOR: state}, tmp_path / "right")
    for more, says in ((["--other-floor"], "give --vocoder too"), (["--vocoder", str(tmp_path)], "is a vocoder itself")):
        assert main(["convert", "hifigan", str(tmp_path / "right"), str(tmp_path / "ours"), *more]) == 2
        assert says in capsys.readouterr().err and not (tmp_path / "ours").exists()
    torch.save(state, tmp_path / "bare")
    assert main(["convert", "hifigan", str(tmp_path / "bare"), str(tmp_path / "ours")]) == 2
    assert "holds no 'generator'" in capsys.readouterr().err
