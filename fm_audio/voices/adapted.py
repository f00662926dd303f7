"""Adapters worn by a model: put on and taken off while it lives, several at once, each heard in its own voice's items alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fm_audio.data.text.extended import Moved
from fm_audio.lora import GrownEmbedding, LoraConv, LoraLinear
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import Adapter, require_fit, tables, whole


class Wardrobe:
    """The adapters of one task that speaks (`AlignedTTS`) or clones (`InfillTTS`). Taking the last one off leaves the very
    modules that were there before the first."""

    def __init__(self, model: Any):
        self.model = model
        self.worn: dict[str, Adapter] = {}
        self._speakers = dict(_speakers(model))
        self._tables: dict[str, nn.Embedding] = {
            name: model.get_submodule(name) for names in tables(model).values() for name in names
        }
        self._layers: dict[str, nn.Linear | nn.Conv1d] = {}

    def put_on(self, adapter: Adapter) -> None:
        """Its voice becomes one of the model's. Raises FmAudioError on a name that is taken and what does not fit."""
        if adapter.voice in self.worn or adapter.voice in self._speakers:
            raise FmAudioError(f"adapter {adapter.voice!r}: the model has a speaker of that name already; take it off first")
        self._undress()
        try:
            require_fit(adapter, self.model)
            self.worn[adapter.voice] = adapter
        finally:
            self._dress()

    def take_off(self, voice: str) -> None:
        if voice not in self.worn:
            raise FmAudioError(f"no adapter {voice!r} is on; there are {', '.join(self.worn) or 'none'}")
        self._undress()
        del self.worn[voice]
        self._dress()

    def _undress(self) -> None:
        model = self.model
        for name, module in (self._layers | self._tables).items():
            model.set_submodule(name, module)
        self._layers = {}
        model.adapters, model.front_ends = {}, {}
        _speakers(model).clear()
        _speakers(model).update(self._speakers)

    def _dress(self) -> None:
        adapters = list(self.worn.values())
        if not adapters:
            return
        model = self.model
        for name in dict.fromkeys(name for a in adapters for name in a.down):
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear | nn.Conv1d)
            self._layers[name] = layer
            model.set_submodule(name, lora_layer(layer, name, adapters))
        for kind, names in tables(model).items():
            rows = [a.rows[kind] for a in adapters if kind in a.rows]
            if rows:
                grown = _frozen(GrownEmbedding(self._tables[names[0]], torch.cat(rows)))
                for name in names:
                    model.set_submodule(name, grown)
        symbols, by = len(model.frontend.symbols), 0
        for i, adapter in enumerate(adapters):
            _speakers(model)[adapter.voice] = len(self._speakers) + i
            model.adapters[adapter.voice] = i + 1
            model.front_ends[adapter.voice] = Moved(adapter.front_end(model.frontend), symbols, by)
            by += len(adapter.rows.get("symbols", ()))


def _speakers(model: Any) -> dict[str, int]:
    """Rows of the table of speakers, by name; a task that clones has none, and what is written into it nobody reads."""
    return getattr(model, "speakers", {})


def _frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(False).eval()


def lora_layer(layer: nn.Linear | nn.Conv1d, name: str, adapters: list[Adapter]) -> LoraLinear | LoraConv:
    """The layer with all adapters' changes, number 0 none; ranks that differ are filled up with zeros."""
    outputs, inputs = layer.weight.flatten(1).shape
    none_down, none_up = layer.weight.new_zeros(1, inputs), layer.weight.new_zeros(1, outputs)
    down = [none_down, *(a.down.get(name, none_down).to(layer.weight) for a in adapters)]
    up = [none_up, *(a.scale * a.up[name].mT.to(layer.weight) if name in a.up else none_up for a in adapters)]
    stacked = pad_sequence(down, batch_first=True), pad_sequence(up, batch_first=True).mT
    return (LoraLinear(layer, *stacked) if isinstance(layer, nn.Linear) else LoraConv(layer, *stacked)).eval()


def merged(model: Any, adapter: Adapter) -> dict[str, Tensor]:
    """The state of a model that speaks as the adapter alone does: changes added into the weights, rows added to the tables."""
    require_fit(adapter, model)
    state = whole(adapter, model.state_dict())
    for kind, names in tables(model).items():
        for name in names if kind in adapter.rows else ():
            table = state[f"{name}.weight"]
            state[f"{name}.weight"] = torch.cat([table, adapter.rows[kind].to(table)])
    return state
