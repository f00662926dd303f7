"""HiFi-GAN v1 and v2 (Kong et al. 2020, arXiv 2010.05646; as Matcha-TTS uses it): {"generator": tensors} as `HiFiGAN`, and back.

Weight norm is kept: g and v, in either of torch's spellings, become the parametrised weights of ours, and the way back writes the
spelling that was read. A file whose weight norm was folded stays folded. All three come back bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fm_audio.checkpoint import load_model, read_config
from fm_audio.convert.layout import Converted, Entry, State, count, read_tensors, shape_of, to_ours, to_theirs, write_whole
from fm_audio.types import FmAudioError

GENERATOR = "generator"
SPELLINGS = {
    "weight_g": ("weight_g", "weight_v"),
    "parametrizations": ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    "folded": ("weight",),
}
DILATIONS = (1, 3, 5)
MEL = {
    "sample_rate": 22_050, "n_fft": 1024, "hop_samples": 256, "window_samples": 1024, "fmin_hz": 0.0, "fmax_hz": 8000.0,
    "filter_scale": "slaney", "filter_norm": "slaney", "centred": False, "log_floor": 1e-5, "magnitude_epsilon": 1e-9,
}  # fmt: skip


def forth(source: Path) -> Converted:
    """A published generator (`generator_v1`, `g_02500000`), with or without other parts of its training beside it."""
    return from_hifigan(generator_of(source), str(source))


def generator_of(source: Path) -> State:
    """What a file of {"generator": tensors} holds there."""
    state = read_tensors(source).get(GENERATOR)
    if not isinstance(state, Mapping):
        raise FmAudioError(f"{source}: holds no {GENERATOR!r}; give a published generator")
    return dict(state)


def spelling_of(state: Mapping[str, Tensor], where: str) -> str:
    """Which of `SPELLINGS` the tensors have."""
    spelling = next((s for s, parts in SPELLINGS.items() if f"conv_pre.{parts[-1]}" in state), None)
    if spelling is None:
        raise FmAudioError(f"{where}: not this family's layout: conv_pre.weight is missing; choose the family it comes from")
    return spelling


def back(folder: Path, out: Path) -> None:
    """Write {"generator": tensors} in the spelling that was read."""
    state = to_hifigan(load_model(folder).state_dict(), read_config(folder)["spelling"])
    write_whole(out, lambda part: torch.save({GENERATOR: state}, part))


def from_hifigan(state: Mapping[str, Tensor], where: str = "HiFi-GAN") -> Converted:
    """A `HiFiGAN` that decodes what theirs decodes. Rates are half the kernels, as in the paper's first two sizes."""
    spelling = spelling_of(state, where)

    def shape(name: str) -> tuple[int, ...]:
        return shape_of(state, f"{name}.{SPELLINGS[spelling][-1]}", where)

    ups = count(state, "ups.")
    blocks = count(state, "resblocks.") // max(ups, 1)
    channels, bands, _ = shape("conv_pre")
    kernels = [shape(f"ups.{i}")[-1] for i in range(ups)]
    rates = [kernel // 2 for kernel in kernels]
    if math.prod(rates) != MEL["hop_samples"]:
        raise FmAudioError(f"{where}: kernels of {kernels} do not make {MEL['hop_samples']} samples of a frame; give v1 or v2")
    node = {
        "class_path": "fm_audio.decoders.hifigan.HiFiGAN",
        "init_args": {
            "spec": MEL | {"bands": bands}, "channels": channels, "rates": rates, "kernels": kernels,
            "block_kernels": [shape(f"resblocks.{j}.convs1.0")[-1] for j in range(blocks)],
            "dilations": list(DILATIONS), "weight_norm": spelling != "folded",
        },
    }  # fmt: skip
    weights = to_ours(entries(ups, blocks, spelling), state, where)
    return Converted(node, weights, {"kind": "vocoder", "spelling": spelling})


def to_hifigan(ours: Mapping[str, Tensor], spelling: str) -> State:
    """The generator's state dict; `spelling` is one of `SPELLINGS`, folded or not as ours is."""
    ups = count(ours, "ups.")
    return to_theirs(entries(ups, count(ours, "resblocks.") // max(ups, 1), spelling), ours)


def entries(ups: int, blocks: int, spelling: str) -> list[Entry]:
    """Every tensor of both."""
    convolutions = ["conv_pre", "conv_post", *(f"ups.{i}" for i in range(ups))]
    for j in range(ups * blocks):
        convolutions += [f"resblocks.{j}.{half}.{k}" for half in ("convs1", "convs2") for k in range(len(DILATIONS))]
    return normed(convolutions, spelling)


def normed(convolutions: Sequence[str], spelling: str, bias: bool = True) -> list[Entry]:
    """The tensors of convolutions that are called alike here and there, with weight norm unless it is folded."""
    ours = SPELLINGS["folded" if spelling == "folded" else "parametrizations"]
    parts = [*([("bias", "bias")] if bias else []), *zip(ours, SPELLINGS[spelling], strict=True)]
    return [Entry(f"{name}.{a}", (f"{name}.{b}",)) for name in convolutions for a, b in parts]
