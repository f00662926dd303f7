"""E2-TTS Base and Small (Eskimez et al. 2024, arXiv 2406.18009; trained by F5-TTS, package f5-tts 1.1.22), and back.

Its text is the symbols' own vectors beside the frames; its transformer is flat and merges its two halves. What it shares with
F5-TTS (symbols, input, positions, time, attention) is in `fm_audio.convert.f5`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from fm_audio.convert import f5
from fm_audio.convert.layout import Converted, Entry, State, count, shape_of, to_ours, to_theirs

# what the weights do not show: how many heads of a layer are turned
ROTARY_HEADS = 1


def forth(source: Path, vocabulary: Path | None, mel: str = "vocos") -> Converted:
    """A model that clones, of a published file and the vocab.txt beside it."""
    state, symbols = f5.published(source, vocabulary)
    return f5.cloner(*from_e2(state, symbols, str(source), mel))


def from_e2(
    state: Mapping[str, Tensor], vocabulary: list[str], where: str = "E2-TTS", mel: str = "vocos"
) -> tuple[dict[str, Any], State]:
    """(config node, weights) of an `InfillTTS` that computes what the checkpoint computes for one item at a time."""
    node = f5.node_of(state, vocabulary, where, mel)
    layers, width = count(state, "layers."), len(state["input_embed.proj.weight"])
    hidden = shape_of(state, "layers.0.4.ff.0.0.weight", where)[0]
    ours = to_ours(entries(layers), f5.without_constants(state), where)
    backbone = {
        "width": width, "layers": layers, "heads": width // f5.HEAD_WIDTH, "feedforward": hidden / width,
        "rotary_heads": ROTARY_HEADS,
    }  # fmt: skip
    node["init_args"] |= {
        "backbone": {"class_path": "fm_audio.backbones.unett.UNetT", "init_args": backbone},
        "text_layers": 0, "mask_filler": False,
    }  # fmt: skip
    return node, ours


def to_e2(ours: Mapping[str, Tensor]) -> State:
    """The transformer's state dict in the published layout, its constant rotary frequencies included."""
    return to_theirs(entries(2 * count(ours, f"{f5.BACKBONE}.merge.")), ours) | f5.constants()


back = partial(f5.back, to_theirs=to_e2)


def entries(layers: int) -> list[Entry]:
    """Every tensor of both. Theirs numbers the parts of a layer: 0 merges, 1 and 3 are norms, 2 attends, 4 feeds forward."""
    found = [*f5.around_the_layers(), Entry(f"{f5.BACKBONE}.norm.weight", ("norm_out.g",))]
    half = layers // 2
    for i in range(layers):
        ours, theirs = f"{f5.BACKBONE}.{'first' if i < half else 'second'}.{i % half}", f"layers.{i}"
        if i >= half:
            found.append(Entry(f"{f5.BACKBONE}.merge.{i - half}.weight", (f"{theirs}.0.weight",)))
        found.append(Entry(f"{ours}.attention_norm.weight", (f"{theirs}.1.g",)))
        found.append(Entry(f"{ours}.feedforward_norm.weight", (f"{theirs}.3.g",)))
        found += f5.attention(f"{ours}.attention", f"{theirs}.2") + f5.feedforward(f"{ours}.feedforward", f"{theirs}.4")
    return found
