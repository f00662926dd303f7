"""`fm-audio export`: a training run becomes a model folder; with --onnx a model folder becomes one that onnxruntime runs."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fm_audio
from fm_audio.checkpoint import CONFIG, WEIGHTS_NODE, load_model, read_config, read_json
from fm_audio.folders import becoming, require_new
from fm_audio.runtime.export import Written, export_models
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import KIND as ADAPTER
from fm_audio.voices.find import find, load_vocoder, vocoder_folder
from fm_audio.voices.presets import FILE as PRESETS

CARD = "card.md"
PACKAGE = Path(fm_audio.__file__).parent
EXAMPLES = """examples:
  fm-audio export runs/taught my_voice --extra '{"vocoder": "vocoder-24k"}'
  fm-audio export heart heart_onnx --onnx
  fm-audio say "Hello." -o hello.wav --runtime onnx --voice heart_onnx"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio export", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = "a run's folder with config.yaml and checkpoints/last.ckpt; with --onnx a model that ships, or a model folder"
    made.add_argument("source", metavar="RUN|MODEL", help=source)
    made.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    made.add_argument("--checkpoint", type=Path, help="another checkpoint than RUN/checkpoints/last.ckpt")
    made.add_argument("--extra", type=json.loads, help="JSON object that joins config.json")
    made.add_argument("--full", action="store_true", help="store float32 instead of float16")
    made.add_argument("--onnx", action="store_true", help="write .onnx files, each checked against torch")
    made.add_argument("--int8", action="store_true", help="with --onnx: matrices of the networks in eight bits")
    return made


def main(argv: Sequence[str]) -> int:
    given = parser().parse_args(argv)
    if given.extra is not None and not isinstance(given.extra, dict):
        raise FmAudioError("--extra: give a JSON object, such as '{\"default_voice\": \"anna\"}'")
    if not given.onnx:
        if given.int8:
            raise FmAudioError("--int8: is for ONNX files; give --onnx too")
        from fm_audio.training.export import export

        print(export(Path(given.source), given.out, given.checkpoint, given.extra, half=not given.full))
        return 0
    for name in ("checkpoint", "extra", "full"):
        if getattr(given, name):
            raise FmAudioError(f"--{name}: is for training runs; export the run to a model folder first, then that with --onnx")
    export_onnx(given.source, given.out, given.int8)
    print(given.out)
    return 0


def export_onnx(source: str, out: Path, int8: bool = False) -> list[Written]:
    """`out` from the model that `source` names, with its vocoder. A line is printed for each part.

    Raises FmAudioError for what is no model folder or cannot be exported, and where `out` exists.
    """
    require_new(out)
    folder, default_voice = model_named(source)
    config = read_config(folder)
    if WEIGHTS_NODE in config:
        raise FmAudioError(f"{folder}: is an ONNX export already; give the model that it was made of")
    models = [load_model(folder)]
    if "vocoder" in config:
        vocoder = load_vocoder(folder, config)
        models.append(vocoder)
        config["vocoder"] = vocoder_node(folder, config)
    if default_voice is not None:
        config["default_voice"] = default_voice
    config[WEIGHTS_NODE] = {"class_path": "fm_audio.runtime.weights.OnnxWeights", "init_args": {"int8": int8}}
    with becoming(out) as hidden:
        print(f"{'part':10} {'megabytes':>9} {'float32':>9}" + (f" {'int8':>9}" if int8 else "") + "   difference from torch")
        written = export_models(models, hidden, int8, _tell)
        for name in (CARD, PRESETS):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, hidden / name)
        (hidden / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return written


def _tell(one: Written) -> None:
    rough = "" if one.int8 is None else f" {one.int8:9.1e}"
    print(f"{one.name:10} {one.size / 1e6:9.2f} {one.deviation:9.1e}{rough}", flush=True)


def model_named(source: str) -> tuple[Path, str | None]:
    """The folder that is meant, and the voice in it that was named, if one was.

    Raises FmAudioError for training runs, for adapters, and for names that nothing has.
    """
    folder = Path(source)
    if (folder / CONFIG).is_file():
        config = read_json(folder / CONFIG, "model", "give the folder of a model")
        if isinstance(config, dict) and config.get("kind") == ADAPTER:
            raise FmAudioError(f"{folder}: is an adapter; make the voice whole first: fm-audio adapt merge {folder} -o WHOLE")
        return folder, None
    if (folder / "config.yaml").is_file():
        raise FmAudioError(f"{folder}: is a training run; make a model folder of it first: fm-audio export {folder} MODEL")
    ships = {path.parent.name: path.parent for path in PACKAGE.rglob(CONFIG)}
    if source in ships:
        return ships[source], None
    try:
        entry = find(source)
    except FmAudioError as e:
        raise FmAudioError(f"{e}; of models there are {', '.join(sorted(ships))}") from e
    return entry.folder, entry.name


def vocoder_node(folder: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The vocoder as a class and its arguments, also where the config names a folder."""
    named, place = config["vocoder"], vocoder_folder(folder, config)
    if place is None:
        return named
    node = read_config(place)["model"]
    if not isinstance(named, Mapping):
        return node
    arguments = {"decoder": node, "spec": config["model"]["init_args"]["spec"], "other_floor": bool(named.get("other_floor"))}
    return {"class_path": "fm_audio.decoders.renormalised.Renormalised", "init_args": arguments}
