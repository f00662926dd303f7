"""How a family's tensors and ours become each other: a list of entries, exact in both directions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from fm_audio.convert.inert import inert_classes
from fm_audio.types import FmAudioError

State = dict[str, Tensor]
BESIDE = "published.safetensors"
"""The file of a model folder with `Converted.beside`."""


@dataclass(frozen=True)
class Converted:
    """What becomes a model folder: the config's node, the weights, and what else its config.json says.

    `beside` are published tensors that our model computes itself; they are kept in the folder, so that the way back is exact.
    """

    node: dict[str, Any]
    weights: State
    extra: dict[str, Any] = field(default_factory=dict)
    beside: State = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One tensor of ours, made of one or more of theirs. `split` is the inverse of `join`."""

    ours: str
    theirs: tuple[str, ...]
    join: Callable[..., Tensor] = lambda x: x
    split: Callable[[Tensor], Sequence[Tensor]] = lambda x: (x,)


def to_ours(entries: Sequence[Entry], theirs: Mapping[str, Tensor], where: str) -> State:
    """Raises FmAudioError, with the list, unless `theirs` holds exactly the tensors of the entries."""
    expected = {key for entry in entries for key in entry.theirs}
    missing, unknown = sorted(expected - set(theirs)), sorted(set(theirs) - expected)
    if missing or unknown:
        listed = [f"{key} is missing" for key in missing] + [f"{key} is unknown" for key in unknown]
        more = f"; and {len(listed) - 6} more" if len(listed) > 6 else ""
        raise FmAudioError(f"{where}: not this family's layout: {'; '.join(listed[:6])}{more}; choose the family it comes from")
    return {entry.ours: entry.join(*(theirs[key] for key in entry.theirs)).contiguous() for entry in entries}


def to_theirs(entries: Sequence[Entry], ours: Mapping[str, Tensor]) -> State:
    state: State = {}
    for entry in entries:
        parts = entry.split(ours[entry.ours])
        state |= {key: part.contiguous() for key, part in zip(entry.theirs, parts, strict=True)}
    return state


def linear(ours: str, theirs: str) -> list[Entry]:
    """A weight and a bias."""
    return [Entry(f"{ours}.{part}", (f"{theirs}.{part}",)) for part in ("weight", "bias")]


def pointwise(ours: str, theirs: str) -> list[Entry]:
    """A linear map here that is a convolution over one position there."""
    return [
        Entry(f"{ours}.weight", (f"{theirs}.weight",), lambda x: x[..., 0], lambda x: (x[..., None],)),
        Entry(f"{ours}.bias", (f"{theirs}.bias",)),
    ]


def shape_of(state: Mapping[str, Tensor], key: str, where: str) -> tuple[int, ...]:
    """The shape of a tensor that the family must have."""
    if key not in state:
        raise FmAudioError(f"{where}: not this family's layout: {key} is missing; choose the family it comes from")
    return tuple(state[key].shape)


def count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts `prefix`0., `prefix`1. … there are."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def read_tensors(path: Path) -> dict[str, Any]:
    """A safetensors file, or what a .pt or .ckpt holds, read with `weights_only`: tensors and plain values, never code."""
    import pickle

    from safetensors import SafetensorError

    if not path.is_file():
        raise FmAudioError(f"{path}: no such file; give the published checkpoint")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with inert_classes(path):
            read = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as e:
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise FmAudioError(f"{path}: truncated, or more than tensors and plain values ({reason}); fetch it again") from e
    if not isinstance(read, dict):
        raise FmAudioError(f"{path}: holds a {type(read).__name__}, not tensors by name; give the published checkpoint")
    return read


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """`write` a file under another name beside it, then rename it into place; a new file only."""
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        raise FmAudioError(f"{path}: exists already; give the name of a new one")
    try:
        write(part)
        part.replace(path)
    except (OSError, RuntimeError) as e:
        raise FmAudioError(f"{path}: cannot write there ({e}); choose another file") from e
    finally:
        part.unlink(missing_ok=True)


def write_folder(out: Path, files: Mapping[str, Callable[[Path], Any]]) -> None:
    """Write each file into a folder under another name beside `out`, then rename that into place; a new folder only."""
    if out.exists():
        raise FmAudioError(f"{out}: exists already; give the name of a new folder")
    part = out.with_name(f"{out.name}.part")
    made = False
    try:
        part.mkdir(parents=True)
        made = True
        for name, write in files.items():
            write(part / name)
        part.replace(out)
    except (OSError, RuntimeError) as e:
        if made:  # somebody else's is left alone
            shutil.rmtree(part, ignore_errors=True)
        raise FmAudioError(f"{out}: cannot be written ({e}); choose another place") from e


def beside(folder: Path) -> State:
    """The published tensors that `fm-audio convert` kept beside the weights of a model folder."""
    path = folder / BESIDE
    if not path.is_file():
        raise FmAudioError(f"{path}: is missing; `fm-audio convert` wrote it beside the weights, copy it there")
    return load_file(path)
