"""ZipVoice written down once more, plainly: one item, no batches, no masks, straight from tensors in the published layout.

Yao et al. 2024 (arXiv 2310.11230) for the layers, Zhu et al. 2025 (arXiv 2506.13053) for the rest. Shares nothing with fm_audio.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]


def affine(w: State, name: str, x: Tensor) -> Tensor:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def swoosh(x: Tensor, shift: float, floor: float) -> Tensor:
    return torch.logaddexp(torch.zeros_like(x), x - shift) - 0.08 * x - floor


def swoosh_l(x: Tensor) -> Tensor:
    return swoosh(x, 4.0, 0.035)


def swoosh_r(x: Tensor) -> Tensor:
    return swoosh(x, 1.0, 0.313261687)


def waves(value: float, width: int) -> Tensor:
    """The embedding of a time or of a guidance scale: all cosines, then all sines."""
    half = width // 2
    angles = torch.tensor([value * math.exp(-math.log(10_000) * i / half) for i in range(half)])
    return torch.cat([angles.cos(), angles.sin()])


def place(offset: int, width: int) -> Tensor:
    """The embedding of a distance: cosines and sines by turns, the last of them replaced by 1."""
    root = math.sqrt(width)
    near = math.copysign(root * (math.log(abs(offset) + root) - math.log(root)), offset)
    angle = math.atan(near * 2 * math.pi / width)
    values = [f((i + 1) * angle) for i in range(width // 2) for f in (math.cos, math.sin)]
    return torch.tensor([*values[:-1], 1.0])


def attention_weights(w: State, name: str, x: Tensor, heads: int, query: int, position: int, width: int, seen: int) -> Tensor:
    """(heads, n, n); only the first `seen` of the n positions are looked at."""
    n = len(x)
    q, k, p = affine(w, f"{name}.in_proj", x).split([heads * query, heads * query, heads * position], -1)
    places = {o: affine(w, f"{name}.linear_pos", place(o, width)) for o in range(1 - n, n)}
    result = torch.zeros(heads, n, n)
    for h in range(heads):
        a, b = slice(h * query, (h + 1) * query), slice(h * position, (h + 1) * position)
        for i in range(n):
            far = torch.stack([places[j - i][b] for j in range(seen)])
            result[h, i, :seen] = (k[:seen, a] @ q[i, a] + far @ p[i, b]).softmax(0)
    return result


def attend(w: State, name: str, x: Tensor, weights: Tensor) -> Tensor:
    values = affine(w, f"{name}.in_proj", x).chunk(len(weights), -1)
    return affine(w, f"{name}.out_proj", torch.cat([a @ v for a, v in zip(weights, values, strict=True)], -1))


def gated(w: State, name: str, x: Tensor, weights: Tensor) -> Tensor:
    s, v, y = affine(w, f"{name}.in_proj", x).chunk(3, -1)
    return affine(w, f"{name}.out_proj", (weights[0] @ (v * s.tanh())) * y)


def convolve(w: State, name: str, x: Tensor, seen: int) -> Tensor:
    v, s = affine(w, f"{name}.in_proj", x).chunk(2, -1)
    v = v * s.sigmoid()
    v = torch.cat([v[:seen], torch.zeros_like(v[seen:])])
    kernel, bias = w[f"{name}.depthwise_conv.weight"][:, 0], w[f"{name}.depthwise_conv.bias"]
    y = torch.zeros_like(v) + bias
    for k in range(kernel.shape[1]):
        shift = k - kernel.shape[1] // 2
        for i in range(max(0, -shift), min(len(v), len(v) - shift)):
            y[i] = y[i] + v[i + shift] * kernel[:, k]
    return affine(w, f"{name}.out_proj", swoosh_r(y))


def feed(w: State, name: str, x: Tensor) -> Tensor:
    return affine(w, f"{name}.out_proj", swoosh_l(affine(w, f"{name}.in_proj", x)))


def bypass(w: State, name: str, past: Tensor, x: Tensor) -> Tensor:
    return past + (x - past) * w[f"{name}.bypass_scale"]


def layer(w: State, name: str, x: Tensor, time: Tensor, sizes: dict[str, Any], heads: int, seen: int) -> Tensor:
    dims = (heads, sizes["query_head_dim"], sizes["pos_head_dim"], sizes["pos_dim"])
    weights = attention_weights(w, f"{name}.self_attn_weights", x, *dims, seen)
    past = x
    x = x + time
    x = x + feed(w, f"{name}.feed_forward1", x)
    x = x + gated(w, f"{name}.nonlin_attention", x, weights)
    x = x + attend(w, f"{name}.self_attn1", x, weights)
    x = x + time
    x = x + convolve(w, f"{name}.conv_module1", x, seen)
    x = x + feed(w, f"{name}.feed_forward2", x)
    x = bypass(w, f"{name}.bypass_mid", past, x)
    x = x + attend(w, f"{name}.self_attn2", x, weights)
    x = x + time
    x = x + convolve(w, f"{name}.conv_module2", x, seen)
    x = x + feed(w, f"{name}.feed_forward3", x)
    spread = (x - w[f"{name}.norm.bias"]).square().mean(-1, keepdim=True)
    x = x * spread**-0.5 * w[f"{name}.norm.log_scale"].exp()
    return bypass(w, f"{name}.bypass", past, x)


def text_of(w: State, sizes: dict[str, Any], tokens: Sequence[int]) -> Tensor:
    """(tokens + 1, bands): the last is what frames without a token show."""
    x = affine(w, "text_encoder.in_proj", w["embed.weight"][[*tokens, 0]])
    for i in range(sizes["text_encoder_num_layers"]):
        heads = sizes["text_encoder_num_heads"]
        x = layer(w, f"text_encoder.encoders.0.layers.{i}", x, torch.zeros(()), sizes, heads, len(tokens))
    return affine(w, "text_encoder.out_proj", x)


def text_frames(w: State, sizes: dict[str, Any], tokens: Sequence[int], frames: int) -> Tensor:
    """Every token gets as many whole frames as there are for all; the frames left over show padding."""
    each = frames // len(tokens)
    index = [i for i in range(len(tokens)) for _ in range(each)]
    return text_of(w, sizes, tokens)[index + [len(tokens)] * (frames - len(index))]


def velocity(w: State, sizes: dict[str, Any], t: float, x: Tensor, text: Tensor, speech: Tensor, told: float | None) -> Tensor:
    """x, text, speech (n, bands) -> v; `told` is the guidance scale that a distilled model is given."""
    c = waves(t, sizes["time_embed_dim"])
    if told is not None:
        c = c + affine(w, "fm_decoder.guidance_scale_embed", waves(told, 192))
    c = affine(w, "fm_decoder.time_embed.2", swoosh_r(affine(w, "fm_decoder.time_embed.0", c)))
    x = affine(w, "fm_decoder.in_proj", torch.cat([x, text, speech], -1))
    for i, (factor, layers) in enumerate(
        zip(sizes["fm_decoder_downsampling_factor"], sizes["fm_decoder_num_layers"], strict=True)
    ):
        name, past = f"fm_decoder.encoders.{i}", x
        if factor > 1:
            shares = w[f"{name}.downsample.bias"].softmax(0)
            rows = [[min(m * factor + s, len(past) - 1) for s in range(factor)] for m in range(-(-len(past) // factor))]
            x = torch.stack([sum(past[r] * shares[s] for s, r in enumerate(row)) for row in rows])  # type: ignore[misc]
        inner = name if factor == 1 else f"{name}.encoder"
        time = affine(w, f"{inner}.time_emb.1", swoosh_r(c))
        for k in range(layers):
            x = layer(w, f"{inner}.layers.{k}", x, time, sizes, sizes["fm_decoder_num_heads"], len(x))
        if factor > 1:
            x = bypass(w, f"{name}.out_combiner", past, x[[i // factor for i in range(len(past))]])
    return affine(w, "fm_decoder.out_proj", x)


def guided(
    w: State, sizes: dict[str, Any], t: float, x: Tensor, text: Tensor, speech: Tensor, scale: float, distilled: bool
) -> Tensor:
    """The field that is followed. A base model leans away from its answer without text (and, late, without speech)."""
    if distilled:
        return velocity(w, sizes, t, x, text, speech, scale)
    late = t > 0.5
    without = velocity(w, sizes, t, x, torch.zeros_like(text), torch.zeros_like(speech) if late else speech, None)
    scale = scale if late else 2 * scale
    return (1 + scale) * velocity(w, sizes, t, x, text, speech, None) - scale * without


def sample(
    w: State, sizes: dict[str, Any], prompt_tokens: list[int], tokens: list[int], prompt: Tensor, noise: Tensor, steps: int,
    scale: float, distilled: bool, shift: float = 0.5,
) -> Tensor:  # fmt: skip
    """prompt (k, bands), noise (k + n, bands) -> (n, bands): Euler steps over shifted times."""
    text = text_frames(w, sizes, prompt_tokens + tokens, len(noise))
    speech = torch.cat([prompt, torch.zeros(len(noise) - len(prompt), prompt.shape[1])])
    times = [shift * i / steps / (1 + (shift - 1) * i / steps) for i in range(steps + 1)]
    x = noise
    for t, after in zip(times, times[1:], strict=False):
        x = x + (after - t) * guided(w, sizes, t, x, text, speech, scale, distilled)
    return x[len(prompt) :]


def frames_for(prompt_frames: int, prompt_tokens: int, tokens: int, speed: float) -> int:
    return math.ceil(prompt_frames / prompt_tokens * tokens / speed)
