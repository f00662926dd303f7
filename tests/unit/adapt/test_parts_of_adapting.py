"""The parts that need no training: what is held out, what speaks against a clip, which weights are kept, what is replayed."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.adapt.batches import WithReplay
from fm_audio.adapt.ears import score
from fm_audio.adapt.recordings import Source, gather, readable
from fm_audio.adapt.watch import AVERAGED, TRAINED, Watch
from fm_audio.audio import Audio
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.preparation.clip import normal_text
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.evaluation.judge import Hearing, Result
from fm_audio.evaluation.metrics import Edits, Interval, SentenceScore
from fm_audio.training.brief import fit
from fm_audio.training.callbacks import _drawn_near
from fm_audio.types import FmAudioError


class Hears:
    """A recogniser that always hears the same."""

    settings = {"name": "same"}

    def __init__(self, heard: str):
        self.heard = heard

        self.times = 0

    def transcribe(self, audio: Audio) -> str:
        self.times += 1
        return self.heard


class Says(Hears):
    """Hears of each of these cuts its text, and nothing in all other sounds."""

    def __init__(self, cuts: list[Any]):
        super().__init__("")
        self.said = {round(c.duration * c.sampling_rate): c.supervisions[0].text for c in cuts}

    def transcribe(self, audio: Audio) -> str:
        self.times += 1
        return self.said.get(len(audio.samples), "")


def texts(cuts: list[Any]) -> set[str]:
    return {normal_text(c.supervisions[0].text) for c in cuts}


def test_held_out_sentences_stay_the_same_and_more_minutes_add_clips(recordings: Path, tmp_path: Path) -> None:
    source = Source(recordings, "carl")
    whole = gather(source, tmp_path, Arpabet())
    few = gather(replace(source, minutes=0.1), tmp_path, Arpabet())
    assert texts(whole.held_out) == texts(few.held_out) and not texts(whole.held_out) & texts(whole.train)
    assert texts(few.train) < texts(whole.train) and few.minutes <= 0.1
    assert {c.supervisions[0].speaker for c in whole.train + whole.held_out} == {"carl"}
    assert [n for names in whole.report.dropped.values() for n in names] == ["broken"]


def test_cuts_and_their_folder_say_the_same_as_the_files(recordings: Path, tmp_path: Path) -> None:
    files = gather(Source(recordings, "carl"), tmp_path, Arpabet())
    manifest = gather(Source(tmp_path / "cuts.jsonl.gz", "carl"), tmp_path, Arpabet())
    folder = gather(Source(tmp_path, "carl"), tmp_path, Arpabet())
    assert texts(files.train) == texts(manifest.train) == texts(folder.train)
    assert texts(files.held_out) == texts(manifest.held_out) == texts(folder.held_out)
    assert manifest.report.found == manifest.report.kept == 12


def test_a_split_that_is_there_is_kept(recordings: Path, tmp_path: Path) -> None:
    from data_prep.custom import main as prepare

    prepare([str(recordings), str(tmp_path), "--licence", "CC0-1.0", "--hold-out", "3"])
    found = gather(Source(tmp_path, "carl"), tmp_path, Arpabet())
    from fm_audio.data.cuts import load_cuts

    assert texts(found.held_out) == texts(list(load_cuts(tmp_path / "validation.jsonl.gz")))


def test_what_speaks_against_a_clip() -> None:
    sound = lambda: Audio(torch.zeros(10).numpy(), 24_000)  # noqa: E731
    assert "cannot be read" in str(readable(Arpabet())("你好", sound)) and readable(Arpabet())("Hello.", sound) is None


def test_the_judge_listens_to_what_is_used_and_what_it_refuses_is_left_out(recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("jiwer")
    source, told = Source(recordings, "carl", minutes=0.1), list[str]()
    everything, deaf = gather(replace(source, minutes=None), tmp_path, Arpabet()), gather(source, tmp_path, Arpabet())
    hears = Hears("x")
    with pytest.raises(FmAudioError, match="0 clips to train on and 0 held out"):
        gather(source, tmp_path, Arpabet(), hears, told.append)  # type: ignore[arg-type]
    assert hears.times == 12 + 2 and "same listens to" in told[0], "each half together, then each clip alone"

    hears = Says(deaf.held_out + [c for c in everything.train if c.id != deaf.train[0].id])
    found = gather(source, tmp_path, Arpabet(), hears)  # type: ignore[arg-type]
    assert deaf.train[0].id in found.report.dropped["says something else than its text"]
    assert deaf.train[0].id not in {c.id for c in found.train} and found.report.found == 13
    assert found.report.kept == 11 and sum(found.report.sample_rates.values()) == 11
    assert hears.times < 12 and texts(found.held_out) == texts(deaf.held_out)


def test_too_few_texts_are_an_error(recordings: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(recordings.glob("000[01].*")):
        (few / path.name).write_bytes(path.read_bytes())
    with pytest.raises(FmAudioError, match="2 different texts are left, at least 4 are needed"):
        gather(Source(few, "carl"), tmp_path, Arpabet())


class Toy(nn.Module):
    """Its loss is its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def loss(self, batch: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return {"loss": self.weight}


def batch() -> SpeechBatch:
    """Two clips of one frame."""
    one, mask = torch.ones(2, 1, dtype=torch.long), torch.ones(2, 1, dtype=torch.bool)
    names = ["a", "b"]
    return SpeechBatch(names, names, names, one, mask, torch.zeros(2, 1, 8), mask, one, torch.ones(2, dtype=torch.bool))


def heard(wer: float, similarity: float) -> Result:
    wrong, edits = Interval(wer, 0.0, 1.0), Edits(10, round(10 * wer), 0, 0)
    hearing = Hearing("", "", SentenceScore("", "", edits, edits, [], []), 1.0)
    return Result("said", "", wrong, wrong, 0, 0, [hearing], similarity=Interval(similarity, 0.0, 1.0))


def test_the_share_that_the_judges_like_best_is_kept() -> None:
    toy = Toy()
    judged = {2.0: heard(0.5, 0.8), 1.5: heard(0.4, 0.8), 1.0: heard(0.2, 0.7), 0.5: heard(0.2, 0.6)}
    watch = Watch(toy, [batch()], torch.device("cpu"), lambda: judged[toy.weight.item()], early=True, tell=lambda _: None)
    watch(10, at(2.0), at(2.0))
    assert watch.strongest((0.75, 0.5, 0.25), lambda share: {"weight": share * watch.weights["weight"]}) == 0.5
    assert watch.weights["weight"] == 1.0 and watch.best is not None and watch.best.strength == 0.5


def test_a_recogniser_that_runs_in_circles_counts_once() -> None:
    assert score(heard(19.0, 0.7)) == score(heard(1.0, 0.7)) == pytest.approx(-0.3)
    assert score(heard(0.2, 0.7)) == pytest.approx(0.5)


def at(value: float) -> dict[str, Tensor]:
    return {"weight": torch.tensor(value)}


def test_judges_choose_and_stop_and_the_weights_come_back() -> None:
    toy = Toy()
    judged = {1.0: heard(0.5, 0.6), 1.5: heard(0.5, 0.5), 2.0: heard(0.3, 0.6), 2.5: heard(0.2, 0.8)}
    hear = lambda: judged.get(toy.weight.item(), heard(0.9, 0.1))  # noqa: E731
    watch = Watch(toy, [batch()], torch.device("cpu"), hear, early=True, patience=2, tell=lambda _: None)
    assert not watch(10, at(1.5), at(1.0)) and float(toy.weight) == 1.5
    assert not watch(20, at(2.5), at(2.0))
    assert not watch(30, at(3.5), at(3.0))
    assert watch(40, at(4.5), at(4.0))
    assert watch.best is not None and (watch.best.step, watch.best.kind) == (20, TRAINED)
    assert float(watch.weights["weight"]) == 2.5
    assert [s.loss for s in watch.seen] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]


