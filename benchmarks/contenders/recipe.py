"""A recipe's training step on random clips of its batch size, and the machine's own matrix products to hold it against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from benchmarks.machine import ROOT
from benchmarks.worker import Made, Ready
from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import instantiate
from fm_audio.data.batches import SpeechBatch
from fm_audio.types import FmAudioError, length_mask

SYMBOLS_HZ = 13.0
CLIP_SECONDS = (2.0, 10.0)
SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices
# The attention of CPUs, which torch's counter does not know, by the shapes of queries, keys and values.
ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda g, q, k, v, *_, **__: sdpa_backward_flop_count(
        g, q, k, v
    ),
}


def step(setting: Mapping[str, Any]) -> Ready:
    """setting: recipe (of aligned speech), batch_seconds, precision, device. What is made are floating-point operations.

    A step is the task's loss under autocast, backward, clipped gradients and AdamW as `FlowModule` sets it; loading data and
    averaging weights are left out.
    """
    recipe, device = read(setting["recipe"]), setting["device"]
    torch.manual_seed(0)
    task = build(recipe).train().to(device)
    batch = clips(task, setting["batch_seconds"]).to(device)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-5, betas=(0.9, 0.98), fused=True)
    kind, most = torch.device(device).type, recipe["trainer"].get("gradient_clip_val")

    def passes() -> None:
        optimizer.zero_grad()
        with torch.autocast(kind, torch.bfloat16, enabled=setting["precision"] == "bf16"):
            loss = task.loss(batch, generator)["loss"]
        loss.backward()

    with FlopCounterMode(display=False, custom_mapping=ATTENTION) as counter:
        passes()
    operations = float(counter.get_total_flops())

    def once() -> Made:
        passes()
        if most:
            nn.utils.clip_grad_norm_(task.parameters(), most)
        optimizer.step()
        return Made(operations)

    seconds = float(batch.mask.sum()) / task.spec.frame_hz
    facts = {"parameters": sum(p.numel() for p in task.parameters()), "clips": len(batch), "seconds of sound": seconds}
    return Ready(once, facts)


def matmul(setting: Mapping[str, Any]) -> Ready:
    """Products of two large matrices in the same precision: 2 n³ operations each."""
    kind = torch.device(setting["device"]).type
    n = 256 if setting["tiny"] else SIDE.get(kind, SIDE["cuda"])
    dtype = torch.bfloat16 if setting["precision"] == "bf16" else torch.float32
    a, b = (torch.randn(n, n, device=setting["device"], dtype=dtype) for _ in range(2))

    def once() -> Made:
        for _ in range(4):
            a @ b
        return Made(4 * 2.0 * n**3)

    return Ready(once, {"side": n})


def read(path: str) -> dict[str, Any]:
    try:
        return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    except OSError as e:
        raise FmAudioError(f"--recipe {path}: cannot be read ({e.strerror}); give one of recipes/aligned_tts") from e


def build(recipe: Mapping[str, Any]) -> Any:
    """The task that the recipe trains. Raises FmAudioError where it is none of aligned speech."""
    node = recipe["model"]["init_args"]["task"]
    if not node["class_path"].endswith(".AlignedTTS"):
        raise FmAudioError(f"--recipe: trains {node['class_path']}; random clips are there for AlignedTTS alone")
    shared = {"spec": recipe["spec"], "frontend": recipe["frontend"]}
    return instantiate({"class_path": node["class_path"], "init_args": node["init_args"] | shared})


def clips(task: Any, batch_seconds: float) -> SpeechBatch:
    """Random clips with durations and pitch, so many seconds together."""
    spec: AudioSpec = task.spec
    low, high = (min(s, batch_seconds) for s in CLIP_SECONDS)
    seconds: list[float] = []
    while sum(seconds) < batch_seconds:
        seconds.append(low + (high - low) * float(torch.rand(())))
    frames = [spec.frames_of_seconds(s) for s in seconds]
    symbols = [max(1, round(s * SYMBOLS_HZ)) for s in seconds]
    mask, symbols_mask = length_mask(torch.tensor(frames)), length_mask(torch.tensor(symbols))
    durations = torch.zeros_like(symbols_mask, dtype=torch.long)
    for row, m, n in zip(durations, symbols, frames, strict=True):
        row[:m] = n // m
        row[: n % m] += 1
    names = list(task.speakers)
    return SpeechBatch(
        ids=[str(i) for i in range(len(seconds))],
        texts=[""] * len(seconds),
        speakers=[names[i % len(names)] for i in range(len(seconds))],
        symbols=torch.randint(1, len(task.frontend.symbols), symbols_mask.shape) * symbols_mask,
        symbols_mask=symbols_mask,
        mel=torch.randn(*mask.shape, spec.bands).masked_fill(~mask[..., None], spec.floor),
        mask=mask,
        durations_frames=durations,
        has_durations=torch.ones(len(seconds), dtype=torch.bool),
        log_pitch=5.0 + 0.2 * torch.randn(mask.shape),
        voiced=mask & (torch.rand(mask.shape) < 0.6),
    )
