"""Speech batches: padding, durations, caches, bad files, ranks, and a killed run that goes on with the same batches."""

from __future__ import annotations

import logging
import math
import multiprocessing
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from fm_audio.audio import AudioSpec
from fm_audio.data.clips import SpeechDataset
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.speech import SpeechDataModule
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.types import FmAudioError

SPEC = AudioSpec(bands=16, mean=-3.0, std=2.0)


def module(tones: Path, **more) -> SpeechDataModule:
    options = {"batch_seconds": 6.0, "buckets": 3} | more
    data = SpeechDataModule([str(tones / "cuts.jsonl.gz")], [str(tones / "validation.jsonl.gz")], SPEC, Arpabet(), **options)
    data.setup()
    return data


def test_batches_are_padded_with_silence_and_durations_sum_to_the_clip(tones):
    data = module(tones)
    cuts = {c.id: c for c in load_cuts(tones / "cuts.jsonl.gz")}
    seen = []
    for batch in data.train_dataloader():
        seen += batch.ids
        assert torch.all(batch.mel[~batch.mask] == SPEC.floor)
        assert torch.all(batch.symbols[~batch.symbols_mask] == 0) and torch.all(batch.symbols[batch.symbols_mask] > 0)
        assert batch.has_durations.all()
        assert torch.equal(batch.durations_frames.sum(1), batch.mask.sum(1))
        assert torch.all((batch.durations_frames > 0) == batch.symbols_mask)
        for i, name in enumerate(batch.ids):
            samples = round(cuts[name].duration * 24_000)
            assert batch.mask[i].sum() == samples // SPEC.hop_samples
            assert batch.texts[i] == cuts[name].supervisions[0].text and batch.speakers[i] == cuts[name].supervisions[0].speaker
    assert sorted(seen) == sorted(cuts)


def test_durations_stand_where_the_sound_is(tones):
    """Each border is within half a frame of the corpus's own, so rounding errors do not add up; silences are silent."""
    data = module(tones)
    cuts = {c.id: c for c in load_cuts(tones / "cuts.jsonl.gz")}
    batch = next(iter(data.train_dataloader()))
    silent = {i for i, s in enumerate(Arpabet().symbols) if s in "^ ."}
    for i, name in enumerate(batch.ids):
        ends = [item.end * SPEC.frame_hz for item in cuts[name].supervisions[0].alignment["phone"]]
        mine = batch.durations_frames[i].cumsum(0)[: len(ends)].tolist()
        assert max(abs(a - b) for a, b in zip(ends, mine, strict=True)) <= 1.01
        assert int(batch.symbols[i, 0]) in silent
        assert batch.mel[i, 1 : mine[0] - 3].max() < batch.mel[i, mine[0] : mine[1]].max() - 1


def test_cached_fresh_and_uncached_mels_are_the_same_bits(tones):
    cut = list(load_cuts(tones / "cuts.jsonl.gz"))[0]
    cached, plain = SpeechDataset(SPEC, Arpabet()), SpeechDataset(SPEC, Arpabet(), cache=False)
    first, second, third = cached[[cut]].mel, cached[[cut]].mel, plain[[cut]].mel
    assert torch.equal(first, second) and torch.equal(first, third)
    exact = SPEC.log_mel(torch.from_numpy(wave_of_cut(cut, 24_000))[None])
    torch.testing.assert_close(first, exact, rtol=1e-3, atol=1e-3)


def test_a_clip_in_a_batch_equals_the_clip_alone(tones):
    cuts = list(load_cuts(tones / "cuts.jsonl.gz"))[:4]
    dataset = SpeechDataset(SPEC, Arpabet())
    together = dataset[cuts]
    for i, cut in enumerate(cuts):
        alone = dataset[[cut]]
        n, m = alone.mel.shape[1], alone.symbols.shape[1]
        assert torch.equal(together.mel[i, :n], alone.mel[0]) and not together.mask[i, n:].any()
        assert torch.equal(together.durations_frames[i, :m], alone.durations_frames[0])


def test_files_that_went_bad_are_named_and_skipped(tones, tmp_path, caplog):
    cuts = list(load_cuts(tones / "cuts.jsonl.gz"))[:3]
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    cuts[0].recording.sources[0].source = str(tmp_path / "broken.wav")
    dataset = SpeechDataset(SPEC, Arpabet(), spare=cuts)
    with caplog.at_level(logging.WARNING):
        batch = dataset[cuts]
    assert batch.ids == [c.id for c in cuts[1:]]
    assert dict(dataset.left_out) == {"unreadable": [cuts[0].id]} and cuts[0].id in caplog.text
    assert dataset[cuts[:1]].ids == [cuts[1].id]  # a batch is never empty
    with pytest.raises(FmAudioError, match="no clip"):
        SpeechDataset(SPEC, Arpabet())[cuts[:1]]


