"""Perturbed copies: as long and as high as their speed says, their alignment with them, damaged where they say so alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep import perturbed
from data_prep.synthetic import make
from fm_audio.data import damage_waves
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.damage_waves import WaveDamage
from fm_audio.data.perturb_waves import WavePerturbation
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.types import FmAudioError

RATE = 16_000
TONE = 0.3 * np.sin(2 * np.pi * 400 * np.arange(RATE) / RATE).astype(np.float32)


def pitch_hz(samples: np.ndarray) -> float:
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[np.abs(np.fft.rfft(samples)).argmax()])


@pytest.mark.parametrize("seed", range(5))
def test_speed_moves_length_and_pitch_alike(seed: int) -> None:
    found, speed = WavePerturbation(noise_share=1.0)(TONE, RATE, np.random.default_rng(seed))
    assert 1 / 1.17 <= speed <= 1.17 and len(found) == pytest.approx(RATE / speed, abs=2)
    assert pitch_hz(found) == pytest.approx(400 * speed, rel=0.01) and np.abs(found).max() <= 1.0


def test_what_is_not_asked_for_is_left_alone() -> None:
    still, speed = WavePerturbation(0.0, 0.0, 0.0, 0.0)(TONE, RATE, np.random.default_rng(0))
    assert speed == 1.0 and np.allclose(still, TONE, atol=1e-5)
    loud, _ = WavePerturbation(0.0, 0.0, 1.0, 0.0)(TONE, RATE, np.random.default_rng(0))
    below = 10 * np.log10(np.square(TONE).mean() / np.square(loud - TONE).mean())
    assert 15 <= below <= 40


def test_a_corpus_is_copied_with_its_alignment(tmp_path: Path) -> None:
    make(tmp_path / "tones", clips=3, speakers=1, frontend=Arpabet(), hold_out=0)
    source = tmp_path / "tones" / "cuts.jsonl.gz"
    for name in ("a", "b"):
        perturbed.main([str(source), str(tmp_path / name), "--copies", "2", "--seed", "3"])
    first, again, whole = (list(load_cuts(p / "cuts.jsonl.gz")) for p in (tmp_path / "a", tmp_path / "b", tmp_path / "tones"))
    assert len(first) == 2 * len(whole) and len({cut.id for cut in first}) == len(first)
    for i, (cut, same) in enumerate(zip(first, again, strict=True)):
        rate, old = cut.recording.sampling_rate, whole[i // 2]
        speed = cut.supervisions[0].custom["perturbed"]
        assert np.array_equal(wave_of_cut(cut, rate), wave_of_cut(same, rate))
        assert cut.duration == pytest.approx(old.duration / speed, rel=1e-3)
        assert cut.supervisions[0].text == old.supervisions[0].text
        items, before = (c.supervisions[0].alignment["phone"] for c in (cut, old))
        assert [x.symbol for x in items] == [x.symbol for x in before]
        assert sum(x.duration for x in items) == pytest.approx(sum(x.duration for x in before) / speed, rel=1e-3)


def spoken_noise(seconds: float = 3.0) -> np.ndarray:
    draw = np.random.default_rng(1)
    return (draw.normal(size=round(seconds * RATE)) * np.linspace(0.05, 0.3, round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_only_the_moments_that_are_named_are_damaged(seed: int) -> None:
    whole = spoken_noise()
    found, moments = WaveDamage(share=1.0)(whole, RATE, np.random.default_rng(seed))
    assert 1 <= len(moments) <= 2 and len(found) == len(whole) and np.isfinite(found).all()
    inside = np.zeros(len(whole), dtype=bool)
    for start, end in moments:
        assert 0.12 <= end - start <= 0.4501
        inside[round(start * RATE) : round(end * RATE)] = True
    assert np.array_equal(found[~inside], whole[~inside])
    assert np.abs(found - whole)[inside].mean() > 0.3 * np.abs(whole)[inside].mean()


@pytest.mark.parametrize("kind", damage_waves.KINDS)
def test_damage_keeps_length_and_about_the_level(kind: damage_waves.Moment) -> None:
    whole = spoken_noise()
    part = whole[8_000:12_000].astype(np.float64)
    made = kind(part.copy(), whole, RATE, np.random.default_rng(0))
    assert made.shape == part.shape and not np.allclose(made, part)
    assert np.square(made).mean() == pytest.approx(np.square(part).mean(), rel=0.4)


def test_short_clips_and_shares_of_none_stay_whole() -> None:
    whole = spoken_noise(0.5)
    for damage in (WaveDamage(share=1.0), WaveDamage(share=0.0)):
        found, moments = damage(whole, RATE, np.random.default_rng(0))
        assert found is whole and not moments


def test_copies_say_where_they_are_damaged(tmp_path: Path) -> None:
    make(tmp_path / "tones", clips=8, speakers=1, frontend=Arpabet(), hold_out=0)
    perturbed.main([str(tmp_path / "tones/cuts.jsonl.gz"), str(tmp_path / "a"), "--damaged", "0.7"])
    cuts = list(load_cuts(tmp_path / "a/cuts.jsonl.gz"))
    told = [cut.supervisions[0].custom["damaged"] for cut in cuts]
    assert any(told) and not all(told)
    assert all(0 <= start < end <= cut.duration for cut, moments in zip(cuts, told, strict=True) for start, end in moments)
    with pytest.raises(FmAudioError, match="--damaged 1.5: give a share of 0 to 1"):
        perturbed.main([str(tmp_path / "tones/cuts.jsonl.gz"), str(tmp_path / "b"), "--damaged", "1.5"])
    assert not (tmp_path / "b").exists()
