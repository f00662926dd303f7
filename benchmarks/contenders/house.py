"""F5-TTS v1 Base in its own package and in our house: a forward (text and one velocity), or a training step, on random clips.

    step = loss, backward, gradients clipped at 1, AdamW; the same fused optimizer for both
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.contenders import f5, vocos
from benchmarks.worker import Made, Ready
from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.f5 import F5Characters
from fm_audio.tasks.infill_tts import InfillTTS, condition
from fm_audio.types import length_mask

SHORTEST = 0.8  # of a batch's clips, as a share of the longest: training buckets by length


def theirs(setting: Mapping[str, Any]) -> Ready:
    """setting: work ("forward" or "step"), batch, frames, precision, tiny, device."""
    model, device, lengths = f5.cfm(setting["tiny"]).to(setting["device"]), setting["device"], clips(setting)
    mel, text = torch.randn(len(lengths), max(lengths), vocos.BANDS, device=device), texts(lengths, device)
    t, lens = torch.rand(len(lengths), device=device), torch.tensor(lengths, device=device)
    mask = length_mask(lens) if len(lengths) > 1 else None  # a single one is given none there

    def forward() -> None:
        model.transformer(x=mel, cond=mel, text=text, time=t, mask=mask)

    return _ready(setting, model, forward, lambda: model(mel, text, lens=lens)[0])


def ours(setting: Mapping[str, Any]) -> Ready:
    """The same network as `fm-audio convert f5-v1` gives it."""
    model, device, lengths = task(setting["tiny"]).to(setting["device"]), setting["device"], clips(setting)
    mel, symbols = torch.randn(len(lengths), max(lengths), vocos.BANDS, device=device), texts(lengths, device) + 1
    t, mask = torch.rand(len(lengths), device=device), length_mask(torch.tensor(lengths, device=device))
    batch = SpeechBatch(
        ids=[str(i) for i in range(len(lengths))], texts=[""] * len(lengths), speakers=[""] * len(lengths),
        symbols=symbols, symbols_mask=symbols > 0, mel=mel, mask=mask, durations_frames=torch.zeros_like(symbols),
        has_durations=torch.zeros(len(lengths), dtype=torch.bool, device=device),
    )  # fmt: skip

    def forward() -> None:
        model.head.velocity(mel, t, mask, condition(mel, model.text(symbols, mask)))  # type: ignore[call-arg,arg-type]

    return _ready(setting, model, forward, lambda: model.loss(batch)["loss"])


def task(tiny: bool) -> InfillTTS:
    width, layers, heads, text_width, text_layers = (128, 2, 2, 32, 1) if tiny else (1024, 22, 16, 512, 4)
    backbone = DiT(width, layers, heads, feedforward=2.0, head_norm=False, reaches_slowest=True)
    letters = F5Characters([" ", *(chr(0x100 + i) for i in range(f5.SYMBOLS - 1))])
    return InfillTTS(AudioSpec(), letters, backbone, text_width, text_layers)


def clips(setting: Mapping[str, Any]) -> list[int]:
    """Frames of each clip, the longest as many as asked for."""
    b, n = setting["batch"], setting["frames"]
    return [round(n * (1 if b == 1 else SHORTEST + (1 - SHORTEST) * i / (b - 1))) for i in range(b)]


def texts(lengths: list[int], device: str) -> Tensor:
    return f5.letters([n / f5.HZ for n in lengths], device)


def _ready(setting: Mapping[str, Any], model: nn.Module, forward: Callable[[], None], loss: Callable[[], Tensor]) -> Ready:
    """What is made are clips."""
    kind = torch.device(setting["device"]).type
    mixed = torch.autocast(kind, torch.bfloat16, enabled=setting["precision"] == "bf16")
    facts = {"parameters": sum(p.numel() for p in model.parameters())}
    if setting["work"] == "forward":
        model.eval()

        @torch.inference_mode()
        def once() -> Made:
            with mixed:
                forward()
            return Made(setting["batch"])

        return Ready(once, facts)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step() -> Made:
        optimizer.zero_grad()
        with mixed:
            value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return Made(setting["batch"])

    return Ready(step, facts)
