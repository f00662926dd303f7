"""Matcha-TTS (Mehta et al. 2024, arXiv 2309.03199; package matcha-tts 0.0.7.2): its checkpoint as `AlignedTTS`, and back.

Its mean and deviation become the affine map of the mel contract, its convolutions over one position linear maps, and queries,
keys and values one matrix. Its hyperparameters are not read (they are pickled classes): sizes are those of the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from fm_audio.checkpoint import load_model, read_config
from fm_audio.convert.hifigan import MEL
from fm_audio.convert.layout import (
    Converted,
    Entry,
    State,
    count,
    linear,
    pointwise,
    read_tensors,
    shape_of,
    to_ours,
    to_theirs,
    write_whole,
)
from fm_audio.data.text.matcha import SYMBOLS
from fm_audio.types import FmAudioError

# What the weights do not show.
TEXT_HEADS, HEAD_WIDTH, SIGMA_MIN = 2, 64, 1e-4
SAMPLING = {"steps": 10, "guidance": 1.0, "temperature": 0.667}
STATISTICS = {"mean": "mel_mean", "std": "mel_std"}
SPEAKERS, ESTIMATOR = "spk_emb.weight", "decoder.estimator"


def forth(source: Path) -> Converted:
    """A published checkpoint (`matcha_ljspeech.ckpt`, `matcha_vctk.ckpt`)."""
    state = read_tensors(source).get("state_dict")
    if not isinstance(state, Mapping):
        raise FmAudioError(f"{source}: holds no 'state_dict'; give a published checkpoint of Matcha-TTS")
    return from_matcha(state, str(source))


def back(folder: Path, out: Path) -> None:
    """Write {"state_dict": tensors}, which their `load_state_dict` takes; the hyperparameters are theirs to give."""
    state = to_matcha(load_model(folder).state_dict(), read_config(folder)["model"]["init_args"]["spec"])
    write_whole(out, lambda part: torch.save({"state_dict": state}, part))


def from_matcha(state: Mapping[str, Tensor], where: str = "Matcha-TTS") -> Converted:
    """An `AlignedTTS` that computes what the checkpoint computes for one item. Speakers are called by their numbers."""

    def shape(key: str) -> tuple[int, ...]:
        return shape_of(state, key, where)

    symbols, width = shape("encoder.emb.weight")
    if symbols != len(SYMBOLS):
        raise FmAudioError(f"{where}: has {symbols} symbols; this family has the {len(SYMBOLS)} that Matcha-TTS published")
    bands = shape("encoder.proj_m.weight")[0]
    speakers, speaker_width = shape(SPEAKERS) if SPEAKERS in state else (1, 0)
    for key in STATISTICS.values():
        shape(key)
    spec = MEL | {"bands": bands} | {ours: float(state[theirs]) for ours, theirs in STATISTICS.items()}
    names = [str(i) for i in range(speakers)]
    text = {
        "symbols": symbols, "bands": bands, "speaker_width": speaker_width, "width": width, "heads": TEXT_HEADS,
        "layers": count(state, "encoder.encoder.attn_layers."),
        "hidden": shape("encoder.encoder.ffn_layers.0.conv_1.weight")[0],
        "kernel": shape("encoder.encoder.ffn_layers.0.conv_1.weight")[2],
        "prenet_layers": count(state, "encoder.prenet.conv_layers."),
        "prenet_kernel": shape("encoder.prenet.conv_layers.0.weight")[2],
        "durations_width": shape("encoder.proj_w.conv_1.weight")[0],
        "durations_kernel": shape("encoder.proj_w.conv_1.weight")[2],
    }  # fmt: skip
    levels = count(state, f"{ESTIMATOR}.down_blocks.")
    first = f"{ESTIMATOR}.down_blocks.0.1"
    channels = [shape(f"{ESTIMATOR}.down_blocks.{i}.0.block1.block.0.weight")[0] for i in range(levels)]
    backbone = {
        "in_width": 2 * bands, "channels": channels, "middle": count(state, f"{ESTIMATOR}.mid_blocks."),
        "blocks": count(state, f"{first}."), "heads": shape(f"{first}.0.attn1.to_q.weight")[0] // HEAD_WIDTH,
        "head_width": HEAD_WIDTH, "feedforward": shape(f"{first}.0.ff.net.0.alpha")[0] / channels[0],
        "vector_width": speaker_width,
    }  # fmt: skip
    node: dict[str, Any] = {
        "class_path": "fm_audio.tasks.aligned_tts.AlignedTTS",
        "init_args": {
            "spec": spec,
            "frontend": {"class_path": "fm_audio.data.text.matcha.MatchaPhones"},
            "backbone": {"class_path": "fm_audio.backbones.matcha.MatchaUNet", "init_args": backbone},
            "text": {"class_path": "fm_audio.encoders.matcha.MatchaText", "init_args": text},
            "path": {"class_path": "fm_audio.flow.path.LinearPath", "init_args": {"sigma_min": SIGMA_MIN}},
            "speakers": names, "speaker_width": speaker_width, "frames_per_token": 1, "condition_drop": 0.0,
            "projected": False, "whole_durations": True,
        },
    }  # fmt: skip
    tensors = {k: v for k, v in state.items() if k not in STATISTICS.values()}
    weights = to_ours(entries(node["init_args"]), tensors, where)
    if SPEAKERS not in state:
        weights["speaker.weight"] = torch.zeros(1, 0)
    vocoder = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": spec}}
    voices = {name: {"speaker": name} for name in names}
    return Converted(node, weights, {"kind": "aligned_tts", "vocoder": vocoder, "voices": voices, "sampling": SAMPLING})


def to_matcha(ours: Mapping[str, Tensor], spec: Mapping[str, Any]) -> State:
    """The state dict in Matcha-TTS's layout."""
    sizes: dict[str, dict[str, Any]] = {
        "text": {
            "layers": count(ours, "text.blocks."), "prenet_layers": count(ours, "text.prenet.convs."),
        },
        "backbone": {
            "channels": [0] * count(ours, "head.backbone.down."), "middle": count(ours, "head.backbone.middle."),
            "blocks": count(ours, "head.backbone.down.0.blocks."),
        },
    }  # fmt: skip
    statistics = {theirs: torch.tensor(spec[name], dtype=torch.float32) for name, theirs in STATISTICS.items()}
    multi = ours["speaker.weight"].shape[1] > 0
    return to_theirs(_entries(sizes["text"], sizes["backbone"], multi), ours) | statistics


