"""F5-TTS (Chen et al. 2024, arXiv 2410.06885; package f5-tts 1.1.22): its DiT and text encoder as `InfillTTS`, and back.

Theirs turns neighbouring channels of a head against each other, ours the two halves, so the rows of queries and keys change
places; the last modulation is (scale, shift) there and (shift, scale) here; keys and values are one matrix here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from fm_audio.checkpoint import load_model
from fm_audio.convert.layout import Converted, Entry, State, count, linear, read_tensors, to_ours, to_theirs, write_whole
from fm_audio.types import FmAudioError

HEAD_WIDTH = 64
BACKBONE = "head.backbone"
PREFIX = "ema_model.transformer."
FREQUENCIES = "rotary_embed.inv_freq"
# what the weights do not show: does the filler stay hidden, and how many heads are turned (None: all)
VERSIONS: dict[str, tuple[bool, int | None]] = {"f5-v1": (True, None), "f5-v0": (False, 1)}
_MEL = {"sample_rate": 24_000, "n_fft": 1024, "hop_samples": 256, "window_samples": 1024, "log_floor": 1e-5}
# what else the weights do not show: the mels they were trained on, called by the vocoder
MELS: dict[str, dict[str, Any]] = {
    "vocos": _MEL,
    "bigvgan": _MEL | {"filter_scale": "slaney", "filter_norm": "slaney", "centred": False, "magnitude_epsilon": 1e-9},
}
BESIDE_THE_WEIGHTS = ("initted", "step", "update", "ema_model.initted", "ema_model.step")
# F5-TTS's own: 32 steps, sway -1, guidance 2 in its way of counting
SAMPLING = {"steps": 32, "grid": "sway", "guidance": 3.0}


def forth(source: Path, family: str, vocabulary: Path | None, mel: str = "vocos") -> Converted:
    """A model that clones, of a published file and the vocab.txt beside it."""
    state, symbols = published(source, vocabulary)
    return cloner(*from_f5(state, family, symbols, str(source), mel))


def published(source: Path, vocabulary: Path | None) -> tuple[State, list[str]]:
    """The averaged transformer and the symbols."""
    if vocabulary is None:
        raise FmAudioError(f"{source}: needs --vocabulary, the vocab.txt published beside it")
    return transformer_of(read_tensors(source), str(source)), read_vocabulary(vocabulary)


def cloner(node: dict[str, Any], weights: State) -> Converted:
    """With F5-TTS's sampling, and a vocoder that needs no weights."""
    vocoder = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": node["init_args"]["spec"]}}
    return Converted(node, weights, {"kind": "infill_tts", "vocoder": vocoder, "sampling": SAMPLING})


def back(folder: Path, out: Path, to_theirs: Callable[[Mapping[str, Tensor]], State] | None = None) -> None:
    """Write the averaged weights as F5-TTS publishes them. `to_theirs` makes them of ours (default: `to_f5`)."""
    from safetensors.torch import save_file

    if out.suffix != ".safetensors":
        raise FmAudioError(f"{out}: give the name of a new .safetensors file")
    state = {PREFIX + key: value for key, value in (to_theirs or to_f5)(load_model(folder).state_dict()).items()}
    state |= {"initted": torch.tensor(True), "step": torch.tensor(0)}
    write_whole(out, lambda part: save_file(state, part))


def read_vocabulary(path: Path) -> list[str]:
    """One symbol a line; the first is a space, so nothing is stripped."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise FmAudioError(f"{path}: cannot be read as UTF-8 text ({e}); give the vocab.txt published beside the weights") from e


def transformer_of(checkpoint: Mapping[str, Any], where: str) -> State:
    """The averaged transformer of a published file: safetensors, or the trainer's .pt with its averaged weights."""
    tensors = checkpoint.get("ema_model_state_dict", checkpoint)
    kept = {k: v for k, v in tensors.items() if k not in BESIDE_THE_WEIGHTS and ".mel_spec." not in k and k.startswith(PREFIX)}
    if not kept:
        raise FmAudioError(f"{where}: holds no {PREFIX}…; give a published F5-TTS checkpoint (safetensors, or .pt with EMA)")
    return {k.removeprefix(PREFIX): v for k, v in kept.items()}


def from_f5(
    state: Mapping[str, Tensor], family: str, vocabulary: list[str], where: str = "F5-TTS", mel: str = "vocos"
) -> tuple[dict[str, Any], State]:
    """(config node, weights) of an `InfillTTS` that computes what the checkpoint computes for one item at a time."""
    mask_filler, rotary_heads = VERSIONS[family]
    node = node_of(state, vocabulary, where, mel)
    layers, text_layers = count(state, "transformer_blocks."), count(state, "text_embed.text_blocks.")
    ours = to_ours(entries(layers, text_layers), without_constants(state), where)
    width = len(state["input_embed.proj.weight"])
    backbone = {
        "width": width, "layers": layers, "heads": width // HEAD_WIDTH, "head_norm": False, "reaches_slowest": True,
        "feedforward": len(state["transformer_blocks.0.ff.ff.0.0.weight"]) / width, "rotary_heads": rotary_heads,
    }  # fmt: skip
    node["init_args"] |= {
        "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": backbone},
        "text_layers": text_layers, "mask_filler": mask_filler,
    }  # fmt: skip
    return node, ours


