"""What ZipVoice publishes, with random weights: the names and shapes of its tensors, and folders that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FULL: dict[str, Any] = {
    "fm_decoder_downsampling_factor": [1, 2, 4, 2, 1],
    "fm_decoder_num_layers": [2, 2, 4, 4, 4],
    "fm_decoder_cnn_module_kernel": [31, 15, 7, 15, 31],
    "fm_decoder_feedforward_dim": 1536,
    "fm_decoder_num_heads": 4,
    "fm_decoder_dim": 512,
    "text_encoder_num_layers": 4,
    "text_encoder_feedforward_dim": 512,
    "text_encoder_cnn_module_kernel": 9,
    "text_encoder_num_heads": 4,
    "text_encoder_dim": 192,
    "query_head_dim": 32,
    "value_head_dim": 12,
    "pos_head_dim": 4,
    "pos_dim": 48,
    "time_embed_dim": 192,
    "text_embed_dim": 192,
    "feat_dim": 100,
}
SMALL: dict[str, Any] = FULL | {
    "fm_decoder_num_layers": [1, 1, 2, 1, 1],
    "fm_decoder_cnn_module_kernel": [7, 5, 3, 5, 7],
    "fm_decoder_feedforward_dim": 24,
    "fm_decoder_num_heads": 3,
    "fm_decoder_dim": 16,
    "text_encoder_num_layers": 2,
    "text_encoder_feedforward_dim": 16,
    "text_encoder_cnn_module_kernel": 3,
    "text_encoder_num_heads": 2,
    "text_encoder_dim": 12,
    "query_head_dim": 4,
    "value_head_dim": 3,
    "pos_head_dim": 2,
    "pos_dim": 6,
    "time_embed_dim": 10,
    "text_embed_dim": 8,
}
FEATURE = {"sampling_rate": 24000, "type": "vocos"}
PINYIN = ["n0", "i3", "h0", "ao3", "w0", "o3", "sh0", "ang4", "a1", "zh0", "e5", "l0", "v4"]
TOKENS = ["_", "^", "$", " ", *"!',.:;?", *"abcdefghijklmnopqrstuvwxyzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒˈˌːθᵻ", *PINYIN]
Shapes = dict[str, tuple[int, ...]]


def shapes(sizes: dict[str, Any], tokens: int, distilled: bool) -> Shapes:
    """Every tensor of the model."""
    width, bands, time = sizes["fm_decoder_dim"], sizes["feat_dim"], sizes["time_embed_dim"]
    found: Shapes = {"embed.weight": (tokens, sizes["text_embed_dim"])}
    found |= _linear("fm_decoder.in_proj", 3 * bands, width) | _linear("fm_decoder.out_proj", width, bands)
    found |= _linear("fm_decoder.time_embed.0", time, 2 * time) | _linear("fm_decoder.time_embed.2", 2 * time, time)
    if distilled:
        found["fm_decoder.guidance_scale_embed.weight"] = (time, 192)
    stacks = [sizes[f"fm_decoder_{name}"] for name in ("downsampling_factor", "num_layers", "cnn_module_kernel")]
    for i, (factor, layers, kernel) in enumerate(zip(*stacks, strict=True)):
        name = f"fm_decoder.encoders.{i}"
        if factor > 1:
            found |= {f"{name}.downsample.bias": (factor,), f"{name}.out_combiner.bypass_scale": (width,)}
            name += ".encoder"
        found |= _linear(f"{name}.time_emb.1", time, width)
        hidden, heads = sizes["fm_decoder_feedforward_dim"], sizes["fm_decoder_num_heads"]
        for k in range(layers):
            found |= _layer(f"{name}.layers.{k}", width, hidden, heads, kernel, sizes)
    inner = sizes["text_encoder_dim"]
    found |= _linear("text_encoder.in_proj", sizes["text_embed_dim"], inner) | _linear("text_encoder.out_proj", inner, bands)
    for k in range(sizes["text_encoder_num_layers"]):
        hidden, heads = sizes["text_encoder_feedforward_dim"], sizes["text_encoder_num_heads"]
        kernel = sizes["text_encoder_cnn_module_kernel"]
        found |= _layer(f"text_encoder.encoders.0.layers.{k}", inner, hidden, heads, kernel, sizes)
    return found


def _linear(name: str, into: int, out: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _layer(name: str, width: int, hidden: int, heads: int, kernel: int, sizes: dict[str, Any]) -> Shapes:
    query, value, position = sizes["query_head_dim"], sizes["value_head_dim"], sizes["pos_head_dim"]
    found = _linear(f"{name}.self_attn_weights.in_proj", width, heads * (2 * query + position))
    found[f"{name}.self_attn_weights.linear_pos.weight"] = (heads * position, sizes["pos_dim"])
    for i, inner in enumerate((3 * hidden // 4, hidden, 5 * hidden // 4), 1):
        found |= _linear(f"{name}.feed_forward{i}.in_proj", width, inner) | _linear(
            f"{name}.feed_forward{i}.out_proj", inner, width
        )
    for i in (1, 2):
        attention, conv = f"{name}.self_attn{i}", f"{name}.conv_module{i}"
        found |= _linear(f"{attention}.in_proj", width, heads * value) | _linear(f"{attention}.out_proj", heads * value, width)
        found |= _linear(f"{conv}.in_proj", width, 2 * width) | _linear(f"{conv}.out_proj", width, width)
        found |= {f"{conv}.depthwise_conv.weight": (width, 1, kernel), f"{conv}.depthwise_conv.bias": (width,)}
    gate = 3 * width // 4
    found |= _linear(f"{name}.nonlin_attention.in_proj", width, 3 * gate)
    found |= _linear(f"{name}.nonlin_attention.out_proj", gate, width)
    found |= {f"{name}.norm.log_scale": (), f"{name}.norm.bias": (width,)}
    return found | {f"{name}.{bypass}.bypass_scale": (width,) for bypass in ("bypass", "bypass_mid")}


def weights(sizes: dict[str, Any], distilled: bool, tokens: int = len(TOKENS), seed: int = 0) -> dict[str, Tensor]:
    """All of them at random, none so small that it could be overlooked."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes(sizes, tokens, distilled).items():
        fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 10
        state[key] = torch.randn(shape, generator=generator) * fan_in**-0.5
        if key.endswith("bypass_scale"):
            state[key] = 0.2 + 0.6 * torch.rand(shape, generator=generator)
    return state


def folder_with(folder: Path, distilled: bool = False, sizes: dict[str, Any] = SMALL) -> dict[str, Tensor]:
    """model.json, tokens.txt and model.pt as published; the weights come back."""
    folder.mkdir(parents=True, exist_ok=True)
    state = weights(sizes, distilled)
    torch.save({"model": state}, folder / "model.pt")
    (folder / "model.json").write_text(json.dumps({"model": sizes, "feature": FEATURE}), encoding="utf-8")
    (folder / "tokens.txt").write_text("".join(f"{t}\t{i}\n" for i, t in enumerate(TOKENS)), encoding="utf-8")
    return state