def entries(arguments: Mapping[str, Any]) -> list[Entry]:
    """Every tensor of both but the statistics, for the arguments of an `AlignedTTS`."""
    return _entries(arguments["text"]["init_args"], arguments["backbone"]["init_args"], arguments["speaker_width"] > 0)


def _entries(text: Mapping[str, Any], backbone: Mapping[str, Any], multi: bool) -> list[Entry]:
    found = [Entry("speaker.weight", (SPEAKERS,))] if multi else []
    return found + _text(text["layers"], text["prenet_layers"]) + _head(len(backbone["channels"]), **_counts(backbone))


def _counts(backbone: Mapping[str, Any]) -> dict[str, int]:
    return {name: backbone[name] for name in ("middle", "blocks")}


def _text(layers: int, prenet_layers: int) -> list[Entry]:
    found = [Entry("text.embedding.weight", ("encoder.emb.weight",))]
    for i in range(prenet_layers):
        found += linear(f"text.prenet.convs.{i}.conv", f"encoder.prenet.conv_layers.{i}")
        found += _norm(f"text.prenet.norms.{i}", f"encoder.prenet.norm_layers.{i}")
    found += pointwise("text.prenet.out", "encoder.prenet.proj") + pointwise("text.mean", "encoder.proj_m")
    for i in range(layers):
        a, b = f"text.blocks.{i}", "encoder.encoder"
        attention = f"{b}.attn_layers.{i}"
        for part, join, split in (("weight", _matrix, _convolutions), ("bias", _one, _three)):
            theirs = tuple(f"{attention}.conv_{x}.{part}" for x in "qkv")
            found.append(Entry(f"{a}.query_key_value.{part}", theirs, join, split))
        found += pointwise(f"{a}.out", f"{attention}.conv_o")
        found += linear(f"{a}.up.conv", f"{b}.ffn_layers.{i}.conv_1") + linear(f"{a}.down.conv", f"{b}.ffn_layers.{i}.conv_2")
        found += _norm(f"{a}.norms.0", f"{b}.norm_layers_1.{i}") + _norm(f"{a}.norms.1", f"{b}.norm_layers_2.{i}")
    for i in range(2):
        found += linear(f"text.durations.convs.{i}.conv", f"encoder.proj_w.conv_{i + 1}")
        found += _norm(f"text.durations.norms.{i}", f"encoder.proj_w.norm_{i + 1}")
    return found + pointwise("text.durations.out", "encoder.proj_w.proj")


