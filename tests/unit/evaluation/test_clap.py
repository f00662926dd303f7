"""CLAP in its real layout, with random weights: a score belongs to its pair, length is no trouble, other models are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fm_audio.audio import Audio, resample
from fm_audio.evaluation import sounds
from fm_audio.evaluation.clap import ClapJudge
from fm_audio.types import FmAudioError
from tests.tiny_hub import t5, words_tokenizer
from tests.unit.data.test_frozen_captions import clap
from tests.unit.evaluation.test_sounds import corpus
from tests.unit.test_sounds import folder as folder  # noqa: F401 - a small model with random weights

transformers = pytest.importorskip("transformers")
RATE = 24_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    where = tmp_path_factory.mktemp("clap")
    words_tokenizer().save_pretrained(where)
    transformers.ClapFeatureExtractor(feature_size=16, max_length_s=2, truncation="rand_trunc").save_pretrained(where)
    clap().save_pretrained(where)
    return str(where)


def hiss(seconds: float, seed: int) -> Audio:
    draw = np.random.default_rng(seed)
    return Audio((0.1 * draw.standard_normal(int(seconds * RATE))).astype(np.float32), RATE)


def tone(seconds: float) -> Audio:
    return Audio((0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32), RATE)


def test_a_score_belongs_to_its_pair(model: str) -> None:
    judge = ClapJudge(model)
    asked, heard = ["a bell rings", "rain", "rain"], [tone(1.0), tone(1.0), hiss(1.0, 0)]
    scores = judge.scores(heard, asked)
    assert all(-1 <= score <= 1 for score in scores) and len(set(scores)) == 3
    assert [judge.scores([sound], [caption])[0] for sound, caption in zip(heard, asked, strict=True)] == scores
    with torch.inference_mode():  # by the model's own logits, which are cosines times a learnt scale
        inputs = judge._reading(["rain"], return_tensors="pt") | judge._hearing(
            resample(heard[2].samples, RATE, 2 * RATE), sampling_rate=2 * RATE, return_tensors="pt"
        )
        logits = judge._clap(**inputs).logits_per_audio[0, 0] / judge._clap.logit_scale_a.exp()
    assert float(logits) == pytest.approx(scores[2], abs=1e-5)


def test_long_sounds_count_by_their_beginning_and_silence_has_a_score(model: str) -> None:
    judge, long = ClapJudge(model), hiss(3.5, 1)
    start = Audio(long.samples[: int(2.5 * RATE)], RATE)
    assert judge.scores([long], ["wind"]) == pytest.approx(judge.scores([start], ["wind"]), abs=1e-4)
    assert np.isfinite(judge.scores([Audio(np.zeros(RATE // 10, np.float32), RATE)], ["a"])).all()


def test_what_compares_no_sounds_is_refused(tmp_path: Path) -> None:
    words_tokenizer().save_pretrained(tmp_path)
    t5().save_pretrained(tmp_path)
    with pytest.raises(FmAudioError, match="give a CLAP"):
        ClapJudge(str(tmp_path))
    with pytest.raises(FmAudioError, match="cannot load"):
        ClapJudge(str(tmp_path / "nowhere"))


def test_the_table_tells_how_sounds_fit(folder: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    judge, held, report = corpus(tmp_path / "judge", 2, 1), corpus(tmp_path / "held", 1, 2), tmp_path / "out.json"
    asked = [str(folder), "--judge-cuts", judge, "--held-out", held, "--limit", "3", "--steps", "1", "--guidance", "1"]
    assert sounds.main([*asked, "--no-diversity", "--clap", model, "--json", str(report)]) == 0
    told, shown = json.loads(report.read_text()), capsys.readouterr().out.splitlines()
    fits = [told["held_out"]["clap"], told["copied"]["clap"], told["rows"][0]["clap"]]
    assert all(-1 <= fit["low"] <= fit["value"] <= fit["high"] <= 1 for fit in fits)
    assert shown[1].endswith("CLAP") and len({len(line) for line in shown[2:]}) == 1, "one column"
    for line, fit in zip(shown[2:], fits, strict=True):
        assert line.endswith(f"{fit['value']:6.3f} [{fit['low']:6.3f}, {fit['high']:6.3f}]")
    clips = sounds.clips_of(held, 3)
    by_hand = ClapJudge(model).scores([clip.sound for clip in clips], [clip.caption for clip in clips])
    assert fits[0]["value"] == pytest.approx(np.mean(by_hand))
