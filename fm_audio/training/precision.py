"""What a training computes in: bfloat16 where the device has it, float32 elsewhere.

Where a processor lacks bfloat16, torch goes through float32 and back for every product, and bf16-mixed is many times slower than
32-true. `fm-audio adapt` and `distill` choose; a recipe says what it wants and is warned.
"""

from __future__ import annotations

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn

from fm_audio.flow.runner import computes_in_bfloat16


def chosen(precision: str, device: str) -> str:
    """Lightning's name of a precision; of "auto" bf16-mixed where `device` ("cpu", "cuda") computes in bfloat16, else 32-true."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if computes_in_bfloat16(torch.device(device)) else "32-true"


def warn_of_emulation(trainer: L.Trainer) -> None:
    """Says so where a run is about to go through float32 for every product."""
    device = trainer.strategy.root_device
    if str(trainer.precision).startswith("bf16") and not computes_in_bfloat16(device):
        who = "this accelerator" if device.type == "cuda" else "this processor"
        rank_zero_warn(
            f"precision {trainer.precision}: {who} does not compute in bfloat16, which makes training many times slower here; "
            "take --trainer.precision 32-true"
        )
