"""An adapter: what makes a new voice, or new sounds, of a model that exists, in a folder of its own.

    config.json           {"format": 1, "kind": "adapter", "base": {"name", "fingerprint"}, "voice", "facts", "scale", "frontend",
                          "reference" (`fm_audio.voices.reference`), of a model that clones}
    adapter.safetensors   LAYER.down (r in), LAYER.up (out r); of a convolution `in` counts its taps; rows for tables that grow
                          (`TABLES`): speaker (1 g) of a voice; symbols (k w) of a new front-end, length_symbols (k e)

It changes layer LAYER by scale · up · down. The fingerprint is that of the base's config and weights: on others the numbers mean
nothing, and are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fm_audio import __version__
from fm_audio.checkpoint import CONFIG, WEIGHTS, WEIGHTS_NODE, instantiate, read_config, read_json
from fm_audio.data.text.extended import Extended
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.types import FmAudioError
from fm_audio.voices.reference import Reference, own_reference

FORMAT = 1
KIND = "adapter"
TENSORS = "adapter.safetensors"
# tables that an adapter adds rows to, by what the rows are called, and where a task has them; one may have several names
TABLES = {
    "speaker": ("speaker",),
    "symbols": ("text.embedding", "text.encoder.embedding"),
    "length_symbols": ("lengths.embedding",),
}


@dataclass(frozen=True)
class Adapter:
    """`down[layer]` (r in) and `up[layer]` (out r); `rows` for tables, by the names of `TABLES`; `frontend`, the node of the
    front-end that reads with new symbols, where the voice reads otherwise than its base; `reference`, what a model that clones
    hears unless it is given another recording."""

    voice: str
    base: str
    fingerprint: str
    down: Mapping[str, Tensor]
    up: Mapping[str, Tensor]
    scale: float = 1.0
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    frontend: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    reference: Reference | None = None

    def front_end(self, base: FrontEnd) -> FrontEnd:
        """What this voice reads with."""
        return base if self.frontend is None else Extended(base, instantiate(self.frontend))


def fingerprint(folder: Path) -> str:
    """16 hexadecimal digits that change with any weight of a model folder, or with the model that its config names."""
    config = read_config(folder)
    require_bendable(folder, config)
    digest = hashlib.sha256(json.dumps(config["model"], sort_keys=True).encode())
    try:
        digest.update((folder / WEIGHTS).read_bytes())
    except OSError as e:
        raise FmAudioError(f"{folder / WEIGHTS}: cannot be read ({e.strerror}); copy {WEIGHTS} beside {CONFIG}") from e
    return digest.hexdigest()[:16]


def require_bendable(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse weights that no adapter can change."""
    if WEIGHTS_NODE in config:
        raise FmAudioError(
            f"{folder}: an ONNX export wears no adapter; make the voice whole (fm-audio adapt merge) and export that"
        )


