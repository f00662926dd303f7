"""Joined clips say what their text says, and name what was said before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_prep import spliced
from data_prep.spliced import KINDS, Said, faded
from data_prep.synthetic import make
from fm_audio.data.cuts import load_cuts
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.types import FmAudioError
from fm_audio.voices import TimedWord

RATE = 1000


def clip(first: int, words: int) -> Said:
    """Every word lasts 0.2 s and holds its own number; 0.1 s of silence lies around each."""
    values, timed = [np.zeros(100)], []
    for i in range(words):
        timed.append(TimedWord(str(first + i), sum(map(len, values)) / RATE, sum(map(len, values)) / RATE + 0.2))
        values += [np.full(200, float(first + i)), np.zeros(100)]
    return Said(np.concatenate(values).astype(np.float32), RATE, tuple(timed))


def heard(pieces: list[np.ndarray]) -> list[str]:
    wave = np.concatenate(pieces)
    runs = np.flatnonzero(np.r_[True, np.diff(wave) != 0, True])
    return [str(int(wave[a])) for a, b in zip(runs, runs[1:], strict=False) for _ in range(round((b - a) / 200)) if wave[a]]


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(8))
def test_what_is_said_in_the_pieces_is_what_the_words_say(kind: spliced.Callable, seed: int) -> None:
    one, other = clip(1, 5), clip(11, 4)
    pieces, words = kind(one, other, np.random.default_rng(seed))
    assert heard(pieces) == words != one.texts
    assert heard([one.samples]) == one.texts


def test_joints_are_faded() -> None:
    wave = faded([np.ones(300, np.float32), np.zeros(0, np.float32), -np.ones(300, np.float32)], RATE, np.random.default_rng(0))
    assert 570 <= len(wave) < 600 and wave[0] == 1 and wave[-1] == -1 and np.abs(np.diff(wave)).max() < 2


def test_a_corpus_is_joined(tmp_path: Path) -> None:
    make(tmp_path / "tones", clips=4, speakers=1, frontend=Arpabet(), hold_out=0)
    source = tmp_path / "tones" / "cuts.jsonl.gz"
    spliced.main([str(source), str(tmp_path / "joined"), "--seed", "3"])
    whole = {cut.id: cut for cut in load_cuts(source)}
    made = list(load_cuts(tmp_path / "joined" / "cuts.jsonl.gz"))
    assert made
    for cut in made:
        [said] = cut.supervisions
        before = whole[cut.id.removesuffix(spliced.SUFFIX)].supervisions[0]
        assert said.text != said.custom["other_text"] and said.speaker == before.speaker
        front_end = Arpabet()
        written = [front_end.encode(text).words for text in (said.custom["other_text"], before.text)]
        assert [w for w, _, _ in written[0]] == [w for w, _, _ in written[1]]


def test_a_corpus_of_single_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="does not exist"):
        spliced.main([str(tmp_path / "none.jsonl.gz"), str(tmp_path / "out")])
