"""Parts that backbones, encoders and decoders share. Every one of them keeps padding out of what is kept.

b items, h heads, n queries, m keys, d width, c condition width. Masks are boolean, True = keep; None keeps everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.rows import of_rows
from fm_audio.types import Frames, Mask, Times

# How far the next step goes, told around a forward and not through it: layers between need not know. A network that was distilled
# into a flow map answers (x, t) with the mean velocity up to t + jump; 0 asks for the velocity at t. Euler tells its steps;
# networks of one time do not listen.
_JUMP: ContextVar[Tensor | float] = ContextVar("jump", default=0.0)


@contextmanager
def jumping(gap: Tensor | float) -> Iterator[None]:
    """Within, every forward is asked for the mean velocity over `gap` (one for all items, or (b,))."""
    told = _JUMP.set(gap)
    try:
        yield
    finally:
        _JUMP.reset(told)


def jump(t: Tensor) -> Tensor:
    """(b,) of the rows of a forward at times t (b,), whichever of the batch they are (`fm_audio.rows`)."""
    gap = _JUMP.get()
    return of_rows(gap.to(t), t.shape[0]) if isinstance(gap, Tensor) else torch.full_like(t, gap)


class TimeEmbedding(nn.Module):
    """t (b,) in [0, 1] -> (b d): sinusoids of 1000·t in float32 (bfloat16 would merge neighbouring steps), then an MLP.

    The rates fall from 1 to 1/10,000; `reaches_slowest` says whether the last one is 1/10,000 itself (as F5-TTS and Matcha-TTS
    have it) or would be the next.
    """

    def __init__(self, width: int, sinusoids: int = 256, reaches_slowest: bool = False):
        super().__init__()
        self.sinusoids = sinusoids
        self.intervals = sinusoids // 2 - reaches_slowest
        self.mlp = nn.Sequential(nn.Linear(sinusoids, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Times) -> Tensor:
        half = self.sinusoids // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device, dtype=torch.float32) / self.intervals)
        angles = 1000 * t.float()[:, None] * rates
        turned = torch.cat([angles.sin(), angles.cos()], -1)
        return self.mlp(turned.to(next(self.mlp.parameters()).dtype))


def rotary(x: Tensor, start: int = 0) -> Tensor:
    """Rotary positions (Su et al. 2021) on x (b h n d), first half of d turned against the second; the first is `start`."""
    n, d = x.shape[-2:]
    rates = 10_000 ** (-torch.arange(0, d, 2, device=x.device, dtype=torch.float32) / d)
    angles = torch.arange(start, start + n, device=x.device, dtype=torch.float32)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def head_norm(x: Tensor, norm: nn.RMSNorm) -> Tensor:
    """The norm in x's own precision: under autocast torch would take the slow, mixed one."""
    return F.rms_norm(x, x.shape[-1:], norm.weight.to(x.dtype), norm.eps)


def needed(mask: Mask) -> Mask | None:
    """The mask, or None where it keeps everything: without one torch may take its fastest kernels of attention, such as Flash.

    For backbones, once in a forward: to look is to wait for an accelerator. What is traced or compiled keeps its mask."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return mask if traced or not bool(mask.all()) else None


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Bool[Tensor, "b 1 _ m"] | None) -> Tensor:
    """Softmax attention of q (b h n d) to k, v (b h m d). On a CPU in bfloat16, products spelt out run two to four times as
    fast as torch's fused kernel, forward and backward."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        scores = q * q.shape[-1] ** -0.5 @ k.mT
        if mask is not None:
            scores = scores + torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -math.inf)
        return scores.softmax(-1) @ v


