"""Music from a sound font: what a caption says of tempo, direction and instrument is what the MIDI file plays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.gm_sounds import EFFECTS, FONT, INSTRUMENTS, RATE, TEMPI, TICKS, main, midi, piece, play
from fm_audio.data.cuts import load_cuts
from fm_audio.types import FmAudioError


def test_captions_are_true() -> None:
    seen = set()
    for seed in range(300):
        caption, who, program, notes = piece(np.random.default_rng(seed))
        pitches, starts = [n.pitch for n in notes], np.array([n.start for n in notes])
        assert all(0 <= p < 128 for p in pitches) and all(n.end > n.start for n in notes)
        if who == "effect":
            assert EFFECTS[caption] == program
            continue
        assert caption.endswith(f" on {who}") and INSTRUMENTS[who] == program
        caption = caption.removesuffix(f" on {who}").removeprefix("a ")
        seen.add(caption)
        if "rising" in caption or "falling" in caption:
            assert pitches == sorted(pitches, reverse="falling" in caption) and len(set(pitches)) == len(pitches)
        assert ("repeated" in caption) == (len(set(pitches)) == 1)
        assert ("chord" in caption) == (len(set(starts.tolist())) == 1)
        if "chord" not in caption:
            low, high = TEMPI["fast" if "fast" in caption else "slow"]
            assert low <= np.diff(starts).mean() <= high
    chords, runs = ("major chord", "minor chord"), ("rising scale", "falling scale", "repeated notes", "melody")
    assert seen == {*chords, *(f"{tempo} {run}" for tempo in TEMPI for run in runs)}


def test_a_midi_file_holds_the_notes() -> None:
    pytest.importorskip("mido")
    _, _, program, notes = piece(np.random.default_rng(3))
    made = midi(program, notes)
    events = [m for m in made.tracks[0] if m.type.startswith("note")]
    assert next(m for m in made.tracks[0] if m.type == "program_change").program == program
    assert sorted(m.note for m in events if m.type == "note_on") == sorted(n.pitch for n in notes)
    assert sum(m.time for m in events) == pytest.approx(max(n.end for n in notes) * TICKS, abs=1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="is not there; install both|fluidsynth is not installed; install both"):
        play(None, tmp_path / "none.sf2", 1.0)
    with pytest.raises(FmAudioError, match="give 1 or more"):
        main([str(tmp_path), "--clips", "0"])


@pytest.mark.skipif(shutil.which("fluidsynth") is None or not FONT.is_file(), reason="needs fluidsynth and its General MIDI font")
def test_a_font_plays(tmp_path: Path) -> None:
    pytest.importorskip("mido")
    main([str(tmp_path), "--clips", "6", "--hold-out", "0"])
    cuts = list(load_cuts(str(tmp_path / "cuts.jsonl.gz")))
    assert len(cuts) == 6 and all(c.sampling_rate == RATE and c.duration > 1.5 for c in cuts)
    assert all(np.abs(c.load_audio()).max() > 0.02 for c in cuts)
