"""Vocos (Siuzdak 2023, arXiv 2306.00814; package vocos 0.1.0): config.yaml and pytorch_model.bin as `Vocos`, and back.

Module names are theirs, so tensors move unchanged. Their windows and mel filters are constants that `AudioSpec` computes; they
are compared with ours on the way in and kept beside the weights for the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import instantiate, load_model, read_config
from fm_audio.convert.layout import Converted, Entry, State, beside, linear, read_tensors, to_ours, to_theirs, write_folder
from fm_audio.types import FmAudioError

CONFIG, WEIGHTS = "config.yaml", "pytorch_model.bin"
LOG_FLOOR = 1e-7
WINDOW, FILTERS, INVERSE_WINDOW = (
    "feature_extractor.mel_spec.spectrogram.window",
    "feature_extractor.mel_spec.mel_scale.fb",
    "head.istft.window",
)
# part of config.yaml: its class and its arguments, the names they have in AudioSpec or Vocos (None: must be "center")
PARTS: dict[str, tuple[str, dict[str, str | None]]] = {
    "feature_extractor": (
        "vocos.feature_extractors.MelSpectrogramFeatures",
        {"sample_rate": "sample_rate", "n_fft": "n_fft", "hop_length": "hop_samples", "n_mels": "bands", "padding": None},
    ),
    "backbone": (
        "vocos.models.VocosBackbone",
        {"input_channels": "bands", "dim": "width", "intermediate_dim": "hidden", "num_layers": "layers"},
    ),
    "head": ("vocos.heads.ISTFTHead", {"dim": "width", "n_fft": "n_fft", "hop_length": "hop_samples", "padding": None}),
}
MODEL = ("width", "hidden", "layers")
PADDING = "center"


def forth(source: Path) -> Converted:
    """The folder `charactr/vocos-mel-24khz` is published as, or another of its kind."""
    return from_vocos(_read_yaml(source / CONFIG), read_tensors(source / WEIGHTS), str(source))


def back(folder: Path, out: Path) -> None:
    """Write config.yaml and pytorch_model.bin into the new folder `out`."""
    state = to_vocos(load_model(folder).state_dict(), beside(folder))
    text = _yaml().safe_dump(config_of(read_config(folder)["model"]), sort_keys=False)
    write_folder(
        out, {WEIGHTS: lambda path: torch.save(state, path), CONFIG: lambda path: path.write_text(text, encoding="utf-8")}
    )


def from_vocos(config: Mapping[str, Any], state: Mapping[str, Tensor], where: str = "Vocos") -> Converted:
    """A `Vocos` that decodes what theirs decodes; FmAudioError where config or tensors are of another kind."""
    sizes = sizes_of(config, where)
    spec: dict[str, Any] = {k: v for k, v in sizes.items() if k not in MODEL}
    spec |= {"window_samples": sizes["n_fft"], "log_floor": LOG_FLOOR}
    node = {
        "class_path": "fm_audio.decoders.vocos.Vocos",
        "init_args": {"spec": spec} | {k: sizes[k] for k in MODEL},
    }
    weights = to_ours(entries(sizes["layers"]), state, where)
    beside = {key: weights.pop(key) for key in (WINDOW, FILTERS, INVERSE_WINDOW)}
    _require_same_mel(beside, AudioSpec.from_contract(spec), where)
    return Converted(node, weights, {"kind": "vocoder"}, beside)


def to_vocos(ours: Mapping[str, Tensor], beside: Mapping[str, Tensor]) -> State:
    """Their state dict."""
    layers = len({key.split(".")[2] for key in ours if key.startswith("backbone.convnext.")})
    return to_theirs(entries(layers), {**ours, **beside})


def config_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """Their config.yaml for a node of ours."""
    decoder = instantiate(node)
    sizes = decoder.spec.contract() | {k: v for k, v in node["init_args"].items() if k in MODEL}
    return {
        part: {
            "class_path": path,
            "init_args": {theirs: PADDING if ours is None else sizes[ours] for theirs, ours in arguments.items()},
        }
        for part, (path, arguments) in PARTS.items()
    }


def sizes_of(config: Mapping[str, Any], where: str) -> dict[str, int]:
    """The arguments of config.yaml under our names."""
    sizes: dict[str, int] = {}
    for part, (path, arguments) in PARTS.items():
        given = config.get(part) if isinstance(config, Mapping) else None
        given = given if isinstance(given, Mapping) else {}
        values = given.get("init_args") or {}
        if given.get("class_path") != path or set(values) != set(arguments):
            raise FmAudioError(
                f"{where}: {part} is {given.get('class_path')} of {', '.join(map(str, values))}; "
                f"this family has {path} of {', '.join(arguments)}"
            )
        for theirs, ours in arguments.items():
            wanted = PADDING if ours is None else sizes.setdefault(ours, values[theirs])
            if values[theirs] != wanted:
                raise FmAudioError(f"{where}: {part}.{theirs} is {values[theirs]!r}; this family needs {wanted!r} there")
    return sizes


def entries(layers: int) -> list[Entry]:
    """Every tensor of both; the last three are constants."""
    parts = ["backbone.embed", "backbone.norm", "backbone.final_layer_norm", "head.out"]
    gains = []
    for i in range(layers):
        block = f"backbone.convnext.{i}"
        parts += [f"{block}.{part}" for part in ("dwconv", "norm", "pwconv1", "pwconv2")]
        gains.append(f"{block}.gamma")
    found = [entry for part in parts for entry in linear(part, part)]
    return found + [Entry(key, (key,)) for key in (*gains, WINDOW, FILTERS, INVERSE_WINDOW)]


def _require_same_mel(constants: Mapping[str, Tensor], spec: AudioSpec, where: str) -> None:
    window = torch.hann_window(spec.n_fft)
    for key, ours in ((WINDOW, window), (FILTERS, spec.filters().T), (INVERSE_WINDOW, window)):
        if constants[key].shape != ours.shape or (constants[key] - ours).abs().max() > 1e-4:
            raise FmAudioError(f"{where}: {key} is not what its config.yaml says ({spec}); fetch both files again")


def _read_yaml(path: Path) -> Any:
    yaml = _yaml()
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        reason = str(e).splitlines()[0]
        raise FmAudioError(f"{path}: cannot be read ({reason}); give the folder that holds {CONFIG} and {WEIGHTS}") from e


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as e:
        raise FmAudioError("Vocos is published with a config.yaml; to read one, pip install fm-audio[train]") from e
    return yaml
