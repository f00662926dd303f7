"""A model made ready to learn a voice: a row for the speaker, rows for new symbols, peft's low-rank layers where it may bend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from fm_audio.adapt.likening import Likened, rows_like
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.extended import Extended
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.lora import GrownEmbedding
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.training.low_rank import PEFT_NAME, Bendable, add_lora, inputs_of, outputs_of
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import Adapter, tables

MOST_MEGABYTES = 20.0
RANK = 16


def megabytes(layers: Mapping[str, Bendable], rank: int) -> float:
    """What an adapter of that rank takes on disk, less a few kilobytes."""
    return sum(rank * (inputs_of(layer) + outputs_of(layer)) for layer in layers.values()) * 4 / 1e6


def fitting_rank(layers: Mapping[str, Bendable], asked: int | None) -> int:
    """The rank that is asked for; where none is, `RANK`, or less where that would be larger than `MOST_MEGABYTES`.

    Raises FmAudioError for a rank that is."""
    most = int(MOST_MEGABYTES / megabytes(layers, 1))
    if asked is None:
        return max(1, min(RANK, most))
    if megabytes(layers, asked) > MOST_MEGABYTES:
        size = megabytes(layers, asked)
        raise FmAudioError(f"--rank {asked}: makes {size:.0f} MB, and {MOST_MEGABYTES:g} are allowed; give at most {most}")
    return asked


def grow(model: Any, voice: str, reads: FrontEnd | None, seed: int, taken: Sequence[Likened] = ()) -> None:
    """Of a model with speakers a row for `voice`, at first the mean speaker. Rows for new symbols of `reads`, like their
    stand-ins or else the sounds that stand in their place in the texts `taken`, otherwise drawn like the old ones. Old rows
    freeze."""
    there = tables(model)
    if "speaker" in there:
        model.speakers[voice] = len(model.speakers)
        _extend(model, there["speaker"], model.speaker.weight.detach().mean(0, keepdim=True))
    if reads is None:
        return
    extended = Extended(model.frontend, reads)
    model.front_ends[voice] = extended
    for kind in ("symbols", "length_symbols"):
        if kind in there:
            old = model.get_submodule(there[kind][0]).weight.detach()
            _extend(model, there[kind], _rows(old, extended, seed, taken))


def _rows(old: Tensor, extended: Extended, seed: int, taken: Sequence[Likened]) -> Tensor:
    """What new symbols begin with, (k w), beside the old rows (v w)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(extended.new_symbols), old.shape[1], generator=generator)
    rows = old[1:].mean(0) + old[1:].std(0) * drawn.to(old)  # 0 is padding
    rows = rows_like(taken, extended.new_symbols, old, rows)
    for row, symbol in zip(rows, extended.new_symbols, strict=True):
        if extended.stand_ins is not None and symbol in extended.stand_ins:
            row.copy_(old[extended.base.symbols.index(extended.stand_ins[symbol])])
    return rows


def _extend(model: nn.Module, names: Sequence[str], rows: Tensor) -> None:
    grown = GrownEmbedding(cast(nn.Embedding, model.get_submodule(names[0])), rows)
    for name in names:
        model.set_submodule(name, grown)


def _grown(model: nn.Module) -> dict[str, tuple[list[str], GrownEmbedding]]:
    """Tables that have grown: what their rows are called, all their names, and the table."""
    found = {kind: (names, model.get_submodule(names[0])) for kind, names in tables(model).items()}
    return {kind: (names, table) for kind, (names, table) in found.items() if isinstance(table, GrownEmbedding)}


def bend(model: nn.Module, layers: Sequence[str], rank: int, seed: int) -> None:
    """peft's layers around these, and nothing else of the old weights may move; new rows may."""
    add_lora(model, layers, rank, seed)
    for _, table in _grown(model).values():
        table.new.requires_grad_(True)


@torch.no_grad()
def start_like(model: AlignedTTS, voice: str, batch: SpeechBatch, seed: int) -> str:
    """The new voice begins as the speaker who fits its recordings best: the one with the least loss, whose name comes back."""
    row = model.speakers[voice]
    old = {name: i for name, i in model.speakers.items() if i < row}
    losses = {}
    for name in old:
        with torch.random.fork_rng(devices=[]):
            alike = replace(batch, speakers=[name] * len(batch))
            generator = torch.Generator(device=batch.mel.device).manual_seed(seed)
            losses[name] = float(model.loss(alike, generator)["loss"])
    nearest = min(losses, key=losses.__getitem__)
    assert isinstance(model.speaker, GrownEmbedding)
    model.speaker.new[0] = model.speaker.old[old[nearest]]
    return nearest


def collect(
    model: nn.Module, name: str, base: str, fingerprint: str, facts: Any, reads: Mapping[str, Any] | None = None
) -> Adapter:
    """What was learned, as an adapter: what bent layers and grown tables have."""
    lora = dict(_lora_layers(model))
    scales = {float(part.scaling[PEFT_NAME]) for part in lora.values()}
    assert len(scales) == 1
    down = {name: part.lora_A[PEFT_NAME].weight.detach().flatten(1).clone() for name, part in lora.items()}
    up = {name: part.lora_B[PEFT_NAME].weight.detach().flatten(1).clone() for name, part in lora.items()}
    rows = {kind: table.new.detach().clone() for kind, (_, table) in _grown(model).items()}
    return Adapter(name, base, fingerprint, down, up, scales.pop(), rows, reads, facts)


def _lora_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    yield from ((name, part) for name, part in model.named_modules() if isinstance(part, LoraLayer))


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The state of a fully trained model, tables in one piece."""
    state = dict(model.state_dict())
    for names, table in _grown(model).values():
        for name in names:
            del state[f"{name}.old"], state[f"{name}.new"]
            state[f"{name}.weight"] = table.weight.detach()
    return state
