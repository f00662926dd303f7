"""Each fault does to a recording what its name says, the same with the same seed, and the figures count what was judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fm_audio
from fm_audio.audio import Audio, load_audio
from fm_audio.evaluation.clips import manifest_lines
from fm_audio.evaluation.doubt import KINDS
from fm_audio.evaluation.fault_set import Judged, judge_all, learned, load_recordings, rates, report, residual
from fm_audio.evaluation.faults import FAULTS, Recording, broken
from fm_audio.evaluation.metrics import proportion_interval
from fm_audio.evaluation.verify import Verdict, Verifier
from fm_audio.types import FmAudioError
from fm_audio.voices import TimedWord

RATE = 24_000
MANIFEST = Path(__file__).parents[2] / "data/kathleen/manifest.jsonl"


def tones(*hz: float) -> np.ndarray:
    """Half a second of each tone: words that can be told apart by counting."""
    t = np.arange(RATE // 2) / RATE
    return np.concatenate([0.2 * np.sin(2 * np.pi * f * t) for f in hz]).astype(np.float32)


def words(text: str) -> tuple[TimedWord, ...]:
    return tuple(TimedWord(w, 0.5 * i, 0.5 * (i + 1)) for i, w in enumerate(text.split()))


@pytest.fixture
def recording() -> Recording:
    text, other = "one two three four", "five six seven"
    audio, reference = Audio(tones(200, 300, 400, 500), RATE), Audio(tones(800, 900, 1000), RATE)
    return Recording(audio, text, words(text), reference, other, words(other))


def heard(audio: Audio) -> list[int]:
    """The tones of a recording in order, by the strongest frequency of each quarter of a second."""
    n = RATE // 4
    found: list[int] = []
    for start in range(0, len(audio.samples) - n + 1, n):
        piece = audio.samples[start : start + n]
        if np.abs(piece).max() > 0.05:
            found.append(round(np.abs(np.fft.rfft(piece * np.hanning(n))).argmax() * RATE / n / 100) * 100)
    return [f for i, f in enumerate(found) if i == 0 or f != found[i - 1]]


@pytest.mark.parametrize("seed", range(4))
def test_faults_do_what_they_say(recording: Recording, seed: int) -> None:
    whole = recording.seconds
    dropped, inserted, leaked = (broken(f, recording, seed) for f in ("drop", "insert", "leak"))
    assert dropped.seconds == pytest.approx(whole - 0.5, abs=0.02) and len(heard(dropped)) == 3
    assert inserted.seconds == pytest.approx(whole + 0.5, abs=0.03) and len(set(heard(inserted)) & {800, 900, 1000}) == 1
    assert heard(leaked)[-4:] == [200, 300, 400, 500] and heard(leaked)[0] >= 800
    assert broken("repeat", recording, seed).seconds > whole + 0.4
    assert broken("silence", recording, seed).seconds > whole + 1.4
    assert broken("seam", recording, seed).seconds < whole and broken("end_early", recording, seed).seconds < whole
    assert len(set(heard(broken("swap", recording, seed))) & {800, 900, 1000}) == 1
    assert np.abs(broken("clip", recording, seed).samples).max() == 1
    assert broken("garble", recording, seed).seconds == pytest.approx(whole, abs=0.03)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "drift"])
def test_the_same_seed_breaks_the_same(recording: Recording, fault: str) -> None:
    one, two = (broken(fault, recording, 3) for _ in range(2))
    assert np.array_equal(one.samples, two.samples) and not np.array_equal(one.samples, recording.audio.samples)


def test_a_drift_needs_librosa_and_changes_the_second_half(recording: Recording) -> None:
    pytest.importorskip("librosa")
    drifted = broken("drift", recording, 0)
    assert heard(drifted)[:2] == [200, 300] and not {400, 500} & set(heard(drifted))


@dataclass
class Perfect:
    """Hears the text of the recording that is as long as the sound, and nothing in any other sound."""

    texts: dict[int, str]
    settings: dict[str, Any] = field(default_factory=dict)

    def transcribe(self, audio: Audio) -> str:
        return self.texts.get(len(audio.samples), "")


def test_refusals_are_counted_for_each_fault() -> None:
    pytest.importorskip("librosa")
    lines = manifest_lines(MANIFEST)
    clips = [(load_audio(line.path, RATE), str(line.text)) for line in lines]
    timed = [tuple(TimedWord(w, 0.2 * i, 0.2 * (i + 1)) for i, w in enumerate(text.split())) for _, text in clips]
    recordings = [Recording(*clips[i], timed[i], *clips[1 - i], timed[1 - i]) for i in (0, 1)]
    judge = Perfect({len(audio.samples): text for audio, text in clips})
    judged = judge_all(recordings, Verifier(judge), None, each=2)
    assert sum(j.fault is None for j in judged) == 2 and {j.fault for j in judged if j.fault} == set(FAULTS)
    found = rates(judged)
    assert found["none"].value == 0 and found["drop"].value == 1 and found["silence"].value == 1
    assert len(report(judged, Verifier(judge))["clips"]) == len(judged) == 2 + 2 * len(FAULTS)


def test_what_is_left_after_redraws_agrees_with_drawing_them() -> None:
    draw = np.random.default_rng(0)
    detection, false_alarms, share, redraws = 0.8, 0.3, 0.4, 3
    handed_over_bad, n = 0, 20_000
    for _ in range(n):
        for _ in range(redraws + 1):
            bad = draw.random() < share
            if draw.random() >= (detection if bad else false_alarms):
                handed_over_bad += bad
                break
    assert residual(detection, false_alarms, share, redraws) == pytest.approx(handed_over_bad / n, abs=0.01)
    assert residual(1.0, 0.1, 0.5) == 0 and residual(0.0, 0.0, 0.1) == pytest.approx(0.1)


def test_evidence_is_learned_from_what_was_judged() -> None:
    draw = np.random.default_rng(1)

    def judged(i: int, fault: str | None) -> Judged:
        heard = "twice" if i % 2 else "weighed"  # the second judge was not asked about all
        names = (*KINDS[f"{heard}_known"], *KINDS[f"{heard}_shown"])
        evidence = {name: float(draw.normal()) for name in names} | {"distance": float(fault is not None) + draw.normal(0, 0.2)}
        return Judged(fault, Verdict(str(i), "", (), evidence=evidence), 1.0, 1.0)

    clips = [judged(i, fault) for i in range(60) for fault in (None, "drop")]
    doubts = learned([clips], 0.05)
    assert {kind: doubt.names for kind, doubt in doubts.items()} == KINDS
    for doubt in doubts.values():
        assert max(zip(doubt.weights, doubt.names, strict=True))[1] == "distance"
        asked = [c for c in clips if c.fault is None and set(doubt.names) <= set(c.verdict.evidence)]
        alarms = sum(doubt.log_odds(c.verdict.evidence) > doubt.limit for c in asked) / 60
        assert alarms <= 0.1


def test_halves_share_no_recording(tiny_voice: Path) -> None:
    voice = fm_audio.load(tiny_voice)
    with pytest.raises(FmAudioError, match="needs two lines or more in each half"):
        load_recordings(MANIFEST, voice, 60, "dev")


def test_a_proportion_keeps_its_doubt() -> None:
    none, half, all_ = (proportion_interval(k, 60) for k in (0, 30, 60))
    assert none.value == 0 and none.low == 0 and 0.04 < none.high < 0.08
    assert half.low + half.high == pytest.approx(1) and all_.low == pytest.approx(1 - none.high)
    assert proportion_interval(0, 600).high < none.high
    with pytest.raises(FmAudioError):
        proportion_interval(0, 0)