def test_without_judges_the_last_mean_is_kept_whatever_the_loss() -> None:
    watch = Watch(Toy(), [batch()], torch.device("cpu"), patience=1, tell=lambda _: None)
    assert not any(watch(step, at(step + 0.5), at(float(step))) for step in range(1, 9))
    assert watch.best is not None and (watch.best.step, watch.best.kind, float(watch.weights["weight"])) == (8, AVERAGED, 8.0)


def test_replay_is_spread_evenly() -> None:
    drawn = list(islice(iter(WithReplay(["mine"] * 99, ["other"] * 99, 0.3)), 20))
    assert drawn.count("other") == 6 and all(drawn[i : i + 10].count("other") == 3 for i in (0, 10))


def test_the_mean_forgets_its_start_and_then_remembers() -> None:
    means, now = [torch.zeros(2), torch.zeros(3)], [torch.ones(2), torch.ones(3)]
    for count in range(1, 40):
        _drawn_near(0.999, means, now, torch.tensor(count))
    assert all((mean > 0.99).all() for mean in means)
    _drawn_near(0.9, late := [torch.zeros(1)], [torch.ones(1)], torch.tensor(10_000))
    assert float(late[0]) == pytest.approx(0.1)


def test_steps_and_minutes_end_a_run_and_so_does_who_has_seen_enough(tmp_path: Path) -> None:
    looks: list[tuple[int, float, float]] = []

    def look(step: int, trained: Any, averaged: Any) -> bool:
        looks.append((step, float(trained["weight"]), float(averaged["weight"])))
        return step == 4

    def run(every: int, steps: int, **more: Any) -> int:
        looks.clear()
        return fit(Toy(), repeat(batch()), look, every, steps, tmp_path, precision="32-true", **more)

    assert run(2, 3) == 3 and [step for step, *_ in looks] == [2, 3]
    assert run(2, 100) == 4 and [step for step, *_ in looks] == [2, 4]
    steps = run(10**9, 10**9, minutes=1 / 600)
    assert 0 < steps < 10**9 and [step for step, *_ in looks] == [steps]
    assert all(trained < averaged < 0 for step, trained, averaged in looks if step > 1)  # the loss is the weight, the mean lags
    assert list(tmp_path.iterdir()) == []