def write_adapter(folder: Path, adapter: Adapter) -> None:
    """config.json and the tensors into a folder that exists; who calls renames it once it is whole."""
    from safetensors.torch import save_file

    tensors = dict(adapter.rows)
    tensors |= {f"{layer}.down": value for layer, value in adapter.down.items()}
    tensors |= {f"{layer}.up": value for layer, value in adapter.up.items()}
    save_file({key: value.detach().float().cpu().contiguous().clone() for key, value in tensors.items()}, folder / TENSORS)
    config = {
        "format": FORMAT,
        "fm_audio": __version__,
        "kind": KIND,
        "base": {"name": adapter.base, "fingerprint": adapter.fingerprint},
        "voice": adapter.voice,
        "facts": dict(adapter.facts),
        "scale": adapter.scale,
        "frontend": adapter.frontend,
    }
    if adapter.reference is not None:
        config["reference"] = adapter.reference.beside(folder)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_adapter(folder: str | os.PathLike[str]) -> Adapter:
    """Raises FmAudioError when there is none or it is damaged; whether it fits a base, `require_base` and `require_fit` say."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    config = _read_config(folder)
    try:
        tensors = load_file(folder / TENSORS)
    except (SafetensorError, OSError) as e:
        raise FmAudioError(f"{folder / TENSORS}: missing, truncated or not safetensors ({e}); fetch the adapter again") from e
    down = {key.removesuffix(".down"): value for key, value in tensors.items() if key.endswith(".down")}
    up = {key.removesuffix(".up"): value for key, value in tensors.items() if key.endswith(".up")}
    rows = {name: tensors[name] for name in TABLES if name in tensors}
    if set(down) != set(up) or not (down or rows):
        raise FmAudioError(f"{folder / TENSORS}: holds nothing, or half a layer; fetch the adapter again")
    return Adapter(
        voice=config["voice"],
        base=config["base"]["name"],
        fingerprint=config["base"]["fingerprint"],
        down=down,
        up=up,
        scale=float(config.get("scale", 1.0)),
        rows=rows,
        frontend=config.get("frontend"),
        facts=config.get("facts", {}),
        reference=own_reference(folder, config),
    )


def read_another(folder: str | os.PathLike[str], base: Path | None, taken: Container[str]) -> Adapter:
    """An adapter for a model that is loaded, from the folder `base` where it came from one, and has voices `taken`.

    Raises FmAudioError as `read_adapter` and `require_base` do, and for a name that is taken."""
    adapter = read_adapter(folder)
    if base is not None:
        require_base(adapter, base)
    if adapter.voice in taken:
        raise FmAudioError(f"adapter {folder}: there is a voice {adapter.voice!r} already; remove it, or choose another --name")
    return adapter


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    config = read_json(path, "adapter", "give a folder that fm-audio adapt wrote")
    if not isinstance(config, dict) or config.get("kind") != KIND:
        kind = config.get("kind") if isinstance(config, dict) else type(config).__name__
        raise FmAudioError(f"{path}: is of kind {kind!r}, no adapter; give a folder that fm-audio adapt wrote")
    if config.get("format") != FORMAT:
        raise FmAudioError(
            f"{path}: format {config.get('format')!r}, this version reads {FORMAT}; install the fm_audio that wrote it"
        )
    if not isinstance(config.get("voice"), str) or not {"name", "fingerprint"} <= set(config.get("base") or {}):
        raise FmAudioError(f"{path}: names no voice or no base; fetch the adapter again")
    return config


def require_base(adapter: Adapter, folder: Path) -> None:
    """Refuse an adapter that was made for other weights than those of the model folder."""
    found = fingerprint(folder)
    if found != adapter.fingerprint:
        raise FmAudioError(
            f"adapter {adapter.voice!r} was made for {adapter.base} with fingerprint {adapter.fingerprint}, and {folder} has "
            f"{found}; load the base it was made for, or adapt again"
        )


def tables(model: nn.Module) -> dict[str, list[str]]:
    """The tables of a task that may grow, by the names of `TABLES`: every name of each."""
    known = dict(model.named_modules(remove_duplicate=False))
    return {kind: found for kind, names in TABLES.items() if (found := [name for name in names if name in known])}


def require_fit(adapter: Adapter, model: Any) -> None:
    """Refuse an adapter whose tensors have no place in a task that speaks or clones, before anything is changed."""
    reads, there = adapter.front_end(model.frontend), tables(model)
    if "speaker" in there and "speaker" not in adapter.rows:
        raise FmAudioError(f"adapter {adapter.voice!r}: has no speaker, so it is no voice; is it one for fm-audio sound?")
    added = len(reads.new_symbols) if isinstance(reads, Extended) else 0
    wanted = {
        kind: (1 if kind == "speaker" else added, model.get_submodule(names[0]).embedding_dim)
        for kind, names in there.items()
        if kind == "speaker" or isinstance(reads, Extended)
    }
    given = {kind: tuple(rows.shape) for kind, rows in adapter.rows.items()}
    if given != wanted:
        raise FmAudioError(
            f"adapter {adapter.voice!r}: its rows {given} do not fit the model's tables, which take {wanted}; "
            "fetch the adapter again"
        )
    require_layers(adapter, model)


def require_layers(adapter: Adapter, model: nn.Module) -> None:
    """Refuse an adapter that changes layers which the model lacks, or has in another size."""
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv1d)}
    for name, down in adapter.down.items():
        up = adapter.up[name]
        wanted = None if name not in layers else tuple(layers[name].weight.flatten(1).shape)
        if wanted != (up.shape[0], down.shape[1]) or up.shape[1] != down.shape[0]:
            raise FmAudioError(
                f"adapter {adapter.voice!r}: layer {name} of {(up.shape[0], down.shape[1])} does not fit the model's {wanted}; "
                "fetch the adapter again"
            )


def whole(adapter: Adapter, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state of weights with the adapter's changes added."""
    made = {key: value.clone() for key, value in state.items()}
    for name, down in adapter.down.items():
        weight = made[f"{name}.weight"]
        weight += (adapter.scale * adapter.up[name].double() @ down.double()).view_as(weight).to(weight)
    return made