def test_texts_too_long_for_their_sound_and_foreign_phones(tones):
    cuts = list(load_cuts(tones / "cuts.jsonl.gz"))[:2]
    cuts[0].supervisions[0].text = "nobody could say that many words in so short a time, " * 9
    cuts[0].supervisions[0].alignment = None
    items = cuts[1].supervisions[0].alignment["phone"]
    cuts[1].supervisions[0].alignment["phone"] = [i._replace(symbol="ʤ") for i in items]
    dataset = SpeechDataset(SPEC, Arpabet())
    batch = dataset[cuts]
    assert batch.ids == [cuts[1].id] and dataset.left_out["too fast"] == [cuts[0].id]
    assert not batch.has_durations.any() and not batch.durations_frames.any()
    assert [cuts[1].id] in dataset.without_durations.values()


def test_ranks_see_different_clips_and_all_of_them(tones):
    data = module(tones)
    ranks = [[b.ids for b in data.loader(data._cuts, True, lambda: (0, 0), 2, rank)] for rank in (0, 1)]
    assert len(ranks[0]) == len(ranks[1])
    assert {i for r in ranks for b in r for i in b} == {c.id for c in data._cuts}


@pytest.mark.parametrize("workers", [0, 2])
def test_skipping_gives_the_same_remaining_batches_without_opening_the_skipped(tones, workers):
    data = module(tones, workers=workers)
    whole = [b.ids for b in data.loader(data._cuts, True, lambda: (1, 0))]
    loader = data.loader(data._cuts, True, lambda: (1, 2))
    assert [b.ids for b in loader] == whole[2:]


class Recorder(lightning.LightningModule):
    """Learns one number and remembers which batches it saw."""

    def __init__(self, die_after: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[str]]] = []
        self.die_after = die_after

    def training_step(self, batch, batch_idx):
        if self.die_after is not None and len(self.seen) == self.die_after:
            raise KeyboardInterrupt("killed")
        self.seen.append((self.current_epoch, batch.ids))
        return (self.weight - batch.mel[batch.mask].mean()) ** 2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit(tones: Path, folder: Path, model: Recorder, workers: int = 0, every: int = 2) -> Recorder:
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=14, logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, limit_val_batches=0, default_root_dir=folder,
        callbacks=[ModelCheckpoint(folder, "last", every_n_train_steps=every, save_top_k=1, enable_version_counter=False)],
    )  # fmt: skip
    last = folder / "last.ckpt"
    try:
        trainer.fit(model, datamodule=module(tones, workers=workers), ckpt_path=str(last) if last.exists() else None)
    except (KeyboardInterrupt, SystemExit):
        pass
    return model


@pytest.mark.parametrize("workers, dies_after", [(0, 1), (0, 3), (0, 5), (0, 8), (2, 5)])
def test_a_killed_run_goes_on_with_the_same_batches_and_numbers(tones, tmp_path, workers, dies_after):
    """Checkpoints come every second step; 14 steps are more than one epoch, and one kill falls right behind an epoch's end."""
    before = set(multiprocessing.active_children())
    whole = fit(tones, tmp_path / "whole", Recorder(), workers)
    assert len(whole.seen) == 14 and whole.seen[-1][0] >= 1
    fit(tones, tmp_path / "cut", Recorder(die_after=dies_after), workers)
    resumed = fit(tones, tmp_path / "cut", Recorder(), workers)
    assert set(multiprocessing.active_children()) <= before, "workers end with their run"
    saved = dies_after // 2 * 2
    assert resumed.seen == whole.seen[saved:]
    assert torch.equal(resumed.weight, whole.weight)


def test_resuming_at_the_last_batch_of_an_epoch(tones, tmp_path):
    steps = len(module(tones).train_dataloader())
    whole = fit(tones, tmp_path / "whole", Recorder(), every=steps)
    fit(tones, tmp_path / "cut", Recorder(die_after=steps + 1), every=steps)
    resumed = fit(tones, tmp_path / "cut", Recorder(), every=steps)
    assert resumed.seen == whole.seen[steps:]


def test_a_changed_corpus_is_said_on_resume(tones, caplog):
    data = module(tones)
    state = data.train_dataloader().state_dict()
    with caplog.at_level(logging.WARNING):
        data.train_dataloader().load_state_dict(state)
        assert "changed" not in caplog.text
        module(tones, max_seconds=1.5).train_dataloader().load_state_dict(state)
    assert "changed" in caplog.text


def test_lengths_out_of_range_are_named_and_an_empty_corpus_refused(tones, caplog):
    with caplog.at_level(logging.WARNING):
        data = module(tones, max_seconds=1.5)
    assert 0 < len(data._cuts) < 24 and "left out" in caplog.text
    with pytest.raises(FmAudioError, match="lasts"):
        module(tones, min_seconds=10.0)
    with pytest.raises(FmAudioError, match="does not exist"):
        SpeechDataModule([str(tones / "gone.jsonl.gz")], [], SPEC, Arpabet()).setup()


def test_other_sample_rates_are_resampled(tones):
    slow = AudioSpec(sample_rate=16_000, bands=16)
    cut = list(load_cuts(tones / "cuts.jsonl.gz"))[0]
    batch = SpeechDataset(slow, Arpabet())[[cut]]
    assert batch.mask.sum() == math.floor(len(wave_of_cut(cut, 16_000)) / slow.hop_samples)
    assert batch.durations_frames.sum() == batch.mask.sum()
