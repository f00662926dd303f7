"""A model made ready to learn a voice: a row for the speaker, rows for new symbols, peft's low-rank layers where it may bend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

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
from fm_audio.voices.adapter import Adapter

MOST_MEGABYTES = 20.0


def megabytes(layers: Mapping[str, Bendable], rank: int) -> float:
    """What an adapter of that rank takes on disk, less a few kilobytes."""
    return sum(rank * (inputs_of(layer) + outputs_of(layer)) for layer in layers.values()) * 4 / 1e6


def require_small(layers: Mapping[str, Bendable], rank: int) -> None:
    """Refuse a rank that makes an adapter larger than `MOST_MEGABYTES`."""
    size = megabytes(layers, rank)
    if size > MOST_MEGABYTES:
        most = int(rank * MOST_MEGABYTES / size)
        raise FmAudioError(f"--rank {rank}: makes {size:.0f} MB, and {MOST_MEGABYTES:g} are allowed; give at most {most}")


def grow(model: AlignedTTS, voice: str, reads: FrontEnd | None, seed: int, taken: Sequence[Likened] = ()) -> None:
    """A row for `voice`, at first the mean speaker; rows for new symbols of `reads`, like their stand-ins or else the sounds that
    stand in their place in the texts `taken`, otherwise drawn like the old ones. Old rows freeze."""
    model.speakers[voice] = len(model.speakers)
    model.speaker = GrownEmbedding(model.speaker, model.speaker.weight.detach().mean(0, keepdim=True))  # type: ignore[assignment]
    if reads is None:
        return
    extended = Extended(model.frontend, reads)
    old = model.text.embedding.weight.detach()
    if extended.stand_ins is not None:
        rows = old[[model.frontend.symbols.index(extended.stand_ins[symbol]) for symbol in extended.new_symbols]]
    else:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(len(extended.new_symbols), old.shape[1], generator=generator)
        rows = old[1:].mean(0) + old[1:].std(0) * drawn.to(old)  # 0 is padding
        rows = rows_like(taken, extended.new_symbols, old, rows)
    model.text.embedding = GrownEmbedding(model.text.embedding, rows)  # type: ignore[assignment]
    model.front_ends[voice] = extended


def bend(model: AlignedTTS, layers: Sequence[str], rank: int, seed: int) -> None:
    """peft's layers around these, and nothing else of the old weights may move; new rows may."""
    add_lora(model, layers, rank, seed)
    for table in (model.speaker, model.text.embedding):
        if isinstance(table, GrownEmbedding):
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


def collect(model: AlignedTTS, voice: str, base: str, fingerprint: str, reads: Mapping[str, Any] | None, facts: Any) -> Adapter:
    """What was learned, as an adapter."""
    assert isinstance(model.speaker, GrownEmbedding)
    table = model.text.embedding
    return replace(
        collect_bent(model, voice, base, fingerprint, facts),
        speaker=model.speaker.new.detach().clone(),
        symbols=table.new.detach().clone() if isinstance(table, GrownEmbedding) else None,
        frontend=reads,
    )


def collect_bent(model: nn.Module, name: str, base: str, fingerprint: str, facts: Any) -> Adapter:
    """What bent layers learned."""
    lora = dict(_lora_layers(model))
    scales = {float(part.scaling[PEFT_NAME]) for part in lora.values()}
    assert len(scales) == 1
    down = {name: part.lora_A[PEFT_NAME].weight.detach().flatten(1).clone() for name, part in lora.items()}
    up = {name: part.lora_B[PEFT_NAME].weight.detach().flatten(1).clone() for name, part in lora.items()}
    return Adapter(name, base, fingerprint, None, down, up, scales.pop(), facts=facts)


def _lora_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    yield from ((name, part) for name, part in model.named_modules() if isinstance(part, LoraLayer))


def whole_state(model: AlignedTTS) -> dict[str, Tensor]:
    """The state of a fully trained model, tables in one piece."""
    state = dict(model.state_dict())
    for name in ("speaker", "text.embedding"):
        table = model.get_submodule(name)
        if isinstance(table, GrownEmbedding):
            del state[f"{name}.old"], state[f"{name}.new"]
            state[f"{name}.weight"] = table.weight.detach()
    return state
