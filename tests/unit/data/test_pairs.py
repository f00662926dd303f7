"""Pairs of texts: read as written, batched by length, the same for a seed, and gone on with where a run stopped."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from fm_audio.data.batches import TextBatch
from fm_audio.data.pairs import PairsDataModule
from fm_audio.data.text.pairs import Pair, read_pairs, write_pairs
from fm_audio.data.text.vocabulary import Letters, Phones
from fm_audio.types import FmAudioError

WORDS = ["cat", "dog", "a", "horse", "mouse", "elephant", "ox", "bee", "gnu", "tapir"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "pairs.tsv", [Pair(w, " ".join(["AA1"] * len(w)), ("AA1",)) for w in WORDS])
    write_pairs(tmp_path / "open.tsv", [Pair(None, w) for w in WORDS])
    return tmp_path


def module(folder: Path, **given: object) -> PairsDataModule:
    arguments = {"batch_tokens": 24, "buckets": 3} | given
    made = PairsDataModule([str(folder / "pairs.tsv")], [str(folder / "pairs.tsv")], Letters(), Phones(), **arguments)  # type: ignore[arg-type]
    made.setup()
    return made


def words(batch: TextBatch) -> list[str]:
    assert batch.source is not None
    return [Letters().decode(row.tolist()) for row in batch.source]


def test_files_come_back_as_written(folder: Path) -> None:
    pairs = read_pairs(folder / "pairs.tsv")
    assert [p.source for p in pairs] == WORDS and pairs[0].right == ("AA1 AA1 AA1", "AA1")
    assert read_pairs(folder / "open.tsv")[3] == Pair(None, "horse")
    lines = [{"source": "a", "target": "AH0", "references": ["EY1"]}, {"source": "b", "target": "B IY1"}]
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert [p.right for p in read_pairs(folder / "x.jsonl")] == [("AH0", "EY1"), ("B IY1",)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "cat\t\n", "line 1: a column is empty"),
        ("a.tsv", "cat\tK\ndog\n", "some have none"),
        ("a.tsv", "\n\n", "holds no pair"),
        ("a.txt", "cat", "come as .tsv or .jsonl"),
        ("a.jsonl", '{"source": "a"}', "line 1: no pair"),
        ("a.jsonl", '{"source": "a", "target": "b", "references": "c"}', "no pair"),
        ("a.jsonl", "{", "is not JSON"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(FmAudioError, match=message):
        read_pairs(tmp_path / name)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="cannot be read"):
        read_pairs(tmp_path / "none.tsv")
    (tmp_path / "x.tsv").write_bytes(b"a\t\xff")
    with pytest.raises(FmAudioError, match="not UTF-8"):
        read_pairs(tmp_path / "x.tsv")


def test_an_epoch_has_every_pair_once_and_its_own_order(folder: Path) -> None:
    data = module(folder)
    epochs = [[words(b) for b in data.loader(data._pairs, True, lambda e=e: (e, 0))] for e in (0, 0, 1)]  # type: ignore[misc]
    assert epochs[0] == epochs[1] != epochs[2]
    assert sorted(sum(epochs[0], [])) == sorted(WORDS) == sorted(sum(epochs[2], []))
    for batch in data.train_dataloader():
        assert batch.source is not None and batch.source_mask is not None
        assert (batch.source_mask.shape[1] + batch.target_mask.shape[1]) * len(batch) <= 24 or len(batch) == 1
        assert not batch.source[~batch.source_mask].any() and not batch.target[~batch.target_mask].any()


def test_a_run_goes_on_behind_what_is_done(folder: Path) -> None:
    data = module(folder)
    whole = [words(b) for b in data.loader(data._pairs, True, lambda: (3, 0))]
    assert len(whole) == len(data.train_dataloader()) > 2
    assert [words(b) for b in data.loader(data._pairs, True, lambda: (3, 2))] == whole[2:]


def test_ranks_share_an_epoch(folder: Path) -> None:
    data = module(folder)
    seen = [w for r in range(2) for b in data.loader(data._pairs, True, lambda: (0, 0), 2, r) for w in words(b)]
    assert set(seen) == set(WORDS)


def test_free_writing_has_no_source(folder: Path) -> None:
    data = PairsDataModule([str(folder / "open.tsv")], [], None, Letters())
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch.source is None and batch.source_mask is None and data.val_dataloader() == []
    assert batch.to("cpu").target.equal(batch.target)


def test_what_a_vocabulary_refuses_is_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = PairsDataModule([str(folder / "pairs.tsv")], [], Letters(longest=5), Phones())
        data.setup()
    assert "1 of 10 pairs left out" in caplog.text and "elephant" in caplog.text
    with pytest.raises(FmAudioError, match="none of 10"):
        PairsDataModule([str(folder / "pairs.tsv")], [], Letters("xyz"), Phones()).setup()
    with pytest.raises(FmAudioError, match="pairs is empty"):
        PairsDataModule([], [], None, Letters())
    with pytest.raises(FmAudioError, match="no source"):
        PairsDataModule([str(folder / "open.tsv")], [], Letters(), Letters()).setup()


def test_a_changed_corpus_is_said_on_resume(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    loader = module(folder).train_dataloader()
    with caplog.at_level(logging.WARNING):
        loader.load_state_dict(loader.state_dict())
        assert "changed" not in caplog.text
        loader.load_state_dict(loader.state_dict() | {"pairs": 3})
    assert "changed" in caplog.text and torch.is_tensor(next(iter(loader)).target)
