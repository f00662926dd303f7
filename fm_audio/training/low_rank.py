"""Fine-tuning by low rank (Hu et al. 2021, "LoRA", through peft): which layers bend, and how they become whole again.

    y = W x + B A x,   W frozen, A (r in), B (out r), B = 0 at first          whole: W + B A

Of a convolution x is what its taps see: A is a convolution to r channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn

from fm_audio import zipformer
from fm_audio.backbones import matcha
from fm_audio.encoders.filler_text import ConvNeXtV2
from fm_audio.encoders.matcha import Durations, PostNormBlock
from fm_audio.encoders.predictor import Predictor
from fm_audio.layers import Attention, FeedForward, Modulation
from fm_audio.types import FmAudioError

TARGETS = ("attention", "adaln", "conditioning", "feedforward", "predictors")
USUAL_TARGETS = ("attention", "adaln", "conditioning")
# what brings text, frames and whose voice it is in, of a task or of a task within another
CONDITIONING = re.compile(
    r"(?:\w+\.)*(?:text\.(?:encoder\.)?(?:mean|hidden)|text\.out|voice\.out|backbone\.vector|(?:ports\.\w+|port)\.into)"
)
# target: in parts of which class which layers, by name (those of our own models, of a converted Matcha-TTS, of a converted
# ZipVoice)
INSIDE: dict[str, tuple[tuple[type[nn.Module], str], ...]] = {
    "attention": (
        (Attention, ".*"), (matcha.Transformer, "query_key_value|out"), (PostNormBlock, "query_key_value|out"),
        (zipformer.AttentionWeights, "into"), (zipformer.WeightedValues, ".*"), (zipformer.Gated, ".*"),
    ),
    "adaln": ((Modulation, ".*"), (matcha.Residual, "time"), (zipformer.Stack, "cond")),
    "feedforward": (
        (FeedForward, ".*"), (ConvNeXtV2, "up|down"), (matcha.Transformer, "raised|lowered"), (zipformer.FeedForward, ".*"),
    ),
    "predictors": ((Predictor, r"convs\.\d+\.conv|out"), (Durations, r"convs\.\d+\.conv|out")),
}
Bendable = nn.Linear | nn.Conv1d
PEFT_NAME = "default"  # peft's own name for an adapter that has no other


class LowRank:
    """How a recipe fine-tunes: `rank` of each change, and the kinds of layers that bend, of `TARGETS`.

    whole: parts that are trained as they are, by name, such as `writer.lengths`.
    """

    def __init__(self, rank: int = 16, targets: Sequence[str] = USUAL_TARGETS, whole: Sequence[str] = ()) -> None:
        if rank < 1:
            raise FmAudioError(f"LowRank: rank is {rank}; give 1 or more, often 16")
        self.rank, self.targets, self.whole = rank, tuple(targets), tuple(whole)

    def bend(self, model: nn.Module, seed: int = 0) -> None:
        """Freeze a model but for changes of low rank, which begin with nothing, and for what is trained whole."""
        add_lora(model, list(target_layers(model, self.targets)), self.rank, seed)
        for name in self.whole:
            parts = [p for key, p in model.named_parameters() if key.startswith(name + ".") or key == name]
            if not parts:
                has = ", ".join(n for n, _ in model.named_children())
                raise FmAudioError(f"LowRank: there is no part {name!r} to train whole; the model has {has}")
            for p in parts:
                p.requires_grad_(True)


def target_layers(model: nn.Module, targets: Sequence[str]) -> dict[str, Bendable]:
    """The layers of the kinds asked for, by name: of attention, of AdaLN modulations (or what else tells layers the time),
    of what brings conditions in (text to frames, frames and speaker to the head), of feed-forwards, of what predicts durations
    and pitch (convolutions)."""
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown or not targets:
        raise FmAudioError(f"targets {','.join(targets)}: give some of {','.join(TARGETS)}")
    found: dict[str, Bendable] = {}
    for target in targets:
        layers = dict(_layers_of(model, target))
        if not layers:
            raise FmAudioError(f"targets {target}: this base has no such layers; leave it out")
        found |= layers
    return found


def usual_targets(model: nn.Module, language: bool) -> tuple[str, ...]:
    """What bends where nobody says: what is usual, or for another `language` everything, of what the model has."""
    return tuple(t for t in (TARGETS if language else USUAL_TARGETS) if any(_layers_of(model, t)))


def _layers_of(model: nn.Module, target: str) -> Iterator[tuple[str, Bendable]]:
    for name, part in model.named_modules():
        inside = [names for kind, names in INSIDE.get(target, ()) if isinstance(part, kind)]
        for inner, layer in part.named_modules() if inside else ():
            if _can_bend(layer) and re.fullmatch(inside[0], inner):
                yield f"{name}.{inner}", layer
        if target == "conditioning" and CONDITIONING.fullmatch(name) and isinstance(part, nn.Linear):
            yield name, part


def _can_bend(layer: nn.Module) -> TypeGuard[Bendable]:
    return isinstance(layer, nn.Linear) or isinstance(layer, nn.Conv1d) and layer.groups == 1


def inputs_of(layer: Bendable) -> int:
    """How many numbers each output is made of."""
    return layer.weight[0].numel()


def outputs_of(layer: Bendable) -> int:
    return len(layer.weight)


def add_lora(model: nn.Module, layers: Iterable[str], rank: int, seed: int) -> None:
    """peft's layers around these, and nothing else may move."""
    from peft import LoraConfig, inject_adapter_in_model

    exactly = "|".join(re.escape(name) for name in layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=exactly), model)


def whole_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with peft's layers -> one with plain layers, W + B A each; any other state as it is."""
    whole = {}
    for key, value in state.items():
        name, found, kind = key.rpartition(".base_layer.")
        if not found:
            if ".lora_A." not in key and ".lora_B." not in key:
                whole[key] = value
            continue
        if kind == "weight":
            up, down = (state[f"{name}.lora_{side}.{PEFT_NAME}.weight"] for side in "BA")
            value = value + (up.float().flatten(1) @ down.float().flatten(1)).view_as(value).to(value)
        whole[f"{name}.{kind}"] = value
    return whole
