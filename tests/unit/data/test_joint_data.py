"""Joint batches: three corpora through their own epochs, side by side, and gone on with where a run stopped."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import JointBatch
from fm_audio.data.joint import JointDataModule
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.pairs import Pair, write_pairs
from fm_audio.data.text.vocabulary import Letters, LettersAndPhones
from fm_audio.types import FmAudioError

SPEC = AudioSpec(bands=16, mean=-3.0, std=2.0)
WORDS = ["cat", "dog", "a", "horse", "mouse", "ox", "bee", "gnu", "tapir", "emu", "hen", "fox", "owl"]


def module(tones: Path, folder: Path, **more: Any) -> JointDataModule:
    write_pairs(folder / "pairs.tsv", [Pair(w, "K AE1 T") for w in WORDS])
    cuts, pairs = [str(tones / "cuts.jsonl.gz")], [str(folder / "pairs.tsv")]
    options = {"batch_seconds": 8.0, "listening_seconds": 16.0, "batch_tokens": 30, "buckets": 2, "pair_buckets": 2} | more
    given: dict[str, Any] = {"cuts": cuts, "validation_cuts": [str(tones / "validation.jsonl.gz")], "pairs": pairs}
    given |= {"validation_pairs": pairs} | options
    data = JointDataModule(spec=SPEC, frontend=Arpabet(), source=Letters(), target=LettersAndPhones(), **given)
    data.setup()
    return data


def seen(batch: JointBatch) -> tuple[Any, ...]:
    assert batch.writing.source is not None
    return batch.speech.ids, batch.listening.ids, [Letters().decode(row.tolist()) for row in batch.writing.source]


def test_a_batch_has_all_directions(tones: Path, tmp_path: Path) -> None:
    data = module(tones, tmp_path)
    batch = next(iter(data.train_dataloader()))
    assert len(batch) == len(batch.speech) + len(batch.listening) + len(batch.writing)
    assert batch.speech.has_durations.all() and not batch.listening.has_durations.any()
    target = LettersAndPhones()
    for text, row in zip(batch.listening.texts, batch.listening.symbols, strict=True):
        assert target.decode(row.tolist()) == text.removesuffix(".")
    assert {target.decode(row.tolist()) for row in batch.writing.target} == {"K AE1 T"}
    moved = batch.to("meta")
    assert moved.speech.mel.is_meta and moved.listening.mask.is_meta and moved.writing.target.is_meta


def test_each_corpus_goes_through_its_own_epochs(tones: Path, tmp_path: Path) -> None:
    """Batch g of the run is batch g mod n of epoch g div n of each corpus, also across the borders of joint epochs."""
    data = module(tones, tmp_path)
    lengths = [len(part.train_dataloader()) for part in (data.speech, data.listening, data.writing)]
    assert len(set(lengths)) == 3, "or the test tells little"
    length = len(data.train_dataloader())
    assert length == max(lengths)
    run = [seen(batch) for epoch in range(3) for batch in data.loader(lambda e=epoch: (e, 0))]  # type: ignore[misc]
    assert len(run) == 3 * length
    for k, n in enumerate(lengths):
        ids = [sorted(sum((batch[k] for batch in run[e * n : (e + 1) * n]), [])) for e in range(len(run) // n)]
        assert len(ids) > 2 and all(epoch == ids[0] for epoch in ids), "every item once an epoch"
        assert len(set(ids[0])) == len(ids[0])
        orders = [[batch[k] for batch in run[e * n : (e + 1) * n]] for e in range(len(ids))]
        assert any(order != orders[0] for order in orders), "and in an order of its own"


@pytest.mark.parametrize("done", [1, 2])
def test_a_run_goes_on_behind_what_is_done(done: int, tones: Path, tmp_path: Path) -> None:
    data = module(tones, tmp_path)
    whole = [seen(batch) for batch in data.loader(lambda: (2, 0))]
    assert [seen(batch) for batch in data.loader(lambda: (2, done))] == whole[done:]
    other = module(tones, tmp_path, seed=7)
    assert [seen(batch) for batch in other.loader(lambda: (2, 0))] != whole


class Noted(lightning.LightningModule):
    """Learns nothing and notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.noted: list[tuple[Any, ...]] = []
        self.validated: list[tuple[Any, ...]] = []

    def training_step(self, batch: JointBatch, _: int) -> torch.Tensor:
        self.noted.append(seen(batch))
        return (self.weight * batch.speech.mel.mean()).sum()

    def validation_step(self, batch: JointBatch, _: int) -> None:
        self.validated.append(seen(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(folder: Path, data: JointDataModule, steps: int, resume: bool = False) -> Noted:
    saving = ModelCheckpoint(dirpath=folder, filename="last", every_n_train_steps=1, save_on_train_epoch_end=False)
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, callbacks=[saving], enable_progress_bar=False, num_sanity_val_steps=0,
        enable_model_summary=False, val_check_interval=2, check_val_every_n_epoch=None, default_root_dir=folder,
    )  # fmt: skip
    module = Noted()
    checkpoint = max(folder.glob("*.ckpt"), key=lambda p: p.stat().st_mtime) if resume else None
    trainer.fit(module, data, ckpt_path=checkpoint)
    return module


def test_a_resumed_training_sees_what_an_uninterrupted_one_does(tones: Path, tmp_path: Path) -> None:
    """Stopped in the middle of a joint epoch, and gone on over its end."""
    data = module(tones, tmp_path)
    length = len(data.train_dataloader())
    steps, stopped = 2 * length + 1, length + 1
    whole = fit(tmp_path / "whole", data, steps)
    first = fit(tmp_path / "parts", module(tones, tmp_path), stopped)
    second = fit(tmp_path / "parts", module(tones, tmp_path), steps, resume=True)
    assert len(whole.noted) == steps and first.noted == whole.noted[:stopped]
    assert second.noted == whole.noted[stopped:]


def test_validation_is_a_handful_spread_over_all(tones: Path, tmp_path: Path) -> None:
    data = module(tones, tmp_path, validation_batches=3, batch_tokens=12)
    batches = [seen(batch) for batch in data.val_dataloader()]
    assert len(batches) == len(data.val_dataloader()) == 3
    assert batches == [seen(batch) for batch in data.val_dataloader()]
    lengths = [max(map(len, words)) for _, _, words in batches]
    assert lengths[0] < lengths[-1], "short words and long ones"
    assert {i for ids, _, _ in batches for i in ids} and all(heard for _, heard, _ in batches)


def test_ranks_share_a_batch(tones: Path, tmp_path: Path) -> None:
    class Trainer:
        world_size, global_rank = 2, 0

    runs = []
    for rank in range(2):
        data = module(tones, tmp_path)
        data.trainer = Trainer()  # type: ignore[assignment]
        data.trainer.global_rank = rank  # type: ignore[misc, union-attr]
        runs.append([seen(b) for b in islice(data.loader(lambda: (0, 0)), 2)])
    for a, b in zip(*runs, strict=True):
        assert a != b and all(not set(x) & set(y) or len(x) == len(y) == 1 for x, y in zip(a, b, strict=True))


def test_workers_read_the_same(tones: Path, tmp_path: Path) -> None:
    alone, ahead = ([seen(b) for b in module(tones, tmp_path, workers=w).loader(lambda: (1, 0))] for w in (0, 1))
    assert alone == ahead


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cuts": []}, "cuts is empty"),
        ({"pairs": []}, "pairs is empty"),
        ({"validation_pairs": []}, "validation_cuts and validation_pairs both"),
        ({"validation_batches": 0}, "validation_batches is 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_missing_is_named(change: dict[str, Any], message: str, tones: Path, tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match=message):
        module(tones, tmp_path, **change)


def test_a_streamed_corpus_is_refused(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "shar").mkdir()
    (tmp_path / "shar/cuts.000000.jsonl.gz").write_bytes(b"")
    with pytest.raises(FmAudioError, match="is a Shar folder, whose epochs have no length"):
        module(tones, tmp_path, cuts=[str(tmp_path / "shar")])