def _head(levels: int, middle: int, blocks: int) -> list[Entry]:
    a, b = "head.backbone", ESTIMATOR
    found = linear(f"{a}.time.mlp.0", f"{b}.time_mlp.linear_1") + linear(f"{a}.time.mlp.2", f"{b}.time_mlp.linear_2")
    for ours, theirs, number in (("down", "down_blocks", levels), ("middle", "mid_blocks", middle), ("up", "up_blocks", levels)):
        for i in range(number):
            found += _level(f"{a}.{ours}.{i}", f"{b}.{theirs}.{i}", blocks)
            if ours != "middle":  # the last one keeps its rate and has no wrapper there
                found += linear(f"{a}.{ours}.{i}.move.conv", f"{b}.{theirs}.{i}.2" + (".conv" if i < levels - 1 else ""))
    found += _normed_conv(f"{a}.last", f"{b}.final_block")
    return found + pointwise("head.ports.mel.out", f"{b}.final_proj")


def _level(ours: str, theirs: str, blocks: int) -> list[Entry]:
    found = _normed_conv(f"{ours}.residual.first", f"{theirs}.0.block1")
    found += _normed_conv(f"{ours}.residual.second", f"{theirs}.0.block2")
    found += linear(f"{ours}.residual.time", f"{theirs}.0.mlp.1") + pointwise(f"{ours}.residual.past", f"{theirs}.0.res_conv")
    for i in range(blocks):
        a, b = f"{ours}.blocks.{i}", f"{theirs}.1.{i}"
        qkv = tuple(f"{b}.attn1.to_{x}.weight" for x in "qkv")
        found += linear(f"{a}.attention_norm", f"{b}.norm1") + linear(f"{a}.feedforward_norm", f"{b}.norm3")
        found += [Entry(f"{a}.query_key_value.weight", qkv, _one, _three), *linear(f"{a}.out", f"{b}.attn1.to_out.0")]
        found += linear(f"{a}.raised", f"{b}.ff.net.0.proj") + linear(f"{a}.lowered", f"{b}.ff.net.2")
        found += [Entry(f"{a}.snake.{x}", (f"{b}.ff.net.0.{x}",)) for x in ("alpha", "beta")]
    return found


def _normed_conv(ours: str, theirs: str) -> list[Entry]:
    return linear(f"{ours}.conv.conv", f"{theirs}.block.0") + linear(f"{ours}.norm", f"{theirs}.block.1")


def _norm(ours: str, theirs: str) -> list[Entry]:
    return [Entry(f"{ours}.weight", (f"{theirs}.gamma",)), Entry(f"{ours}.bias", (f"{theirs}.beta",))]


def _one(*parts: Tensor) -> Tensor:
    return torch.cat(parts)


def _three(x: Tensor) -> tuple[Tensor, ...]:
    return x.chunk(3)


def _matrix(*parts: Tensor) -> Tensor:
    return rearrange(torch.cat(parts), "o i 1 -> o i")


def _convolutions(x: Tensor) -> tuple[Tensor, ...]:
    return rearrange(x, "o i -> o i 1").chunk(3)
