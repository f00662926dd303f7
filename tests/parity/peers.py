"""The peers' own packages, imported without what a forward pass does not need."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import logging
import math
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

REQUIRED = "FM_AUDIO_PEERS"
"""A variable of the environment: "required" turns the absence of a peer from a skipped test into a failed one."""


@contextmanager
def bare_packages(*names: str, absent: tuple[str, ...] = ()) -> Iterator[None]:
    """Inside, `names` are packages whose __init__ is not run, and `absent` modules are empty ones that allow any attribute.

    Where the first package is not installed, the test is skipped, or fails where `REQUIRED` says so; .ci/run installs all.
    """
    top = names[0].split(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        missing(top)
    before = set(sys.modules)
    without = {top for top in {name.split(".")[0] for name in absent} if importlib.util.find_spec(top) is None}
    try:
        for name, root in [(name, _root(name)) for name in names]:
            module = types.ModuleType(name)
            module.__path__ = [str(Path(root, *name.split(".")[1:]))]
            sys.modules[name] = module
        for name in absent:
            if name.split(".")[0] in without:
                sys.modules[name] = Anything(name)
        yield
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] in {*(n.split(".")[0] for n in (*names, *absent))}:
                del sys.modules[name]


def missing(package: str) -> NoReturn:
    """What a test does without its peer."""
    says = f"the peer's package {package} is not installed"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{says}, and {REQUIRED} says that it must be; see .ci/run")
    pytest.skip(f"{says}; {REQUIRED}=required would make this a failure")


def _root(name: str) -> str:
    """The folder of a name's top package."""
    package = importlib.util.find_spec(name.split(".")[0])
    assert package is not None and package.submodule_search_locations
    return package.submodule_search_locations[0]


class Anything(types.ModuleType):
    """A module that has every attribute, all of them None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


@contextmanager
def f5_package() -> Iterator[None]:
    """Inside, F5-TTS's networks and mels can be imported; torchaudio has nothing in it."""
    with bare_packages("f5_tts.model", "f5_tts.model.backbones", "x_transformers", absent=("torchaudio", "rjieba", "pypinyin")):
        layers = importlib.import_module("x_transformers.x_transformers")
        sys.modules["x_transformers"].RMSNorm = layers.RMSNorm  # type: ignore[attr-defined]
        yield


@contextmanager
def bigvgan_package() -> Iterator[None]:
    """Inside, `bigvgan.bigvgan` and `bigvgan.meldataset` can be imported."""
    with bare_packages("bigvgan"):
        yield


@contextmanager
def vocos_package() -> Iterator[None]:
    """Inside, `vocos.pretrained` can be imported; torchaudio's mel is a stand-in where torchaudio is not installed."""
    torchaudio = ("torchaudio", "torchaudio.functional", "torchaudio.functional.functional")
    with bare_packages("vocos", absent=(*torchaudio, "encodec", "huggingface_hub")):
        if isinstance(sys.modules.get("torchaudio"), Anything):
            sys.modules["torchaudio"].transforms = types.SimpleNamespace(MelSpectrogram=MelSpectrogram)  # type: ignore[attr-defined]
        yield


class MelSpectrogram(nn.Module):
    """torchaudio's at power 1, centred: HTK mels without a norm, in float32, its two buffers under their own names."""

    def __init__(self, sample_rate: int, n_fft: int, hop_length: int, n_mels: int, center: bool, power: int) -> None:
        super().__init__()
        assert center and power == 1
        self.n_fft, self.hop_length, self.win_length = n_fft, hop_length, n_fft
        self.spectrogram: Any = nn.Module()
        self.mel_scale: Any = nn.Module()
        self.spectrogram.register_buffer("window", torch.hann_window(n_fft))
        highest = 2595 * math.log10(1 + sample_rate / 2 / 700)
        edges = 700 * (10 ** (torch.linspace(0, highest, n_mels + 2) / 2595) - 1)
        slopes = edges - torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
        rising, falling = -slopes[:, :-2] / edges.diff()[:-1], slopes[:, 2:] / edges.diff()[1:]
        self.mel_scale.register_buffer("fb", torch.minimum(rising, falling).clamp(min=0))

    def forward(self, audio: Tensor) -> Tensor:
        """(b s) -> (b bands n)."""
        spectrum = torch.stft(audio, self.n_fft, self.hop_length, window=self.spectrogram.window, return_complex=True)
        return (spectrum.abs().mT @ self.mel_scale.fb).mT


@contextmanager
def matcha_package() -> Iterator[None]:
    """Inside, Matcha-TTS's modules can be imported without Lightning, hydra and its compiled alignment search."""
    stand_ins: dict[str, dict[str, Any]] = {
        "matcha.utils.pylogger": {"get_pylogger": logging.getLogger},
        "matcha.utils.monotonic_align": {},
        "matcha.models.baselightningmodule": {"BaseLightningClass": Unlightning},
    }
    packages = ("matcha", "matcha.text", "matcha.utils", "matcha.hifigan", "matcha.models", "matcha.models.components")
    with bare_packages(*packages):
        for name, attributes in stand_ins.items():
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(attributes)
        sys.modules["matcha.utils"].get_pylogger = logging.getLogger  # type: ignore[attr-defined]
        yield


class Unlightning(nn.Module):
    """What Matcha-TTS's network needs of its Lightning base class."""

    def save_hyperparameters(self, logger: bool) -> None:
        pass

    def update_data_statistics(self, statistics: dict[str, float]) -> None:
        for name, value in statistics.items():
            self.register_buffer(name, torch.tensor(value))


def shaken(net: nn.Module, amount: float) -> nn.Module:
    """The same network with every parameter moved at random, so that none of them can be overlooked."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
    return net.eval()


def close(ours: Tensor, theirs: Tensor) -> None:
    """Alike to 1e-5 of the largest value."""
    assert ours.shape == theirs.shape
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    print(f"largest difference {difference:.1e} of the largest value")
    assert difference <= 1e-5
