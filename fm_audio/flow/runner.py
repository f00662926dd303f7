"""How a head runs its backbone when it generates: in bfloat16, compiled, or both.

The backbone is asked at every step, so it alone is run so. Text, durations, the sums of the flow and the vocoder stay in float32:
what is said when does not change. Compiled, lengths are filled up to buckets, of which there are few, and fillers are masked.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
PER_OCTAVE = 8  # buckets: a length is filled up by an eighth at most
SHORTEST = 32
HAS_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # what processors call it


class Runner:
    """`backbone` (a `types.Backbone`) in a precision of `PRECISIONS`, compiled or not. `hasten` gives one to a head.

    The backbone itself becomes of that precision. Raises FmAudioError for a precision that there is not or that the processor
    lacks, and where nothing can be compiled.
    """

    def __init__(self, backbone: nn.Module, precision: str = "fp32", compiled: bool = False) -> None:
        if precision not in PRECISIONS:
            raise FmAudioError(f"precision: {precision!r}; give one of {', '.join(PRECISIONS)}")
        device = next(backbone.parameters()).device
        if precision == "bf16":
            require_bfloat16(device)
        if compiled:
            require_compiler(device)
        self.dtype, self.compiled = PRECISIONS[precision], compiled
        backbone.to(self.dtype)
        self.recorded = compiled and device.type == "cuda"  # as CUDA graphs
        mode = "reduce-overhead" if self.recorded else None
        self.run = torch.compile(backbone, dynamic=True, mode=mode) if compiled else backbone

    def __call__(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Float[Tensor, "b n out"]:
        """What the backbone gives, in float32."""
        n = h.shape[1]
        if self.compiled:
            more = bucket(n) - n
            h, mask = F.pad(h, (0, 0, 0, more)), F.pad(mask, (0, more))
        if self.recorded:
            torch.compiler.cudagraph_mark_step_begin()
        out = self.run(self._cast(h), t, mask, replace(cond, tokens=self._cast(cond.tokens), vector=self._cast(cond.vector)))
        return out[:, :n].to(torch.float32, copy=self.recorded)  # what a CUDA graph gave is overwritten by the next

    def _cast(self, x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(self.dtype)


def bucket(n: int) -> int:
    """The smallest length of `PER_OCTAVE` in each octave from `SHORTEST` on that holds n."""
    if n <= SHORTEST:
        return SHORTEST
    step = 2 ** (math.ceil(math.log2(n)) - 1) // PER_OCTAVE
    return -(-n // step) * step


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether it does so by itself; else torch goes through float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or bool(_capabilities() & set(HAS_BFLOAT16))


def require_bfloat16(device: torch.device) -> None:
    """Raises FmAudioError where a device computes in bfloat16 only by going through float32."""
    if not computes_in_bfloat16(device):
        who = "this accelerator" if device.type == "cuda" else "this processor"
        raise FmAudioError(f"precision: {who} does not compute in bfloat16 ({', '.join(HAS_BFLOAT16[:2])}); take fp32")


def _capabilities() -> set[str]:
    """What the processor can do, by the names that torch and Linux give it."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, able in torch.cpu.get_capabilities().items() if able}
    told = Path("/proc/cpuinfo")
    return set(told.read_text(encoding="utf-8").split()) if told.is_file() else set()


def require_compiler(device: torch.device) -> None:
    """Compiles next to nothing. Raises FmAudioError, with what the compiler said, where that fails."""
    try:
        torch.compile(lambda x: x.sin() + 1.0)(torch.zeros(8, device=device))
    except RuntimeError as e:
        says = " ".join(str(e).split())[:200]
        raise FmAudioError(
            f"compile: torch.compile does not work here ({says}); install a C++ compiler such as g++, or leave compile out"
        ) from e
