"""`fm-audio convert FAMILY IN OUT`: published weights to a model folder, or a model folder to the published layout."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import CONFIG, WEIGHTS, read_config, save_model
from fm_audio.convert import bigvgan, e2, f5, hifigan, matcha, vocos, zipvoice
from fm_audio.convert.layout import BESIDE, Converted, write_whole
from fm_audio.decoders.renormalised import require_decodable
from fm_audio.types import FmAudioError

EXAMPLE = """example: fm-audio convert vocos vocos-mel-24khz vocos
         fm-audio convert f5-v1 model_1250000.safetensors f5 --vocabulary vocab.txt --vocoder vocos --other-floor
         fm-audio clone "Good morning." --model f5 --reference anna.wav --reference-text "What Anna says." -o out.wav
         fm-audio convert f5-v1 f5 model.safetensors        (back)"""


@dataclass(frozen=True)
class Family:
    """forth reads what is published; back writes a folder of ours (first) in the published layout (second)."""

    published: str
    forth: Callable[[argparse.Namespace], Converted]
    back: Callable[[Path, Path], None]


TRANSFORMER = "model_….safetensors or .pt, with --vocabulary"


def _f5(family: str) -> Family:
    return Family(TRANSFORMER, lambda args: f5.forth(args.source, family, args.vocabulary, args.mel), f5.back)


def _zipvoice(family: str) -> Family:
    return Family(
        f"a folder of {zipvoice.CONFIG}, {zipvoice.TOKENS} and {' or '.join(zipvoice.WEIGHTS)}",
        lambda args: zipvoice.forth(args.source, family),
        zipvoice.back,
    )


FAMILIES: dict[str, Family] = {
    **{name: _f5(name) for name in f5.VERSIONS},
    "e2": Family(TRANSFORMER, lambda args: e2.forth(args.source, args.vocabulary, args.mel), e2.back),
    **{name: _zipvoice(name) for name in zipvoice.STEPS},
    "vocos": Family(f"a folder of {vocos.CONFIG} and {vocos.WEIGHTS}", lambda args: vocos.forth(args.source), vocos.back),
    "hifigan": Family("generator_v1 or its like", lambda args: hifigan.forth(args.source), hifigan.back),
    "bigvgan": Family(f"a folder with {bigvgan.WEIGHTS}", lambda args: bigvgan.forth(args.source), bigvgan.back),
    "matcha": Family("matcha_….ckpt", lambda args: matcha.forth(args.source), matcha.back),
}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "fm-audio convert", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    families = "; ".join(f"{name}: {family.published}" for name, family in FAMILIES.items())
    parser.add_argument("family", metavar="FAMILY", choices=sorted(FAMILIES), help=families)
    parser.add_argument("source", type=Path, metavar="IN", help="what is published (see FAMILY); or a model folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="the model folder to write; or the published file or folder")
    parser.add_argument("--vocabulary", type=Path, metavar="VOCAB.TXT", help="the file published beside F5-TTS's weights")
    mels = "the mels that F5-TTS's or E2-TTS's weights were trained on (default: vocos)"
    parser.add_argument("--mel", choices=sorted(f5.MELS), default="vocos", help=mels)
    parser.add_argument("--vocoder", type=Path, metavar="DIR", help="a vocoder's folder beside OUT that OUT is to speak through")
    parser.add_argument("--other-floor", action="store_true", help="the vocoder may be one for mels with another log floor")
    args = parser.parse_args(argv)
    family = FAMILIES[args.family]
    if (args.source / CONFIG).is_file() and (args.source / WEIGHTS).is_file():  # BigVGAN's folder has a config.json too
        origin = read_config(args.source).get("converted_from")
        if origin != args.family:
            given = origin or "no other project"
            raise FmAudioError(f"{args.source / CONFIG}: was converted from {given}, not from {args.family}")
        family.back(args.source, args.out)
    else:
        if (args.out / CONFIG).exists():
            raise FmAudioError(f"{args.out}: holds a model already; give a new folder")
        write(family.forth(args), args)
    print(args.out)
    return 0


def write(converted: Converted, args: argparse.Namespace) -> None:
    """Write the model folder; what stands beside the weights first, so that a folder with a config is whole."""
    from safetensors.torch import save_file

    extra = converted.extra | {"converted_from": args.family}
    if args.other_floor and args.vocoder is None:
        raise FmAudioError("--other-floor: it is about a vocoder; give --vocoder too")
    if args.vocoder is not None and "vocoder" not in extra:
        raise FmAudioError(f"--vocoder: {args.family} is a vocoder itself; name it where a model that speaks is converted")
    if args.vocoder is not None:
        extra["vocoder"] = vocoder_of(converted.node["init_args"]["spec"], args.vocoder, args.out, args.other_floor)
    if converted.beside:
        args.out.mkdir(parents=True, exist_ok=True)
        tensors = {key: value.contiguous().clone() for key, value in converted.beside.items()}
        write_whole(args.out / BESIDE, lambda part: save_file(tensors, part))
    save_model(args.out, converted.node, converted.weights, extra)


def vocoder_of(spec: Mapping[str, Any], vocoder: Path, out: Path, other_floor: bool) -> str | dict[str, Any]:
    """How a config names the vocoder: by its folder; behind the model's own mel contract where the vocoder has another."""
    if vocoder.resolve().parent != out.resolve().parent:
        raise FmAudioError(f"{vocoder}: a model and its vocoder lie beside each other; move it to {out.resolve().parent}")
    config = read_config(vocoder)
    ours, theirs = AudioSpec(**spec), AudioSpec(**config["model"]["init_args"]["spec"])
    if ours == theirs:
        return vocoder.name
    require_decodable(theirs, ours, other_floor, vocoder.name)
    return {"folder": vocoder.name} | ({"other_floor": True} if ours.log_floor != theirs.log_floor else {})
