"""BigVGAN's own generator and ours: the same sound from the same weights, and the published folder there and back."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import load_model
from fm_audio.cli import main
from fm_audio.convert.bigvgan import CONFIG, WEIGHTS, arguments_of
from fm_audio.convert.f5 import MELS
from fm_audio.convert.hifigan import GENERATOR
from fm_audio.decoders.bigvgan import BigVGAN
from fm_audio.types import length_mask
from tests.parity.peers import bigvgan_package, close, shaken

pytestmark = pytest.mark.slow  # needs the peer's package
PUBLISHED: dict[str, Any] = {
    "resblock": "1", "upsample_rates": [4, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536, "resblock_kernel_sizes": [3, 7, 11], "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "use_tanh_at_final": False, "use_bias_at_final": False, "activation": "snakebeta", "snake_logscale": True,
    "num_mels": 100, "num_freq": 1025, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 24_000,
    "fmin": 0, "fmax": None, "learning_rate": 1e-4, "normalize_volume": True,
}  # fmt: skip
SMALL = PUBLISHED | {"upsample_initial_channel": 64, "num_mels": 20}
SIZES = {"small": SMALL, "published": PUBLISHED}


def generator(config: dict[str, Any]) -> nn.Module:
    with bigvgan_package(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bigvgan.bigvgan import BigVGAN
        from bigvgan.env import AttrDict

        torch.manual_seed(0)
        return BigVGAN(AttrDict(config))


def folder_of(state: dict[str, Tensor], config: dict[str, Any], folder: Path) -> Path:
    folder.mkdir()
    torch.save({GENERATOR: state}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


@torch.no_grad()
def audible(net: nn.Module) -> nn.Module:
    """The last convolution scaled so that the sound is as loud as speech and nothing is cut off."""
    last, mel = net.conv_post.weight_g, torch.randn(1, net.conv_pre.in_channels, 5) * 2 - 5  # type: ignore[union-attr]
    last.fill_(1e-6)  # type: ignore[operator]
    last.mul_(0.3 / net(mel).abs().max())  # type: ignore[operator]
    return net


@pytest.fixture(scope="module", params=sorted(SIZES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module, Any]:
    """A published folder, its network and ours."""
    root, config = tmp_path_factory.mktemp("bigvgan"), SIZES[request.param]
    theirs = audible(shaken(generator(config), 0.1 if request.param == "small" else 0.01))
    folder_of(theirs.state_dict(), config, root / "published")
    assert main(["convert", "bigvgan", str(root / "published"), str(root / "ours")]) == 0
    return root, theirs, load_model(root / "ours")


def test_the_same_mel_makes_the_same_sound(pair: tuple[Path, nn.Module, Any]) -> None:
    _, theirs, ours = pair
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    x = torch.randn(1, 5, ours.spec.bands) * 2 - 5
    with torch.no_grad():
        expected = theirs(x.mT)[:, 0]
    assert 1e-3 < expected.std() < 0.9 and expected.abs().max() < 1
    close(ours.decode(x, torch.ones(1, 5, dtype=torch.bool)), expected)


def test_an_item_in_company_is_theirs_alone(pair: tuple[Path, nn.Module, Any]) -> None:
    _, theirs, ours = pair
    lengths = torch.tensor([5, 2, 1])
    x, mask = torch.randn(3, 5, ours.spec.bands) * 2 - 5, length_mask(lengths)
    together = ours.decode(x.masked_fill(~mask[..., None], torch.nan), mask)
    for i, n in enumerate(lengths.tolist()):
        with torch.no_grad():
            close(together[i, : 256 * n], theirs(x[i : i + 1, :n].mT)[0, 0])


def test_the_folder_goes_there_and_back(pair: tuple[Path, nn.Module, Any], tmp_path: Path) -> None:
    root, theirs, _ = pair
    assert main(["convert", "bigvgan", str(root / "ours"), str(tmp_path / "back")]) == 0
    before, after = theirs.state_dict(), torch.load(tmp_path / "back" / WEIGHTS, weights_only=True)[GENERATOR]
    assert before.keys() == after.keys() and all(torch.equal(after[k], v) for k, v in before.items())
    texts = [json.loads((folder / CONFIG).read_text()) for folder in (root / "published", tmp_path / "back")]
    assert texts[0] == texts[1]


def test_a_file_with_folded_weight_norm_stays_folded(tmp_path: Path) -> None:
    theirs = audible(shaken(generator(SMALL), 0.1))
    theirs.remove_weight_norm()  # type: ignore[operator]
    before = theirs.state_dict()
    folder_of(before, SMALL, tmp_path / "published")
    assert main(["convert", "bigvgan", str(tmp_path / "published"), str(tmp_path / "ours")]) == 0
    x = torch.randn(1, 5, 20) * 2 - 5
    with torch.no_grad():
        close(load_model(tmp_path / "ours").decode(x, torch.ones(1, 5, dtype=torch.bool)), theirs(x.mT)[:, 0])
    assert main(["convert", "bigvgan", str(tmp_path / "ours"), str(tmp_path / "back")]) == 0
    after = torch.load(tmp_path / "back" / WEIGHTS, weights_only=True)[GENERATOR]
    assert before.keys() == after.keys() and all(torch.equal(after[k], v) for k, v in before.items())


def test_our_defaults_are_the_published_size() -> None:
    defaults = inspect.signature(BigVGAN).parameters
    given = arguments_of(PUBLISHED, "published")
    assert all(list(defaults[name].default) == list(value) for name, value in given.items() if name not in ("spec", "channels"))
    assert defaults["channels"].default == given["channels"]
    assert AudioSpec.from_contract(given["spec"]) == AudioSpec.from_contract(MELS["bigvgan"]), "as F5-TTS has them"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"use_tanh_at_final": True}, "has use_tanh_at_final True; this family, version 2, has False"),
        ({"activation": "snake"}, "has activation 'snake'"),
        ({"resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 2]]}, "the same ones for every kernel"),
        ({"hop_size": 512}, "the hop_size is 512"),
        ({"num_mels": 80}, "conv_pre is (64, 20, 7), config.json says (64, 80, 7)"),
        ({"upsample_kernel_sizes": [8, 8, 4, 4, 4, 8]}, "ups.5.0 is (2, 1, 4), config.json says (2, 1, 8)"),
        ({"resblock_kernel_sizes": [3, 7, 9]}, "resblocks.2.convs1.0 is (32, 32, 11), config.json says (32, 32, 9)"),
        ({"num_mels": None}, "lacks num_mels"),
        ({"upsample_rates": [4, 4, 2, 2, 4], "upsample_kernel_sizes": [8, 8, 4, 4, 8]}, "is unknown"),
        ({"resblock_dilation_sizes": [[1, 3]] * 3}, "is unknown"),
    ],
)
def test_other_configurations_are_refused(
    change: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {k: v for k, v in (SMALL | change).items() if v is not None or k == "fmax"}
    folder_of(generator(SMALL).state_dict(), config, tmp_path / "published")
    assert main(["convert", "bigvgan", str(tmp_path / "published"), str(tmp_path / "ours")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "ours").exists()


def test_other_tensors_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, key = dict(generator(SMALL).state_dict()), "resblocks.3.activations.2.upsample.filter"
    wrong = {
        "less": ({k: v for k, v in state.items() if k != "activation_post.act.beta"}, "activation_post.act.beta is missing"),
        "more": (state | {"conv_post.bias": torch.zeros(1)}, "conv_post.bias is unknown"),
        "filter": (state | {key: state[key].flip(-1) * 1.01}, f"{key} is not the low pass"),
    }
    for name, (tensors, says) in wrong.items():
        folder_of(tensors, SMALL, tmp_path / name)
        assert main(["convert", "bigvgan", str(tmp_path / name), str(tmp_path / "ours")]) == 2
        assert says in capsys.readouterr().err and not (tmp_path / "ours").exists()
