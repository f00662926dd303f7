"""ZipVoice and ZipVoice-Distill (Zhu et al. 2025, arXiv 2506.13053; k2-fsa/ZipVoice) as `InfillTTS`, and back.

A folder of model.json, tokens.txt and the weights. Theirs puts text before speech beside x, ours speech before text, so the
columns of the first layer change places; their features are log-mels times 0.1, here a standard deviation of 10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fm_audio.checkpoint import instantiate, load_model, read_config, read_json
from fm_audio.convert.layout import Converted, Entry, State, count, linear, read_tensors, to_ours, to_theirs, write_folder
from fm_audio.types import FmAudioError

CONFIG, TOKENS = "model.json", "tokens.txt"
WEIGHTS = ("model.safetensors", "model.pt")
MEL = {
    "sample_rate": 24_000, "n_fft": 1024, "hop_samples": 256, "window_samples": 1024, "log_floor": 1e-7, "std": 10.0,
}  # fmt: skip
FEATURE = {"sampling_rate": 24_000, "type": "vocos"}
GRID = {"class_path": "fm_audio.flow.grid.Shifted", "init_args": {"alpha": 2.0}}  # their t_shift is 1 / alpha
GUIDANCE = "fm_audio.tasks.infill_guidance"
STEPS: dict[str, tuple[int, float]] = {"zipvoice": (16, 2.0), "zipvoice-distill": (8, 4.0)}
"""Published steps and guidance of each family; ZipVoice counts a guidance of w as w - 1."""
DISTILL = "zipvoice-distill"
TOLD = "fm_decoder.guidance_scale_embed.weight"
TOLD_WIDTH = 192
# model.json's names: of the backbone, of the text encoder, of both; `layers` counts the stacks' layers where it is a list
BACKBONE = {
    "fm_decoder_downsampling_factor": "factors", "fm_decoder_num_layers": "layers", "fm_decoder_cnn_module_kernel": "kernels",
    "fm_decoder_feedforward_dim": "hidden", "fm_decoder_dim": "width", "time_embed_dim": "time_width",
}  # fmt: skip
TEXT = {
    "text_encoder_num_layers": "layers", "text_encoder_feedforward_dim": "feedforward",
    "text_encoder_cnn_module_kernel": "kernel", "text_encoder_dim": "hidden_width", "text_embed_dim": "embedding_width",
    "feat_dim": "width",
}  # fmt: skip
HEADS = {
    "query_head_dim": "query_width", "value_head_dim": "value_width", "pos_head_dim": "position_width",
    "pos_dim": "offsets_width",
}  # fmt: skip
NUMBERS = {"fm_decoder_num_heads": "backbone", "text_encoder_num_heads": "text"}
STACKS = ("factors", "layers", "kernels")


def forth(source: Path, family: str) -> Converted:
    """A published folder (`zipvoice` or `zipvoice_distill` of k2-fsa/ZipVoice), or another of its kind."""
    weights = next((source / name for name in WEIGHTS if (source / name).is_file()), None)
    if weights is None:
        raise FmAudioError(f"{source}: holds neither {' nor '.join(WEIGHTS)}; give the folder with {CONFIG}, {TOKENS} and one")
    config = read_json(source / CONFIG, "published model", f"give the folder that holds {CONFIG}, {TOKENS} and the weights")
    state = model_of(read_tensors(weights), str(weights))
    return from_zipvoice(state, config, read_tokens(source / TOKENS), family, str(source))


def back(folder: Path, out: Path) -> None:
    """Write model.json, tokens.txt and model.pt into the new folder `out`, as ZipVoice's `--model-dir` reads them."""
    arguments = read_config(folder)["model"]["init_args"]
    state = to_zipvoice(load_model(folder).state_dict())
    tokens = "".join(f"{token}\t{i}\n" for i, token in enumerate(arguments["frontend"]["init_args"]["tokens"]))
    config = json.dumps(config_of(arguments), indent=2) + "\n"
    files = {
        WEIGHTS[1]: lambda path: torch.save({"model": state}, path),
        TOKENS: lambda path: path.write_text(tokens, encoding="utf-8"),
        CONFIG: lambda path: path.write_text(config, encoding="utf-8"),
    }
    write_folder(out, files)