def node_of(state: Mapping[str, Tensor], vocabulary: list[str], where: str, mel: str) -> dict[str, Any]:
    """The config node of an `InfillTTS`, its backbone and its text layers still to be added."""
    if not {"input_embed.proj.weight", "text_embed.text_embed.weight"} <= set(state):
        raise FmAudioError(f"{where}: not the layout of F5-TTS; choose the family it comes from")
    symbols, text_width = state["text_embed.text_embed.weight"].shape
    if len(vocabulary) + 1 != symbols:
        raise FmAudioError(f"{where}: has {symbols - 1} symbols, the vocabulary {len(vocabulary)}; give the vocab.txt beside it")
    return {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": MELS[mel] | {"bands": state["input_embed.proj.weight"].shape[1] - text_width >> 1},
            "frontend": {"class_path": "fm_audio.data.text.f5.F5Characters", "init_args": {"vocabulary": vocabulary}},
            "text_width": text_width,
        },
    }


def without_constants(state: Mapping[str, Tensor]) -> State:
    return {k: v for k, v in state.items() if k != FREQUENCIES}


def constants() -> State:
    """What theirs keeps among its tensors: the rates of its rotary positions."""
    return {FREQUENCIES: 1.0 / (10_000 ** (torch.arange(0, HEAD_WIDTH, 2).float() / HEAD_WIDTH))}


def to_f5(ours: Mapping[str, Tensor]) -> State:
    """The transformer's state dict in F5-TTS's layout, its constant rotary frequencies included."""
    layers, text_layers = count(ours, "head.backbone.blocks."), count(ours, "text.blocks.")
    return to_theirs(entries(layers, text_layers), ours) | constants()


def entries(layers: int, text_layers: int) -> list[Entry]:
    """Every tensor of both."""
    found = around_the_layers()
    for i in range(text_layers):
        a, b = f"text.blocks.{i}", f"text_embed.text_blocks.{i}"
        for ours, theirs in (("depthwise.conv", "dwconv"), ("norm", "norm"), ("up", "pwconv1"), ("down", "pwconv2")):
            found += linear(f"{a}.{ours}", f"{b}.{theirs}")
        found += [Entry(f"{a}.{x}", (f"{b}.grn.{x}",), lambda x: x[0, 0], lambda x: (x[None, None],)) for x in ("gamma", "beta")]
    for i in range(layers):
        ours, theirs = f"{BACKBONE}.blocks.{i}", f"transformer_blocks.{i}"
        found += linear(f"{ours}.modulation.linear", f"{theirs}.attn_norm.linear")
        found += attention(f"{ours}.attention", f"{theirs}.attn") + feedforward(f"{ours}.feedforward", f"{theirs}.ff")
    last = [f"{BACKBONE}.last.linear", "norm_out.linear"]
    return found + [Entry(f"{last[0]}.{p}", (f"{last[1]}.{p}",), _swapped, lambda x: (_swapped(x),)) for p in ("weight", "bias")]


def around_the_layers() -> list[Entry]:
    """Symbols, input, positions, time and output."""
    found = [Entry("text.embedding.weight", ("text_embed.text_embed.weight",))]
    found += linear("head.ports.mel.into", "input_embed.proj") + linear("head.ports.mel.out", "proj_out")
    for i in range(2):
        found += linear(f"{BACKBONE}.position.{i}.conv", f"input_embed.conv_pos_embed.conv1d.{2 * i}")
        found += linear(f"{BACKBONE}.time.mlp.{2 * i}", f"time_embed.time_mlp.{2 * i}")
    return found


def attention(ours: str, theirs: str) -> list[Entry]:
    found = linear(f"{ours}.out", f"{theirs}.to_out.0")
    for part in ("weight", "bias"):
        q, k, v = (f"{theirs}.to_{x}.{part}" for x in "qkv")
        found.append(Entry(f"{ours}.query.{part}", (q,), _halves, lambda x: (_pairs(x),)))
        found.append(Entry(f"{ours}.key_value.{part}", (k, v), _key_value, _key_and_value))
    return found


def feedforward(ours: str, theirs: str) -> list[Entry]:
    return linear(f"{ours}.layers.0", f"{theirs}.ff.0.0") + linear(f"{ours}.layers.2", f"{theirs}.ff.2")


_halves = partial(rearrange, pattern="(h d two) ... -> (h two d) ...", two=2, d=HEAD_WIDTH // 2)
_pairs = partial(rearrange, pattern="(h two d) ... -> (h d two) ...", two=2, d=HEAD_WIDTH // 2)


def _key_value(k: Tensor, v: Tensor) -> Tensor:
    return torch.cat([_halves(k), v])


def _key_and_value(x: Tensor) -> tuple[Tensor, Tensor]:
    k, v = x.chunk(2)
    return _pairs(k), v


def _swapped(x: Tensor) -> Tensor:
    first, second = x.chunk(2)
    return torch.cat([second, first])
