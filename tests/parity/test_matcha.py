"""Matcha-TTS's own network and ours, with the same random weights, say the same; and the weights go there and back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import fm_audio
from fm_audio.checkpoint import instantiate, load_model
from fm_audio.cli import main
from fm_audio.convert.matcha import from_matcha
from fm_audio.data.text.frontend import Encoded
from fm_audio.data.text.matcha import SYMBOLS
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.types import Cond, length_mask
from tests.parity.peers import close, matcha_package, shaken

pytestmark = pytest.mark.slow  # needs the peer's package
STATISTICS = {"ljspeech": {"mel_mean": -5.536622, "mel_std": 2.116101}, "vctk": {"mel_mean": -6.630575, "mel_std": 2.482914}}
SPEAKERS = {"ljspeech": 1, "vctk": 109}
SMALL = {"width": 32, "filters": 48, "layers": 2, "durations": 24, "channels": [16, 24], "heads": 1, "speaker": 8, "bands": 20}
PUBLISHED = {
    "width": 192,
    "filters": 768,
    "layers": 6,
    "durations": 256,
    "channels": [256, 256],
    "heads": 2,
    "speaker": 64,
    "bands": 80,
}


def matcha(name: str, sizes: dict[str, Any]) -> nn.Module:
    encoder = SimpleNamespace(
        n_feats=sizes["bands"], n_channels=sizes["width"], filter_channels=sizes["filters"], n_heads=2,
        n_layers=sizes["layers"], kernel_size=3, p_dropout=0.1, spk_emb_dim=sizes["speaker"], n_spks=1, prenet=True,
    )  # fmt: skip
    durations = SimpleNamespace(filter_channels_dp=sizes["durations"], kernel_size=3, p_dropout=0.1)
    decoder = {
        "channels": sizes["channels"], "dropout": 0.05, "attention_head_dim": 64, "n_blocks": 1, "num_mid_blocks": 2,
        "num_heads": sizes["heads"], "act_fn": "snakebeta",
    }  # fmt: skip
    with matcha_package():
        from matcha.models.matcha_tts import MatchaTTS

        torch.manual_seed(0)
        net = MatchaTTS(
            len(SYMBOLS), SPEAKERS[name], sizes["speaker"], sizes["bands"],
            SimpleNamespace(encoder_type="RoPE Encoder", encoder_params=encoder, duration_predictor_params=durations),
            decoder, SimpleNamespace(solver="euler", sigma_min=1e-4), STATISTICS[name], None,
        )  # fmt: skip
    shaken(net, 0.03)
    nn.init.constant_(net.encoder.proj_w.proj.bias, 1.2)
    return net


@pytest.fixture(scope="module", params=sorted(SPEAKERS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def pair(name: str) -> tuple[nn.Module, Any]:
    """Theirs, and ours with its weights."""
    theirs = matcha(name, SMALL)
    converted = from_matcha(theirs.state_dict())
    ours = instantiate(converted.node)
    ours.load_state_dict(converted.weights)
    return theirs, ours.eval()


class Fixed:
    """A front-end that reads every text as the same symbols."""

    symbols = SYMBOLS

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids

    def encode(self, text: str) -> Encoded:
        return Encoded(self.ids, [SYMBOLS[i] for i in self.ids], [("word", 0, len(self.ids))])


def said(theirs: nn.Module, ours: Any, ids: list[int], speaker: int, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mels (n bands) of both, from symbols on, with noise of no size."""
    ours.frontend = Fixed(ids)
    [made] = ours.generate([SpeechRequest("Word.", str(speaker))], Sampling(steps=steps, temperature=0.0))
    given = torch.tensor([ids]), torch.tensor([len(ids)])
    spks = torch.tensor([speaker]) if len(ours.speakers) > 1 else None
    expected = theirs.synthesise(*given, steps, temperature=0.0, spks=spks)  # type: ignore[operator]
    return made.mel, expected["decoder_outputs"][0].mT


