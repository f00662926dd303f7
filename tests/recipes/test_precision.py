"""What trainings compute in: bfloat16 where the processor does, unless told; a recipe that asks for it elsewhere is warned."""

from __future__ import annotations

import warnings
from itertools import repeat
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from fm_audio.data.batches import SpeechBatch
from fm_audio.flow import runner
from fm_audio.training.brief import fit
from fm_audio.training.cli import main
from fm_audio.training.precision import chosen, warn_of_emulation
from tests.recipes.commands import SMOKE

ABLE, UNABLE = {"avx2", "avx512_bf16"}, {"avx2"}


class Seen(nn.Module):
    """Keeps the precision that its layer computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dtypes = nn.Linear(8, 8), set[torch.dtype]()

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        out = self.layer(batch.mel)
        self.dtypes.add(out.dtype)
        return {"loss": out.float().square().mean()}


def batch() -> SpeechBatch:
    one, mask = torch.ones(2, 1, dtype=torch.long), torch.ones(2, 1, dtype=torch.bool)
    names = ["a", "b"]
    return SpeechBatch(names, names, names, one, mask, torch.ones(2, 1, 8), mask, one, torch.ones(2, dtype=torch.bool))


@pytest.mark.parametrize(
    ("told", "asked", "wanted"),
    [
        (ABLE, "auto", torch.bfloat16),
        (UNABLE, "auto", torch.float32),
        (ABLE, "32-true", torch.float32),
        (UNABLE, "bf16-mixed", torch.bfloat16),
    ],
)
def test_a_brief_training_computes_in_what_the_processor_has(
    told: set[str], asked: str, wanted: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_capabilities", lambda: told)
    task = Seen()
    assert fit(task, repeat(batch()), lambda *_: False, 10, 2, tmp_path, precision=asked) == 2
    assert task.dtypes == {wanted}


def test_an_accelerator_without_bfloat16_takes_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, wanted in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, able=able: able)
        assert chosen("auto", "cuda") == wanted
        assert chosen("16-mixed", "cuda") == "16-mixed"


@pytest.mark.parametrize(
    ("told", "precision", "warned"), [(ABLE, "bf16-mixed", 0), (UNABLE, "bf16-mixed", 1), (UNABLE, "32-true", 0)]
)
def test_who_is_warned(told: set[str], precision: Any, warned: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_capabilities", lambda: told)
    trainer = L.Trainer(accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_emulation(trainer)
    said = [str(w.message) for w in caught if "bfloat16" in str(w.message)]
    assert len(said) == warned and all("this processor" in line and "--trainer.precision 32-true" in line for line in said)


def test_a_recipe_warns_before_it_trains(smoke_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(smoke_data)
    monkeypatch.setattr(runner, "_capabilities", lambda: UNABLE)
    given = ["fit", "--config", str(SMOKE), "--trainer.max_steps", "1", "--trainer.limit_val_batches", "0"]
    with pytest.warns(UserWarning, match="bf16-mixed: this processor does not compute in bfloat16.*--trainer.precision 32-true"):
        assert main(given) == 0