def model_of(checkpoint: Mapping[str, Any], where: str) -> State:
    """The tensors of a file: safetensors as they are, or the `model` of a .pt."""
    state = checkpoint.get("model", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FmAudioError(f"{where}: holds no 'model' of tensors; give a published checkpoint of ZipVoice")
    return {key.removeprefix("module."): value for key, value in state.items()}


def read_tokens(path: Path) -> list[str]:
    """The tokens in the order of their ids; a line is a token, a tab and its id."""
    how = "give the tokens.txt published beside the weights"
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise FmAudioError(f"{path}: cannot be read as UTF-8 text ({e}); {how}") from e
    ids: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        token, tab, written = line.rstrip("\r").partition("\t")
        if not tab or token in ids:
            raise FmAudioError(f"{path}:{number}: {line!r} is not a new token, a tab and its id; {how}")
        ids[token] = written
    by_id = sorted(ids, key=lambda token: ids[token].zfill(9))
    wrong = next((token for i, token in enumerate(by_id) if ids[token] != str(i)), None)
    if wrong is not None:
        raise FmAudioError(f"{path}: ids are not 0 to {len(ids) - 1}, each once: {wrong!r} has {ids[wrong]!r}; {how}")
    return by_id


def from_zipvoice(state: Mapping[str, Tensor], config: Any, tokens: list[str], family: str, where: str = "ZipVoice") -> Converted:
    """An `InfillTTS` that computes what the checkpoint computes for one item."""
    arguments = arguments_of(config, tokens, family, where)
    layers = arguments["backbone"]["init_args"]["layers"]
    factors = arguments["backbone"]["init_args"]["factors"]
    text_layers = arguments["text"]["init_args"]["layers"]
    weights = to_ours(entries(factors, layers, text_layers, family == DISTILL), state, where)
    node = {"class_path": "fm_audio.tasks.infill_tts.InfillTTS", "init_args": arguments}
    require_shapes(node, weights, where)
    steps, guidance = STEPS[family]
    vocoder = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": arguments["spec"]}}
    sampling = {"steps": steps, "grid": GRID, "guidance": guidance}
    return Converted(node, weights, {"kind": "infill_tts", "vocoder": vocoder, "sampling": sampling})


def to_zipvoice(ours: Mapping[str, Tensor]) -> State:
    """The state dict in ZipVoice's layout."""
    stack = "head.backbone.stacks"
    factors = [len(ours.get(f"{stack}.{i}.shares", (0,))) for i in range(count(ours, f"{stack}."))]
    layers = [count(ours, _inner(f"{stack}.{i}", factor, "stack") + ".layers.") for i, factor in enumerate(factors)]
    return to_theirs(entries(factors, layers, count(ours, "text.stack.layers."), "head.backbone.vector.weight" in ours), ours)


def arguments_of(config: Any, tokens: list[str], family: str, where: str) -> dict[str, Any]:
    """The arguments of an `InfillTTS` for a model.json, which must say exactly what the published ones do."""
    model, feature = (config.get(part) if isinstance(config, Mapping) else None for part in ("model", "feature"))
    known = {*BACKBONE, *TEXT, *HEADS, *NUMBERS}
    if not isinstance(model, Mapping) or set(model) != known:
        wrong = sorted(known ^ set(model)) if isinstance(model, Mapping) else ["model"]
        raise FmAudioError(f"{where}: {CONFIG} lacks or adds {', '.join(wrong)}; give that of ZipVoice or ZipVoice-Distill")
    if feature != FEATURE:
        raise FmAudioError(f"{where}: {CONFIG} has features {feature}; this family has {FEATURE}")
    for name, value in model.items():
        listed = BACKBONE.get(name) in STACKS
        numbers = value if listed and isinstance(value, list) else [value]
        if listed != isinstance(value, list) or not all(type(n) is int and n > 0 for n in numbers):
            raise FmAudioError(f"{where}: {CONFIG} has {name} {value!r}; give {'a list of whole numbers' if listed else 'one'}")
    heads = {ours: model[theirs] for theirs, ours in HEADS.items()}
    sizes = {part: {"number": model[name], **heads} for name, part in NUMBERS.items()}
    backbone = {ours: model[theirs] for theirs, ours in BACKBONE.items()} | {"heads": sizes["backbone"]}
    text = {"symbols": len(tokens)} | {ours: model[theirs] for theirs, ours in TEXT.items()} | {"heads": sizes["text"]}
    rule: dict[str, Any] = {"class_path": f"{GUIDANCE}.TextFirst"}
    if family == DISTILL:
        backbone["vector_width"] = TOLD_WIDTH
        rule = {"class_path": f"{GUIDANCE}.Distilled", "init_args": {"width": TOLD_WIDTH}}
    return {
        "spec": MEL | {"bands": model["feat_dim"]},
        "frontend": {"class_path": "fm_audio.data.text.zipvoice.ZipVoicePhones", "init_args": {"tokens": tokens}},
        "backbone": {"class_path": "fm_audio.backbones.zipformer.Zipformer", "init_args": backbone},
        "text": {"class_path": "fm_audio.encoders.zipformer_text.ZipformerText", "init_args": text},
        "guidance": rule,
        "count_all": True,
    }


def config_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Their model.json for the arguments of an `InfillTTS` of ours."""
    parts = {part: arguments[part]["init_args"] for part in ("backbone", "text")}
    model = {theirs: parts["backbone"][ours] for theirs, ours in BACKBONE.items()}
    model |= {theirs: parts["text"][ours] for theirs, ours in TEXT.items()}
    model |= {theirs: parts["text"]["heads"][ours] for theirs, ours in HEADS.items()}
    model |= {theirs: parts[part]["heads"]["number"] for theirs, part in NUMBERS.items()}
    return {"model": model, "feature": FEATURE}


def require_shapes(node: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights of other sizes than model.json and tokens.txt say."""
    with torch.device("meta"):
        expected = instantiate(node).state_dict()
    wrong = [
        f"{key} is {tuple(weights[key].shape)}, not {tuple(e.shape)}"
        for key, e in expected.items()
        if weights[key].shape != e.shape
    ]
    if wrong:
        more = f"; and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise FmAudioError(
            f"{where}: the weights do not fit {CONFIG} and {TOKENS}: {'; '.join(wrong[:4])}{more}; fetch all three"
        )


