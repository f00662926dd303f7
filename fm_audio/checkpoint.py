"""Model folders: config.json says which classes with which arguments, model.safetensors holds the numbers. Nothing is unpickled.

    config.json   {"format": 1, "fm_audio": version, "model": {"class_path": "fm_audio.…", "init_args": {…}}, …extra}

The weights are renamed into place first and the config last, so a folder with a config is a whole model. A config may name, as
"weights", another class that has them (`fm_audio.runtime.weights`).
"""

from __future__ import annotations

import inspect
import json
import os
import tempfile
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio import __version__
from fm_audio.types import FmAudioError

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
WEIGHTS_NODE = "weights"
PACKAGE = "fm_audio"
HALF_MAX = torch.finfo(torch.float16).max

Node = Mapping[str, Any]


def save_model(
    folder: str | os.PathLike[str],
    node: Node,
    state_dict: Mapping[str, Tensor],
    extra: Mapping[str, Any] | None = None,
    half: bool = False,
) -> Path:
    """Write a model folder; each file appears whole or not at all, other files in the folder stay.

    `half` stores floats that fit into float16 as float16 (half the size); they come back as float32.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    config = {"format": FORMAT, "fm_audio": __version__, "model": node, **(extra or {})}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    tensors = {key: _stored(value, half) for key, value in state_dict.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(folder / WEIGHTS, lambda temporary: save_file(tensors, temporary))
        _write_whole(folder / CONFIG, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except OSError as e:
        raise FmAudioError(f"{folder}: cannot write a model there ({e.strerror}); choose another folder") from e
    return folder


def load_model(folder: str | os.PathLike[str]) -> nn.Module:
    """The model of a folder, in float32 and eval mode, on the CPU."""
    folder = Path(folder)
    config = read_config(folder)
    node = config["model"]
    with torch.random.fork_rng(devices=[]):
        try:
            model = instantiate(node)
        except FmAudioError as e:
            raise FmAudioError(f"{folder / CONFIG}: {e}") from e
    if not isinstance(model, nn.Module):
        raise FmAudioError(f"{folder / CONFIG}: {node['class_path']} is not a model; export the training run again")
    if WEIGHTS_NODE in config:
        return instantiate(config[WEIGHTS_NODE]).given_to(model, folder)
    state = _read_weights(folder / WEIGHTS)
    _require_matching(folder, model.state_dict(), state)
    model.load_state_dict(state)
    return model.float().eval()


def load_into(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Give a model the weights of a folder, to train on from there.

    Embeddings may have more rows than the folder's: new speakers and symbols keep their start. Speakers are matched by name,
    where the model has `speakers` {name: row of the speaker.weight that it or its part has}. Raises FmAudioError when anything
    else differs.
    """
    folder = Path(folder)
    node, ours = read_config(folder)["model"], model.state_dict()
    _require_same_parts(folder, model, node)
    state = _read_weights(folder / WEIGHTS)
    tables = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.Embedding)}
    speaker_rows = _speaker_rows(folder, model, node)
    for key in tables & set(state):
        old, new = state[key], ours[key].cpu().clone()
        if old.shape[1:] == new.shape[1:] and len(old) <= len(new):
            new[speaker_rows if key.endswith("speaker.weight") and speaker_rows else list(range(len(old)))] = old
            state[key] = new
    _require_matching(folder, ours, state)
    model.load_state_dict(state)


def load_parts(model: nn.Module, parts: Mapping[str, str]) -> None:
    """Give parts of a model the weights of parts of folders, whose tasks may be others: {"listening.encoder": "FOLDER:encoder"}.

    Speakers are matched by name and may be appended. Raises FmAudioError where one of the two has no such part, or where they
    differ in class, in a size, in the mel contract or in what texts are read as.
    """
    there: dict[str, nn.Module] = {}
    for name, place in parts.items():
        folder, _, source = place.rpartition(":")
        if not folder or not source:
            raise FmAudioError(f"start_parts: {name} begins with {place!r}; give the folder and its part, FOLDER:PART")
        other = there[folder] = there.get(folder) or load_model(folder)
        ours, part = _part(model, name, "this model"), _part(other, source, folder)
        if type(ours) is not type(part):
            raise FmAudioError(f"{folder}: its {source} is a {type(part).__name__}, here {name} is a {type(ours).__name__}")
        _require_same_meaning(folder, model, other, ours)
        state = part.state_dict()
        if isinstance(ours, nn.Embedding) and name.endswith("speaker"):
            rows = _speaker_rows(folder, model, read_config(folder)["model"])
            state["weight"] = ours.weight.detach().clone().index_copy(0, torch.tensor(rows), state["weight"])
        _require_matching(Path(folder), ours.state_dict(), state)
        ours.load_state_dict(state)


