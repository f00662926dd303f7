"""BigVGAN v2 (Lee et al. 2023, arXiv 2206.04658; package bigvgan 2.4.1): a published folder as `BigVGAN`, and back.

Module names are theirs; weight norm is kept as in `fm_audio.convert.hifigan`. The filters of its activations are constants: they
are compared with ours on the way in and kept beside the weights for the way out. config.json is kept whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import load_model, read_config, read_json
from fm_audio.convert.hifigan import GENERATOR, SPELLINGS, generator_of, normed, spelling_of
from fm_audio.convert.layout import Converted, Entry, State, beside, to_ours, to_theirs, write_folder
from fm_audio.decoders.bigvgan import low_pass
from fm_audio.types import FmAudioError

CONFIG, WEIGHTS = "config.json", "bigvgan_generator.pt"
# config.json: what must be so, and what is called otherwise here
NEEDED = {
    "resblock": "1", "activation": "snakebeta", "snake_logscale": True, "use_tanh_at_final": False, "use_bias_at_final": False,
}  # fmt: skip
SPEC = {
    "sampling_rate": "sample_rate", "n_fft": "n_fft", "hop_size": "hop_samples", "win_size": "window_samples",
    "num_mels": "bands", "fmin": "fmin_hz", "fmax": "fmax_hz",
}  # fmt: skip
SIZES = {
    "upsample_initial_channel": "channels", "upsample_rates": "rates", "upsample_kernel_sizes": "kernels",
    "resblock_kernel_sizes": "block_kernels", "resblock_dilation_sizes": "dilations",
}  # fmt: skip
MEL = {"filter_scale": "slaney", "filter_norm": "slaney", "centred": False, "log_floor": 1e-5, "magnitude_epsilon": 1e-9}
PUBLISHED = "published"
"""Where the folder's config.json keeps theirs."""


def forth(source: Path) -> Converted:
    """The folder `nvidia/bigvgan_v2_24khz_100band_256x` is published as, or another of version 2."""
    config = read_json(source / CONFIG, "configuration", f"give the folder that holds {CONFIG} and {WEIGHTS}")
    return from_bigvgan(config, generator_of(source / WEIGHTS), str(source))


def back(folder: Path, out: Path) -> None:
    """Write config.json and bigvgan_generator.pt into the new folder `out`."""
    config = read_config(folder)
    arguments = config["model"]["init_args"]
    state = to_bigvgan(load_model(folder).state_dict() | beside(folder), arguments, config["spelling"])
    text = json.dumps(config[PUBLISHED], indent=4)
    files = {
        WEIGHTS: lambda path: torch.save({GENERATOR: state}, path),
        CONFIG: lambda path: path.write_text(text, encoding="utf-8"),
    }
    write_folder(out, files)


def from_bigvgan(config: Mapping[str, Any], state: Mapping[str, Tensor], where: str = "BigVGAN") -> Converted:
    """A `BigVGAN` that decodes what theirs decodes; FmAudioError where config or tensors are of another kind."""
    arguments = arguments_of(config, where)
    spelling = spelling_of(state, where)
    node = {
        "class_path": "fm_audio.decoders.bigvgan.BigVGAN",
        "init_args": arguments | {"weight_norm": spelling != "folded"},
    }
    weights = to_ours(entries(arguments, spelling), state, where)
    _require_shapes(arguments, state, SPELLINGS[spelling][-1], where)
    beside = {key: weights.pop(key) for key in filters(arguments)}
    for key, found in beside.items():
        if found.shape != (1, 1, len(low_pass())) or (found.flatten() - low_pass()).abs().max() > 1e-6:
            raise FmAudioError(f"{where}: {key} is not the low pass of BigVGAN's activations; fetch the file again")
    extra = {"kind": "vocoder", "spelling": spelling, PUBLISHED: dict(config)}
    return Converted(node, weights, extra, beside)


def to_bigvgan(ours: Mapping[str, Tensor], arguments: Mapping[str, Any], spelling: str) -> State:
    """The generator's state dict; `ours` with the filters, `spelling` as in `fm_audio.convert.hifigan`."""
    return to_theirs(entries(arguments, spelling), ours)


