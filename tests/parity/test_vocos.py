"""Vocos's own network, mel and files, and ours: the same sound from the same weights, and the way there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from fm_audio.checkpoint import load_model, read_config
from fm_audio.cli import main
from tests.parity.peers import close, shaken, vocos_package

pytestmark = pytest.mark.slow  # needs the peer's package


def config(rate: int, n_fft: int, hop: int, bands: int, width: int, hidden: int, layers: int) -> dict[str, Any]:
    stft = {"n_fft": n_fft, "hop_length": hop}
    return {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
            "init_args": {"sample_rate": rate, **stft, "n_mels": bands, "padding": "center"},
        },
        "backbone": {
            "class_path": "vocos.models.VocosBackbone",
            "init_args": {"input_channels": bands, "dim": width, "intermediate_dim": hidden, "num_layers": layers},
        },
        "head": {"class_path": "vocos.heads.ISTFTHead", "init_args": {"dim": width, **stft, "padding": "center"}},
    }


SIZES = {"small": (8000, 256, 64, 20, 32, 48, 3), "published": (24_000, 1024, 256, 100, 512, 1536, 8)}


def theirs_of(folder: Path) -> nn.Module:
    with vocos_package():
        from vocos.pretrained import Vocos

        return Vocos.from_hparams(str(folder / "config.yaml"))


@pytest.fixture(scope="module", params=sorted(SIZES))
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A folder as it is published, converted beside it to `ours`; and the peer's model of it."""
    root = tmp_path_factory.mktemp("vocos")
    (root / "published").mkdir()
    (root / "published/config.yaml").write_text(yaml.safe_dump(config(*SIZES[request.param])))
    torch.manual_seed(0)
    theirs = shaken(theirs_of(root / "published"), 0.03)
    torch.save(theirs.state_dict(), root / "published/pytorch_model.bin")
    assert main(["convert", "vocos", str(root / "published"), str(root / "ours")]) == 0
    return root, theirs


def test_the_same_mel_makes_the_same_sound(published: tuple[Path, nn.Module]) -> None:
    root, theirs = published
    ours: Any = load_model(root / "ours")
    x = torch.randn(1, 23, ours.spec.bands) * 2 - 4
    expected = theirs.decode(x.mT)
    made = ours.decode(x, torch.ones(1, 23, dtype=torch.bool))
    assert expected.abs().max() > 1e-3
    close(made[:, : expected.shape[1]], expected)  # theirs ends on the last frame's centre


def test_the_same_sound_makes_the_same_mel(published: tuple[Path, nn.Module]) -> None:
    root, theirs = published
    spec = load_model(root / "ours").spec
    wave = torch.randn(1, 20 * spec.hop_samples) * torch.linspace(0, 0.5, 20 * spec.hop_samples)
    wave[:, 8 * spec.hop_samples : 14 * spec.hop_samples] = 0
    expected = theirs.feature_extractor(wave).mT[:, :20]
    close(spec.log_mel(wave), expected)
    assert expected.min() == pytest.approx(spec.floor)


def test_the_files_go_there_and_back(published: tuple[Path, nn.Module], tmp_path: Path) -> None:
    root, theirs = published
    assert main(["convert", "vocos", str(root / "ours"), str(tmp_path / "back")]) == 0
    before = torch.load(root / "published/pytorch_model.bin", weights_only=True)
    after = torch.load(tmp_path / "back/pytorch_model.bin", weights_only=True)
    assert before.keys() == after.keys() and all(torch.equal(after[k], v) for k, v in before.items())
    read = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in (root / "published", tmp_path / "back")]
    assert read[0] == read[1]
    theirs_of(tmp_path / "back").load_state_dict(after)


@pytest.mark.parametrize(
    ("part", "key", "value", "says"),
    [
        ("backbone", "adanorm_num_embeddings", 4, "adanorm_num_embeddings"),
        ("head", "padding", "same", "needs 'center'"),
        ("head", "n_fft", 128, "n_fft"),
        ("feature_extractor", "sample_rate", 16_000, "mel_scale.fb is not what"),
    ],
)
def test_other_kinds_are_refused(
    part: str, key: str, value: Any, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = config(*SIZES["small"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(sizes))
    torch.save(theirs_of(tmp_path).state_dict(), tmp_path / "pytorch_model.bin")
    sizes[part]["init_args"][key] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(sizes))
    assert main(["convert", "vocos", str(tmp_path), str(tmp_path / "ours")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "ours").exists()


def test_other_tensors_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(*SIZES["small"])))
    state = theirs_of(tmp_path).state_dict()
    del state["head.out.bias"]
    torch.save(state | {"extra": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert main(["convert", "vocos", str(tmp_path), str(tmp_path / "ours")]) == 2
    printed = capsys.readouterr().err
    assert "head.out.bias is missing" in printed and "extra is unknown" in printed


def test_the_folder_says_where_it_came_from(published: tuple[Path, nn.Module]) -> None:
    said = read_config(published[0] / "ours")
    assert said["kind"] == "vocoder" and said["converted_from"] == "vocos"
    assert said["model"]["init_args"]["spec"]["log_floor"] == 1e-7