def test_from_symbols_to_mel_both_say_the_same(pair: tuple[nn.Module, Any]) -> None:
    theirs, ours = pair
    frames = set()
    for symbols in (11, 14, 17):
        ids = torch.randint(len(SYMBOLS), (symbols,)).tolist()
        made, expected = said(theirs, ours, ids, len(ours.speakers) - 1, steps=4)
        close(made, expected)
        frames.add(len(made) % 4)
    assert frames - {0}, "lengths that are no multiple of four must be among them"


@pytest.mark.parametrize("n", [16, 13, 14, 3])
def test_one_velocity_of_noise_agrees(pair: tuple[nn.Module, Any], n: int) -> None:
    theirs, ours = pair
    filled = -(-n // 4) * 4
    x, mean, t = torch.randn(1, filled, 20), torch.randn(1, filled, 20), torch.tensor([0.37])
    speaker = torch.randn(1, ours.speaker.embedding_dim)
    mask = length_mask(torch.tensor([n]), filled)
    spks = speaker if speaker.numel() else None
    with torch.no_grad():
        expected = theirs.decoder.estimator(x.mT, mask[:, None].float(), mean.mT, t, spks).mT
        v = ours.head.velocity(x[:, :n], t, mask[:, :n], Cond(frames=mean[:, :n], vector=speaker))
    close(v, expected[:, :n])


def test_the_files_go_there_and_back_and_speak(pair: tuple[nn.Module, Any], tmp_path: Path) -> None:
    theirs, ours = pair
    torch.save({"state_dict": theirs.state_dict(), "epoch": 3}, tmp_path / "matcha.ckpt")
    assert main(["convert", "matcha", str(tmp_path / "matcha.ckpt"), str(tmp_path / "ours")]) == 0
    assert main(["convert", "matcha", str(tmp_path / "ours"), str(tmp_path / "back.ckpt")]) == 0
    before, after = theirs.state_dict(), torch.load(tmp_path / "back.ckpt", weights_only=True)["state_dict"]
    assert before.keys() == after.keys() and all(torch.equal(after[k], v) for k, v in before.items())
    voice = fm_audio.load(tmp_path / "ours")
    voice.model.frontend = Fixed([0, 40, 0, 41, 0])
    assert 0 < abs(voice.say("Word.").samples).max() <= 1
    assert voice.sampling == Sampling(steps=10, temperature=0.667)


def test_other_tensors_are_refused_by_name(
    pair: tuple[nn.Module, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = dict(pair[0].state_dict())
    key = "decoder.estimator.final_proj.bias"
    wrong = {
        "less.ckpt": ({"state_dict": {k: v for k, v in state.items() if k != key}}, f"{key} is missing"),
        "more.ckpt": ({"state_dict": state | {"other": torch.zeros(1)}}, "other is unknown"),
        "symbols.ckpt": ({"state_dict": state | {"encoder.emb.weight": torch.zeros(9, 32)}}, "has 9 symbols"),
        "none.ckpt": ({"model": state}, "holds no 'state_dict'"),
    }
    for file, (checkpoint, says) in wrong.items():
        torch.save(checkpoint, tmp_path / file)
        assert main(["convert", "matcha", str(tmp_path / file), str(tmp_path / "ours")]) == 2
        assert says in capsys.readouterr().err


def test_the_symbols_are_theirs() -> None:
    with matcha_package():
        from matcha.text.symbols import symbols

        assert tuple(symbols) == SYMBOLS


def test_at_published_size(name: str) -> None:
    theirs = matcha(name, PUBLISHED)
    assert sum(p.numel() for p in theirs.parameters()) == {"ljspeech": 18_204_193, "vctk": 20_857_569}[name]
    converted = from_matcha(theirs.state_dict())
    ours = instantiate(converted.node).eval()
    ours.load_state_dict(converted.weights)
    close(*said(theirs, ours, [0, 40, 0, 52, 0, 77, 0], 0, steps=1))


def test_folders_hold_what_was_converted(tmp_path: Path) -> None:
    torch.save({"state_dict": matcha("vctk", SMALL).state_dict()}, tmp_path / "matcha.ckpt")
    assert main(["convert", "matcha", str(tmp_path / "matcha.ckpt"), str(tmp_path / "ours")]) == 0
    assert len(load_model(tmp_path / "ours").speakers) == 109