def entries(factors: list[int], layers: list[int], text_layers: int, told: bool) -> list[Entry]:
    """Every tensor of both."""
    decoder, backbone = "fm_decoder", "head.backbone"
    into = "head.ports.mel.into"
    found = [Entry("text.embedding.weight", ("embed.weight",)), Entry(f"{into}.bias", (f"{decoder}.in_proj.bias",))]
    found.append(Entry(f"{into}.weight", (f"{decoder}.in_proj.weight",), _speech_first, lambda x: (_speech_first(x),)))
    found += linear("head.ports.mel.out", f"{decoder}.out_proj")
    found += linear("text.into", "text_encoder.in_proj") + linear("text.out", "text_encoder.out_proj")
    for i in range(2):
        found += linear(f"{backbone}.time.{i}", f"{decoder}.time_embed.{2 * i}")
    if told:
        found.append(Entry(f"{backbone}.vector.weight", (TOLD,)))
    for i, (factor, number) in enumerate(zip(factors, layers, strict=True)):
        a, b = f"{backbone}.stacks.{i}", f"{decoder}.encoders.{i}"
        if factor > 1:
            found.append(Entry(f"{a}.shares", (f"{b}.downsample.bias",)))
            found.append(Entry(f"{a}.bypass", (f"{b}.out_combiner.bypass_scale",)))
        a, b = _inner(a, factor, "stack"), _inner(b, factor, "encoder")
        found += linear(f"{a}.cond", f"{b}.time_emb.1") + _layers(a, b, number)
    return found + _layers("text.stack", "text_encoder.encoders.0", text_layers)


def _inner(stack: str, factor: int, name: str) -> str:
    return stack if factor == 1 else f"{stack}.{name}"


def _layers(ours: str, theirs: str, number: int) -> list[Entry]:
    found = []
    for i in range(number):
        a, b = f"{ours}.layers.{i}", f"{theirs}.layers.{i}"
        found += linear(f"{a}.weights.into", f"{b}.self_attn_weights.in_proj")
        found.append(Entry(f"{a}.weights.offset.weight", (f"{b}.self_attn_weights.linear_pos.weight",)))
        pairs = [(f"{a}.gated", f"{b}.nonlin_attention")]
        pairs += [(f"{a}.attention.{k}", f"{b}.self_attn{k + 1}") for k in range(2)]
        pairs += [(f"{a}.conv.{k}", f"{b}.conv_module{k + 1}") for k in range(2)]
        pairs += [(f"{a}.feedforward.{k}", f"{b}.feed_forward{k + 1}") for k in range(3)]
        for x, y in pairs:
            found += linear(f"{x}.into", f"{y}.in_proj") + linear(f"{x}.out", f"{y}.out_proj")
        for k in range(2):
            found += linear(f"{a}.conv.{k}.depthwise.conv", f"{b}.conv_module{k + 1}.depthwise_conv")
        found += [Entry(f"{a}.norm.{x}", (f"{b}.norm.{x}",)) for x in ("log_scale", "bias")]
        found.append(Entry(f"{a}.middle", (f"{b}.bypass_mid.bypass_scale",)))
        found.append(Entry(f"{a}.bypass", (f"{b}.bypass.bypass_scale",)))
    return found


def _speech_first(x: Tensor) -> Tensor:
    """Columns of x, text and speech, or of x, speech and text: the last two thirds change places."""
    x, first, second = x.chunk(3, 1)
    return torch.cat([x, second, first], 1)
