"""`fm-audio convert FAMILY IN OUT`: a published checkpoint to a model folder, or a model folder to the published layout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from fm_audio.checkpoint import CONFIG, load_model, read_config, save_model
from fm_audio.convert.f5 import PREFIX, VERSIONS, from_f5, to_f5, transformer_of
from fm_audio.convert.layout import read_tensors
from fm_audio.types import FmAudioError

EXAMPLE = """example: fm-audio convert f5-v1 model_1250000.safetensors f5 --vocabulary vocab.txt
         fm-audio clone "Good morning." --model f5 --reference anna.wav --reference-text "What Anna says." -o out.wav
         fm-audio convert f5-v1 f5 model.safetensors        (back)"""
# F5-TTS's own: 32 steps, sway -1, guidance 2 in its way of counting
SAMPLING = {"steps": 32, "grid": "sway", "guidance": 3.0}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "fm-audio convert", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("family", metavar="FAMILY", choices=sorted(VERSIONS), help=" or ".join(sorted(VERSIONS)))
    parser.add_argument("source", type=Path, metavar="IN", help="the published .safetensors or .pt; or a model folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="the model folder to write; or the .safetensors file")
    parser.add_argument("--vocabulary", type=Path, metavar="VOCAB.TXT", help="the file published beside the weights")
    args = parser.parse_args(argv)
    if args.source.is_dir():
        back(args.family, args.source, args.out)
    else:
        forth(args.family, args.source, args.out, args.vocabulary)
    print(args.out)
    return 0


def forth(family: str, source: Path, out: Path, vocabulary: Path | None) -> None:
    """Write a model folder that clones."""
    if vocabulary is None:
        raise FmAudioError(f"{source}: needs --vocabulary, the vocab.txt published beside it")
    if (out / CONFIG).exists():
        raise FmAudioError(f"{out}: holds a model already; give a new folder")
    state = transformer_of(read_tensors(source), str(source))
    node, weights = from_f5(state, family, read_vocabulary(vocabulary), str(source))
    vocoder = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": node["init_args"]["spec"]}}
    extra = {"kind": "infill_tts", "vocoder": vocoder, "sampling": SAMPLING, "converted_from": family}
    save_model(out, node, weights, extra)


def back(family: str, folder: Path, out: Path) -> None:
    """Write the averaged weights as F5-TTS publishes them."""
    from safetensors.torch import save_file

    if out.exists() or out.suffix != ".safetensors":
        raise FmAudioError(f"{out}: give the name of a new .safetensors file")
    origin = read_config(folder).get("converted_from")
    if origin != family:
        raise FmAudioError(f"{folder / CONFIG}: was converted from {origin or 'no other project'}, not from {family}")
    state = {PREFIX + key: value for key, value in to_f5(load_model(folder).state_dict()).items()}
    part = out.with_name(f".part-{out.name}")
    try:
        save_file(state | {"initted": torch.tensor(True), "step": torch.tensor(0)}, part)
        part.replace(out)
    except OSError as e:
        raise FmAudioError(f"{out}: cannot write there ({e.strerror}); choose another file") from e
    finally:
        part.unlink(missing_ok=True)


def read_vocabulary(path: Path) -> list[str]:
    """One symbol a line; the first is a space, so nothing is stripped."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise FmAudioError(f"{path}: cannot be read as UTF-8 text ({e}); give the vocab.txt published beside the weights") from e
