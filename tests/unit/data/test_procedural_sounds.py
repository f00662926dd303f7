"""Sounds made by rule do what their captions say, and pairs that are held out are nowhere in training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.procedural_sounds import RATE, clip, main
from data_prep.sound_sources import HEIGHTS, NUMBERS, SOURCES
from fm_audio.data.cuts import load_cuts
from fm_audio.types import FmAudioError


def drawn(kind: str, wanted: str, seconds: float = 3.0) -> np.ndarray:
    """The wave of the first draw whose caption has those words."""
    for seed in range(200):
        caption, wave = SOURCES[kind](np.random.default_rng(seed), seconds, RATE)
        if wanted in caption:
            return wave / np.abs(wave).max()
    raise AssertionError(f"{kind} never says {wanted}")


def strongest_hz(wave: np.ndarray) -> float:
    return float(np.fft.rfftfreq(len(wave), 1 / RATE)[np.abs(np.fft.rfft(wave)).argmax()])


def onsets(wave: np.ndarray) -> int:
    """How often the level rises from near nothing, in windows of 20 ms."""
    n = RATE // 50
    loud = np.sqrt((wave[: len(wave) // n * n].reshape(-1, n) ** 2).mean(1)) > 0.02
    return int((np.diff(np.concatenate([[0], loud.astype(int)])) == 1).sum())


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_gives_a_caption_and_a_sound(kind: str) -> None:
    for seconds in (1.0, 4.3):
        caption, wave = SOURCES[kind](np.random.default_rng(1), seconds, RATE)
        assert len(wave) == round(seconds * RATE) and np.isfinite(wave).all() and np.abs(wave).max() > 1e-3
        assert caption == caption.lower() and caption.replace(" ", "").isalpha()


@pytest.mark.parametrize("height", HEIGHTS)
def test_heights_are_true(height: str) -> None:
    low, high = HEIGHTS[height]
    assert low * 0.98 <= strongest_hz(drawn("tone", height)) <= high * 1.02
    assert low * 0.95 <= strongest_hz(drawn("beeps", height)) <= high * 1.05


@pytest.mark.parametrize("n", range(1, 6))
def test_numbers_are_true(n: int) -> None:
    for kind in ("beeps", "knocks"):
        assert onsets(drawn(kind, f"{NUMBERS[n - 1]} ")) == n, kind


def test_rising_and_fast_are_true() -> None:
    for words, up in (("rising", True), ("falling", False)):
        wave = drawn("sweep", words)
        assert (strongest_hz(wave[: RATE // 2]) < strongest_hz(wave[-RATE // 2 :])) == up
    assert onsets(drawn("ticking", "fast")) > 2 * onsets(drawn("ticking", "slowly"))


def test_two_sounds_follow_or_overlap_as_the_caption_says() -> None:
    for seed in range(30):
        caption, wave, parts = clip(np.random.default_rng(seed), 1.0)
        assert len(parts) == 2 and parts[0]["kind"] != parts[1]["kind"] and np.abs(wave).max() <= 0.91
        follows = any(word in caption for word in (", then ", " followed by ", " and then "))
        assert parts[1]["start"] == (parts[0]["end"] if follows else 0.0)
        assert len(wave) / RATE == pytest.approx(max(p["end"] for p in parts), abs=2e-3)


def test_held_out_pairs_are_nowhere_in_training(tmp_path: Path) -> None:
    main([str(tmp_path / "a"), "--clips", "60", "--hold-out", "5", "--mixed", "0.8"])
    main([str(tmp_path / "b"), "--clips", "60", "--hold-out", "5", "--mixed", "0.8", "--jobs", "2"])
    for name in ("manifest.jsonl", "wavs/00007.wav"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "a/manifest.jsonl").read_text().splitlines()]
    trained, held = (list(load_cuts(str(tmp_path / f"a/{name}.jsonl.gz"))) for name in ("cuts", "validation"))
    assert {c.id for c in held} == {r["id"] for r in rows if r["held"]} and len(trained) + len(held) == 60

    def pairs(of_held: bool) -> set[tuple[str, ...]]:
        return {tuple(p["kind"] for p in r["parts"]) for r in rows if r["held"] == of_held and len(r["parts"]) == 2}

    never = {tuple(p["kind"] for p in r["parts"]) for i, r in enumerate(rows) if r["held"] and i % 5 and len(r["parts"]) == 2}
    assert never and not never & pairs(False)
    for wrong in (["--mixed", "2"], ["--jobs", "0"]):
        with pytest.raises(FmAudioError, match="a share from 0 to 1"):
            main([str(tmp_path / "c"), *wrong])