class Attention(nn.Module):
    """Multi-head attention to itself (with rotary positions, on the first `rotary_heads` or all) or to a context.

    Queries and keys are normalised unless `normed` is False.
    """

    def __init__(
        self, width: int, heads: int, context_width: int | None = None, normed: bool = True, rotary_heads: int | None = None
    ):
        super().__init__()
        self.heads = heads
        self.rotary_heads = 0 if context_width is not None else heads if rotary_heads is None else rotary_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width or width, 2 * width)
        self.query_norm = nn.RMSNorm(width // heads, eps=1e-6) if normed else None
        self.key_norm = nn.RMSNorm(width // heads, eps=1e-6) if normed else None
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Frames, context: Float[Tensor, "b m c"], mask: Bool[Tensor, "b m"] | None, causal: bool = False
    ) -> Frames:
        """x (b n d), context (b m c), mask (b m) -> (b n d). Every row of mask must keep something.

        causal: no position sees a later one; context is then x."""
        keep = None if mask is None else mask[:, None, None, :]
        if causal:
            earlier = torch.ones(1, 1, x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
            keep = earlier.expand(len(x), -1, -1, -1) if keep is None else keep & earlier
        return self.read(x, *self.keys_values(context), keep)

    def keys_values(self, context: Float[Tensor, "b m c"], start: int = 0) -> tuple[Tensor, Tensor]:
        """What is looked at: keys and values (b h m d); the first stands at position `start`."""
        k, v = rearrange(self.key_value(context), "b m (two h d) -> two b h m d", two=2, h=self.heads)
        k = k if self.key_norm is None else head_norm(k, self.key_norm)
        return self._turned(k, start), v

    def read(self, x: Frames, keys: Tensor, values: Tensor, keep: Bool[Tensor, "b 1 _ m"] | None, start: int = 0) -> Frames:
        """What x (b n d), whose first stands at position `start`, sees there."""
        q = rearrange(self.query(x), "b n (h d) -> b h n d", h=self.heads)
        q = q if self.query_norm is None else head_norm(q, self.query_norm)
        y = attend(self._turned(q, start), keys, values, keep)
        return self.out(rearrange(y, "b h n d -> b n (h d)"))

    def _turned(self, x: Tensor, start: int) -> Tensor:
        r = self.rotary_heads
        return rotary(x, start) if r == self.heads else torch.cat([rotary(x[:, :r], start), x[:, r:]], 1) if r else x


def along_time(conv: nn.Conv1d, x: Frames) -> Float[Tensor, "b n out"]:
    """A convolution of stride 1 on (b n d), which is a flat picture with its channels last: oneDNN then needs no transposes."""
    padding, dilation = (0, int(conv.padding[0])), (1, conv.dilation[0])
    y = F.conv2d(x.mT[:, :, None], conv.weight[:, :, None], conv.bias, (1, 1), padding, dilation, conv.groups)
    return y[:, :, 0].mT


class MaskedConv(nn.Module):
    """A convolution along time of (b n d) that sees zeros where the mask is False, as it does beyond the edges."""

    def __init__(self, width: int, kernel: int, groups: int = 1, out_width: int | None = None):
        super().__init__()
        self.conv = nn.Conv1d(width, out_width or width, kernel, padding=kernel // 2, groups=groups)

    def forward(self, x: Frames, mask: Mask | None) -> Float[Tensor, "b n out"]:
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        # What bends a convolution (`fm_audio.lora`, peft) is called as one; along_time reads a plain one's weights.
        return along_time(self.conv, x) if isinstance(self.conv, nn.Conv1d) else self.conv(x.mT).mT


class FeedForward(nn.Module):
    """Linear, GELU, Linear; before them a depthwise convolution when kernel > 1 (ConvNeXt's order, Liu et al. 2022)."""

    def __init__(self, width: int, hidden: int, kernel: int = 1):
        super().__init__()
        self.depthwise = MaskedConv(width, kernel, groups=width) if kernel > 1 else None
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width))

    def forward(self, x: Frames, mask: Mask | None) -> Frames:
        if self.depthwise is not None:
            x = self.depthwise(x, mask)
        return self.layers(x)


class Modulation(nn.Module):
    """AdaLN-zero (Peebles & Xie 2023): c (b c) -> `parts` tensors (b 1 d), all zero at the start of training."""

    def __init__(self, cond_width: int, width: int, parts: int):
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(cond_width, parts * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, c: Tensor) -> tuple[Tensor, ...]:
        return self.linear(F.silu(c))[:, None].chunk(self.parts, -1)


def modulate(x: Frames, shift: Tensor, scale: Tensor) -> Frames:
    """LayerNorm without parameters, then x·(1 + scale) + shift."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """Self-attention (optional), cross-attention (optional), feed-forward; each normed, shifted, scaled and gated by c.
    Where it is `causal`, no position sees a later one."""

    def __init__(
        self,
        width: int,
        heads: int,
        cond_width: int,
        feedforward: float = 4.0,
        kernel: int = 1,
        attention: bool = True,
        context_width: int | None = None,
        normed: bool = True,
        rotary_heads: int | None = None,
        causal: bool = False,
    ):
        super().__init__()
        self.causal = causal
        self.attention = Attention(width, heads, normed=normed, rotary_heads=rotary_heads) if attention else None
        self.cross = Attention(width, heads, context_width, normed) if context_width else None
        self.feedforward = FeedForward(width, int(feedforward * width), kernel)
        self.modulation = Modulation(cond_width, width, 3 * (1 + attention + bool(context_width)))

    def forward(
        self,
        x: Frames,
        c: Tensor,
        mask: Mask | None,
        context: Float[Tensor, "b m e"] | None = None,
        context_mask: Bool[Tensor, "b m"] | None = None,
    ) -> Frames:
        parts = iter(self.modulation(c))
        if self.attention is not None:
            shift, scale, gate = next(parts), next(parts), next(parts)
            y = modulate(x, shift, scale)
            x = x + gate * self.attention(y, y, mask, self.causal)
        if self.cross is not None:
            shift, scale, gate = next(parts), next(parts), next(parts)
            assert context is not None and context_mask is not None
            context = context.masked_fill(~context_mask[..., None], 0.0)  # 0 weight times NaN would be NaN
            x = x + gate * self.cross(modulate(x, shift, scale), context, context_mask)
        shift, scale, gate = next(parts), next(parts), next(parts)
        return x + gate * self.feedforward(modulate(x, shift, scale), mask)


class SnakeBeta(nn.Module):
    """x + sin²(x·e^alpha) / e^beta, both of each channel (Ziyin et al. 2020, arXiv 2006.08195; BigVGAN, 2206.04658)."""

    def __init__(self, width: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta = nn.Parameter(torch.zeros(width))

    def forward(self, x: Frames) -> Frames:
        return x + (x * self.alpha.exp()).sin().square() / (self.beta.exp() + 1e-9)  # keeps 1 / e^beta finite