def arguments_of(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Arguments of `BigVGAN` from config.json."""
    config = config if isinstance(config, Mapping) else {}
    for key, wanted in NEEDED.items():
        if config.get(key) != wanted:
            raise FmAudioError(f"{where}: {CONFIG} has {key} {config.get(key)!r}; this family, version 2, has {wanted!r}")
    missing = [key for key in (*SPEC, *SIZES) if key not in config]
    if missing:
        raise FmAudioError(f"{where}: {CONFIG} lacks {', '.join(missing)}; give the one published beside the weights")
    sizes = {ours: config[theirs] for theirs, ours in SIZES.items()}
    several = sizes["dilations"]
    if len(several) != len(sizes["block_kernels"]) or any(d != several[0] for d in several):
        raise FmAudioError(f"{where}: {CONFIG} has dilations {several}; this family has the same ones for every kernel")
    sizes["dilations"] = several[0]
    if math.prod(sizes["rates"]) != config["hop_size"] or len(sizes["rates"]) != len(sizes["kernels"]):
        raise FmAudioError(
            f"{where}: {CONFIG} has upsample_rates {sizes['rates']} for kernels {sizes['kernels']}, and the hop_size is "
            f"{config['hop_size']}; the product of the rates must be the hop, and every rate has a kernel"
        )
    spec = {ours: config[theirs] for theirs, ours in SPEC.items()} | MEL
    AudioSpec.from_contract(spec)
    return {"spec": spec} | sizes


def _require_shapes(arguments: Mapping[str, Any], state: Mapping[str, Tensor], weight: str, where: str) -> None:
    """What config.json says of sizes must be what the tensors have."""
    widths = [arguments["channels"] // 2**i for i in range(len(arguments["rates"]) + 1)]
    kernels = arguments["block_kernels"]
    said = {"conv_pre": (widths[0], arguments["spec"]["bands"], 7), "conv_post": (1, widths[-1], 7)}
    for i, (wide, narrow, kernel) in enumerate(zip(widths, widths[1:], arguments["kernels"], strict=False)):
        said[f"ups.{i}.0"] = (wide, narrow, kernel)
        said |= {f"resblocks.{i * len(kernels) + j}.convs1.0": (narrow, narrow, k) for j, k in enumerate(kernels)}
    for name, shape in said.items():
        if tuple(state[f"{name}.{weight}"].shape) != shape:
            found = tuple(state[f"{name}.{weight}"].shape)
            raise FmAudioError(f"{where}: {name} is {found}, {CONFIG} says {shape}; give the one published beside the weights")


def filters(arguments: Mapping[str, Any]) -> list[str]:
    """Their names for the filters of every activation."""
    return [f"{a}.{part}.filter" for a in _activations(arguments) for part in ("upsample", "downsample.lowpass")]


def entries(arguments: Mapping[str, Any], spelling: str) -> list[Entry]:
    """Every tensor of both; the filters are constants."""
    ups, blocks, pairs = (len(arguments[key]) for key in ("rates", "block_kernels", "dilations"))
    convolutions = ["conv_pre", *(f"ups.{i}.0" for i in range(ups))]
    for j in range(ups * blocks):
        convolutions += [f"resblocks.{j}.{half}.{k}" for half in ("convs1", "convs2") for k in range(pairs)]
    found = normed(convolutions, spelling) + normed(["conv_post"], spelling, bias=False)
    found += [Entry(key, (key,)) for a in _activations(arguments) for key in (f"{a}.act.alpha", f"{a}.act.beta")]
    return found + [Entry(key, (key,)) for key in filters(arguments)]


def _activations(arguments: Mapping[str, Any]) -> list[str]:
    blocks, each = len(arguments["rates"]) * len(arguments["block_kernels"]), 2 * len(arguments["dilations"])
    return ["activation_post", *(f"resblocks.{j}.activations.{k}" for j in range(blocks) for k in range(each))]
