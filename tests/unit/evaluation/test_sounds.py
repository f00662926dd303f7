"""The judge of sounds knows kinds it was shown, measures distance and diversity, and the table has every row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.sound_sources import SOURCES
from fm_audio.audio import Audio
from fm_audio.checkpoint import instantiate, save_model
from fm_audio.cli import main
from fm_audio.data.cuts import load_cuts
from fm_audio.data.preparation.layouts import Naming, read_manifest
from fm_audio.data.preparation.prepare import Options, prepare
from fm_audio.data.preparation.report import Report
from fm_audio.data.sound_bank import SoundBank
from fm_audio.data.sound_features import features
from fm_audio.evaluation import sounds
from fm_audio.evaluation.sound_judge import fit_judge, frechet, spread
from fm_audio.training.export import _speaking
from fm_audio.types import FmAudioError
from tests.unit.test_sounds import NODE
from tests.unit.test_sounds import folder as folder  # noqa: F401 - a small model with random weights

KINDS = ("tone", "wind", "knocks", "siren", "rain", "drum")
RATE = 24_000


def drawn(each: int, seed: int) -> tuple[list[Audio], list[str]]:
    made = []
    for k, kind in enumerate(KINDS):
        for i in range(each):
            draw = np.random.default_rng([seed, k, i])
            wave = SOURCES[kind](draw, float(draw.uniform(1.0, 3.0)), RATE)[1]
            made.append((Audio((0.1 * wave / np.sqrt(np.mean(wave**2))).astype(np.float32), RATE), kind))
    return [a for a, _ in made], [k for _, k in made]


def test_kinds_are_told_apart_at_any_loudness_and_rate() -> None:
    judge = fit_judge(*drawn(6, 1))
    new, kinds = drawn(3, 2)
    named = judge.kinds_of(judge.embed(new))
    assert np.mean([a == b for a, b in zip(named, kinds, strict=True)]) >= 0.9
    ranks = judge.ranks_of(judge.embed(new), kinds)
    assert ranks.mean() > 0.95 and all((r == 1) == (a == b) for r, a, b in zip(ranks, named, kinds, strict=True))
    guessed = np.mean([judge.ranks_of(judge.embed(new), [kind] * len(new)).mean() for kind in judge.kinds])
    assert guessed == pytest.approx(0.5), "over all kinds that may be asked for"
    quiet = [Audio(0.1 * sound.samples, RATE) for sound in new]
    assert judge.kinds_of(judge.embed(quiet)) == named


def test_distance_and_spread_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4000, 3))
    assert frechet(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet(a, a + [3.0, 0, 0]) == pytest.approx(9.0, abs=1e-6)
    assert frechet(a, 2 * rng.normal(size=(4000, 3))) == pytest.approx(3 * (2 - 1) ** 2, abs=0.3)  # Σ (σ_a − σ_b)²
    assert spread(np.array([[0.0, 0], [3, 4], [0, 0]])) == pytest.approx(10 / 3)


def test_a_judge_needs_kinds() -> None:
    new, kinds = drawn(1, 1)
    with pytest.raises(FmAudioError, match="have one clip; give two of both"):
        fit_judge(new, kinds)
    assert np.isfinite(features(Audio(np.zeros(600, np.float32), RATE))).all(), "silence has features too"


def corpus(out: Path, each: int, seed: int) -> str:
    """Cuts of `each` clips of every kind; what their captions say does not matter here."""
    (out / "wavs").mkdir(parents=True)
    rows = []
    for i, (sound, kind) in enumerate(zip(*drawn(each, seed), strict=True)):
        sound.save(out / f"wavs/{i}.wav")
        rows.append({"id": str(i), "audio": f"wavs/{i}.wav", "text": kind, "speaker": kind})
    (out / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = Options("CC0-1.0", relative=True)
    prepare(read_manifest(out / "manifest.jsonl", Naming("x", "en")), out, options, Report("sounds", "CC0-1.0", True))
    return str(out / "cuts.jsonl.gz")


def test_the_table_has_every_row(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    judge, held, report = corpus(tmp_path / "judge", 3, 1), corpus(tmp_path / "held", 1, 2), tmp_path / "out.json"
    asked = [str(folder), "--judge-cuts", judge, "--steps", "1", "2", "--guidance", "1", "2"]
    more = ["--limit", "4", "--json", str(report), "--picture", str(tmp_path / "a.png")]
    assert sounds.main([*asked, "--held-out", held, *more]) == 0
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads(report.read_text())
    assert [(r["steps"], r["guidance"]) for r in told["rows"]] == [(1, 1.0), (2, 1.0), (1, 2.0), (2, 2.0)]
    assert all(0 <= r["accuracy"]["low"] <= r["accuracy"]["value"] <= r["accuracy"]["high"] <= 1 for r in told["rows"])
    assert told["chance"] == pytest.approx(1 / len(KINDS)) and told["held_out"]["accuracy"]["value"] > 0.7
    shown = capsys.readouterr().out
    assert 0 <= told["copied"]["accuracy"]["value"] <= 1 and "copied by the vocoder" in shown
    assert "real clips" in shown and "chance 16.7 %" in shown and "4 captions of 6 kinds" in shown
    assert sounds.main([*asked, "--held-out", str(tmp_path / "none.gz")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_rare_kinds_are_asked_for_with_a_bank_and_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = {**NODE, "init_args": {**NODE["init_args"], "retrieval": True}}
    looker = save_model(tmp_path / "model", node, instantiate(node).state_dict(), _speaking(node))
    judge, held, trained = corpus(tmp_path / "judge", 3, 1), corpus(tmp_path / "held", 2, 2), corpus(tmp_path / "trained", 2, 3)
    assert main(["bank", "make", held, "-o", str(tmp_path / "bank"), "--sample-rate", "24000"]) == 0
    few = tmp_path / "few.jsonl.gz"
    load_cuts(trained).subset(cut_ids=[c.id for c in load_cuts(trained)][:3]).to_file(few)  # two tones, one wind
    asked = [str(looker), "--judge-cuts", judge, "--held-out", held, "--steps", "1", "--guidance", "1", "--no-diversity"]
    more = ["--bank", str(tmp_path / "bank"), "--rare", "1", "--trained-on", str(few), "--json", str(tmp_path / "out.json")]
    capsys.readouterr()
    assert sounds.main([*asked, *more]) == 0
    told, shown = json.loads((tmp_path / "out.json").read_text()), capsys.readouterr().out
    assert [r["shown"] for r in told["rows"]] == [0, 3]
    without, with_them = (np.array(r["ranks"]) for r in told["rows"])
    [above] = told["rank_above_none_shown"]
    assert above["value"] == pytest.approx((with_them - without).mean()) and above["shown"] == 3
    assert "2 captions of 6 kinds" in shown, "wind alone was trained on once"
    assert f"with 3 clips shown the rank is {100 * above['value']:+5.1f} [" in shown
    assert sounds.main([*asked, "--rare", "1"]) == 2 and "give --trained-on CUTS" in capsys.readouterr().err
    assert sounds.main([*asked, "--retrieve", "2"]) == 2 and "give --bank DIR" in capsys.readouterr().err


def test_the_clip_asked_about_is_not_shown(tmp_path: Path) -> None:
    """Of two clips of a kind in the bank, the one whose caption is asked for is left out."""
    held = corpus(tmp_path / "held", 2, 2)
    assert main(["bank", "make", held, "-o", str(tmp_path / "bank")]) == 0
    clip = sounds.clips_of(held, only={"rain"})[0]
    bank = SoundBank(tmp_path / "bank")
    near = bank.nearest(clip.caption, 5, unlike=clip.sound)
    assert len(near) == 1 and len(bank.nearest(clip.caption, 5)) == 2
    shown = bank.sound(near[0].index, RATE).samples
    assert len(shown) != len(clip.sound.samples) or np.abs(shown - clip.sound.samples).max() > 0.01