def _require_same_meaning(folder: str, model: nn.Module, other: nn.Module, part: nn.Module) -> None:
    """The same mel contract, and where the part has tables of symbols, front-ends and source vocabularies of the same class."""
    mine, theirs = getattr(model, "spec", None), getattr(other, "spec", None)
    if mine != theirs:
        raise FmAudioError(f"{folder}: its spec is {theirs}, here it is {mine}; use the same")
    if any(isinstance(m, nn.Embedding) for m in part.modules()):
        for key in ("frontend", "source"):
            mine, theirs = getattr(model, key, None), getattr(other, key, None)
            if mine is not None and theirs is not None and type(mine) is not type(theirs):
                kinds = type(theirs).__name__, type(mine).__name__
                raise FmAudioError(f"{folder}: its {key} is {kinds[0]}, here it is {kinds[1]}; use the same")


def _part(model: nn.Module, name: str, where: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as e:
        has = ", ".join(n for n, _ in model.named_children())
        raise FmAudioError(f"{where}: has no part {name!r} to begin with; it has {has}") from e


def _speaker_rows(folder: str | Path, model: nn.Module, node: Node) -> list[int]:
    """Where the model keeps each of the folder's speakers; empty when there are none to match."""
    theirs, ours = (node.get("init_args") or {}).get("speakers"), getattr(model, "speakers", None)
    if theirs is None or ours is None:
        return []
    lost = [name for name in theirs if name not in ours]
    if lost:
        raise FmAudioError(f"{folder}: its speakers {', '.join(lost)} are not in the new list; keep all and append new ones")
    return [ours[name] for name in theirs]


def _require_same_parts(folder: Path, model: nn.Module, node: Node) -> None:
    """The same class, front-end and mel contract: their weights have the same meaning, not only the same shapes."""
    parts: list[tuple[str, Any, Any]] = [("model", model, node)]
    parts += [(name, getattr(model, name, None), part) for name, part in (node.get("init_args") or {}).items()]
    for name, ours, theirs in parts:
        if ours is None or not isinstance(theirs, Mapping):
            continue
        mine, other = f"{type(ours).__module__}.{type(ours).__qualname__}", theirs.get("class_path")
        if is_dataclass(ours) and other is None:
            mine, other = str(ours), str(_build(theirs, type(ours)))
        if other is not None and mine != other:
            raise FmAudioError(f"{folder}: its {name} is {other}, here it is {mine}; use the same")


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """config.json of a model folder, checked: it is JSON, of a known format, and names a model."""
    path = Path(folder) / CONFIG
    config = read_json(path, "model", f"give a folder that holds {CONFIG} and {WEIGHTS}")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        given = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise FmAudioError(f"{path}: format {given!r}; this version reads format {FORMAT}; install the fm_audio that wrote it")
    if not isinstance(config.get("model"), dict):
        raise FmAudioError(f'{path}: names no model; it needs "model": {{"class_path": …, "init_args": …}}')
    return config


def read_json(path: Path, what: str, how: str) -> Any:
    """A JSON file of a model or an adapter (`what`); `how` tells which folder to give instead of one without it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise FmAudioError(f"{path}: no {what} there ({e.strerror}); {how}") from e
    except ValueError as e:
        raise FmAudioError(f"{path}: is not JSON ({e}); fetch or make the {what} again") from e


def instantiate(node: Node) -> Any:
    """{"class_path": "fm_audio.…", "init_args": {…}} -> object, parts first.

    Init args may hold nodes, lists and dictionaries of nodes; a dataclass argument (AudioSpec) may be a plain dictionary of
    its fields. Raises FmAudioError on a class outside fm_audio and on unknown or missing arguments.
    """
    if not isinstance(node.get("class_path"), str):
        raise FmAudioError(f"a part needs a class_path and init_args, but has {sorted(node)}")
    unknown = sorted(set(node) - {"class_path", "init_args"})
    if unknown:
        raise FmAudioError(f"{node['class_path']}: unknown keys {unknown} beside class_path and init_args")
    cls = _find_class(node["class_path"])
    return _construct(cls, node.get("init_args") or {})


def load_lightning_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state_dict of one's own Lightning checkpoint, read with `weights_only`: tensors and plain values, never code."""
    import pickle

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as e:
        raise FmAudioError(f"{path}: cannot be read as a checkpoint ({_first_line(e)}); take an earlier one of the run") from e
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise FmAudioError(f"{path}: holds no state_dict; give a checkpoint that `fm-audio fit` wrote")
    return checkpoint["state_dict"]


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """A copy of its own (tied weights share memory), on the host, float16 where asked and possible."""
    tensor = tensor.detach().cpu()
    if half and tensor.is_floating_point() and (tensor.numel() == 0 or tensor.abs().max() <= HALF_MAX):
        tensor = tensor.half()
    return tensor.clone(memory_format=torch.contiguous_format)


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise FmAudioError(f"{path}: the weights are missing; copy {WEIGHTS} beside {CONFIG} (an ONNX export has none)")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as e:
        size = path.stat().st_size
        raise FmAudioError(f"{path}: truncated or not safetensors ({size} bytes; {_first_line(e)}); fetch the file again") from e
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def _require_matching(folder: Path, ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    troubles = [f"{key} is missing" for key in ours if key not in theirs]
    troubles += [f"{key} is unknown" for key in theirs if key not in ours]
    troubles += [
        f"{key} is {tuple(theirs[key].shape)}, not {tuple(ours[key].shape)}"
        for key in ours
        if key in theirs and ours[key].shape != theirs[key].shape
    ]
    if troubles:
        listed = "; ".join(troubles[:4]) + (f"; and {len(troubles) - 4} more" if len(troubles) > 4 else "")
        raise FmAudioError(f"{folder}: {WEIGHTS} does not fit the model that {CONFIG} names: {listed}; export both together")


def _find_class(class_path: str) -> type:
    """The class, if both the path and the class itself are this package's."""
    module_name, _, name = class_path.rpartition(".")
    if module_name.split(".")[0] != PACKAGE:
        raise FmAudioError(f"class_path {class_path!r} is outside {PACKAGE}; only its own classes are built from a file")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as e:
        if e.name is None or not module_name.startswith(e.name):
            raise FmAudioError(f"{class_path} needs the package {e.name}; install it") from e
        raise FmAudioError(f"class_path {class_path!r}: there is no module {module_name}") from e
    found = getattr(module, name, None)
    if not isinstance(found, type) or found.__module__.split(".")[0] != PACKAGE:
        classes = [k for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module_name]
        raise FmAudioError(f"class_path {class_path!r}: {module_name} has no class {name}{_did_you_mean(name, classes)}")
    return found


def _construct(cls: type, given: Node) -> Any:
    signature = inspect.signature(cls)
    hints = typing.get_type_hints(cls if is_dataclass(cls) else cls.__init__)  # type: ignore[misc]
    for key in given:
        if key not in signature.parameters:
            names = list(signature.parameters)
            raise FmAudioError(f"{cls.__qualname__} takes no {key!r}{_did_you_mean(key, names)}; it takes {', '.join(names)}")
    arguments = {key: _build(value, hints.get(key)) for key, value in given.items()}
    missing = [k for k, p in signature.parameters.items() if p.default is p.empty and p.kind != p.VAR_KEYWORD and k not in given]
    if missing:
        raise FmAudioError(f"{cls.__qualname__} needs {', '.join(missing)}")
    return cls(**arguments)


def _build(value: Any, hint: Any) -> Any:
    """One argument: nodes become objects, dictionaries for dataclasses become those, lists for tuples become tuples."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    if isinstance(value, Mapping) and "class_path" in value:
        return instantiate(value)
    if isinstance(value, Mapping):
        for option in options:
            if isinstance(option, type) and is_dataclass(option):
                return _construct(option, value)
        inner = next((typing.get_args(o)[1] for o in options if len(typing.get_args(o)) == 2), None)
        return {key: _build(item, inner) for key, item in value.items()}
    if isinstance(value, list | tuple):
        inner = next((typing.get_args(o)[0] for o in options if typing.get_args(o)), None)
        built = [_build(item, inner) for item in value]
        return tuple(built) if any(o is tuple or typing.get_origin(o) is tuple for o in options) else built
    return value


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=3)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
