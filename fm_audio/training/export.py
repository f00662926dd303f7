"""`fm-audio export RUN OUT`: the weights of a training run become a model folder that `fm_audio.load` and decoders read.

RUN holds config.yaml (what `fit` wrote) and a checkpoint; averaged weights (EMA) are taken where the run kept them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fm_audio.checkpoint import instantiate, load_lightning_weights, save_model
from fm_audio.training.cli import SHARED
from fm_audio.training.low_rank import whole_weights
from fm_audio.training.parser import parameters
from fm_audio.types import FmAudioError

HELD = ("task", "decoder")  # what a Lightning module holds and a model folder keeps


def export(run: Path, out: Path, checkpoint: Path | None = None, extra: dict[str, Any] | None = None, half: bool = True) -> Path:
    """Write `out` from `run`; `checkpoint` defaults to RUN/checkpoints/last.ckpt; `extra` joins config.json.

    A text-to-speech task speaks from there as it is, with a voice for each speaker and harmonics plus noise, unless `extra` names
    others: "voices" ({name: {"speaker": …}}), "vocoder" (the folder of one beside it or among those that ship), "sampling".
    """
    config = run / "config.yaml"
    if not config.is_file():
        raise FmAudioError(f"{run}: no config.yaml there; give the folder that `fm-audio fit` logged to")
    recipe = yaml.safe_load(config.read_text())
    arguments = recipe["model"]["init_args"]
    held = next((name for name in HELD if name in arguments), None)
    if held is None:
        raise FmAudioError(f"{config}: the model holds none of {', '.join(HELD)}; nothing to export")
    weights = load_lightning_weights(checkpoint or run / "checkpoints" / "last.ckpt")
    node = arguments[held]
    # What stands once at the top of a recipe is left out where it was handed to.
    taken = parameters(node["class_path"])
    handed = {
        key: recipe[key]
        for key, targets in SHARED.items()
        if f"model.init_args.{held}.init_args.{key}" in targets and key in taken
    }
    node["init_args"] = node.get("init_args", {}) | handed
    beside = _speaking(node)
    if arguments.get("distill"):
        distilled = instantiate(arguments["distill"])
        node, beside = distilled.exported(node), distilled.beside(out)
    # A module that averages its decoder by hand keeps the mean under its own name.
    prefix = "averaged." if any(key.startswith("averaged.") for key in weights) else f"{held}."
    state = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    return save_model(out, node, whole_weights(state), extra=beside | (extra or {}), half=half)


def _speaking(node: dict[str, Any]) -> dict[str, Any]:
    """What a model folder needs to be a voice, to clone one or to write text; nothing for other models."""
    arguments = node["init_args"]
    kind = node["class_path"].rpartition(".")[0].rpartition(".")[2]
    if kind in ("text_to_text", "text_in_place", "autoregressive_text", "speech_to_text"):
        return {"kind": kind}
    if kind == "text_to_audio":
        decoder = "griffin_lim.GriffinLim" if (arguments["spec"] or {}).get("codec") is None else "latent.LatentDecoder"
        vocoder = {"class_path": f"fm_audio.decoders.{decoder}", "init_args": {"spec": arguments["spec"]}}
        return {"kind": kind, "vocoder": vocoder}
    if kind not in ("aligned_tts", "infill_tts", "joint"):
        return {}
    vocoder = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": arguments["spec"]}}
    voices = {name: {"speaker": name} for name in arguments.get("speakers", [])}
    return {"kind": kind, "vocoder": vocoder} | ({"voices": voices} if voices else {})
