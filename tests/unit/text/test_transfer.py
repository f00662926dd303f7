"""Durations carried from a foreign phone alphabet: positive, the same sum, in order, unchanged where the alphabets agree."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.transfer import FRAME_SECONDS, settle_pauses, transfer, whole_frames
from fm_audio.types import FmAudioError

FRONTEND = Arpabet()
CLIPS = [
    ("You are the light of the world. A city on a hill.", "ju ɑɹ ðə lˈIt ʌvðə wˈɜɹld. ə sˈɪɾi ˌɔn ə hˈɪl."),
    ("The major term of a syllogism.", "ðə mˈAʤəɹ tˈɜɹm əvə sˈɪləʤˌɪzəm."),
    ("This dough does not work easily.", "ðɪs dˈQ dʌznˌɒt wˈɜːk ˈiːzili."),
    ("They will read what I have read", "ðA wɪl ɹˈid wʌt I hæv ɹˈɛd"),
]


def spoken(phones: str, seed: int) -> list[float]:
    return [0.025 * d for d in np.random.default_rng(seed).integers(1, 6, len(phones) + 2).tolist()]


@pytest.mark.parametrize(("text", "phones"), CLIPS)
@pytest.mark.parametrize("seed", [0, 1])
def test_positive_and_the_same_sum(text: str, phones: str, seed: int) -> None:
    seconds = spoken(phones, seed)
    out = transfer(FRONTEND, text, phones, seconds)
    assert len(out.seconds) == len(out.cost) == len(out.encoded)
    assert min(out.seconds) >= FRAME_SECONDS - 1e-9
    assert sum(out.seconds) == pytest.approx(sum(seconds), abs=1e-9)
    assert out.mean_cost < 0.15


def test_same_alphabet_same_durations() -> None:
    """`sˈɪt ən ˈɪt.`: every symbol has one unit, so nothing may move; a stress mark's time goes to the vowel after it."""
    phones, seconds = "sɪt ɪn bɛd.", [0.3, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.11, 0.12, 0.13, 0.14, 0.4, 0.2]
    out = transfer(FRONTEND, "Sit in bed.", phones, seconds, lead_seconds=0)
    assert out.encoded.symbols == ["^", "S", "IH1", "T", " ", "IH0", "N", " ", "B", "EH1", "D", ".", "^"]
    assert out.seconds == pytest.approx(seconds) and out.mean_cost == 0
    stressed = transfer(FRONTEND, "Sit in bed.", "sˈɪt ɪn bɛd.", [*seconds[:2], 0.03, 0.06, *seconds[3:]], lead_seconds=0)
    assert stressed.seconds == pytest.approx(seconds)


def test_lead_moves_time_from_the_first_edge_to_the_last() -> None:
    phones = "sɪt ɪn bɛd."
    seconds = [0.2] * (len(phones) + 2)
    still = transfer(FRONTEND, "Sit in bed.", phones, seconds, lead_seconds=0)
    led = transfer(FRONTEND, "Sit in bed.", phones, seconds, lead_seconds=0.05)
    assert led.seconds[0] == pytest.approx(still.seconds[0] - 0.05) and led.seconds[-1] == pytest.approx(still.seconds[-1] + 0.05)
    assert led.seconds[1:-1] == pytest.approx(still.seconds[1:-1])


def test_borders_stay_in_order_with_the_sounds() -> None:
    """A unit that alone lasts long makes its own symbol long: position i of the phones carries to the same sound."""
    for k, symbol in ((0, "S"), (4, "IH0"), (7, "B"), (10, ".")):
        seconds = [0.05] * 13
        seconds[k + 1] = 1.0
        out = transfer(FRONTEND, "Sit in bed.", "sɪt ɪn bɛd.", seconds, lead_seconds=0)
        assert out.encoded.symbols[int(np.argmax(out.seconds))] == symbol


def test_the_pronunciation_heard_is_chosen() -> None:
    heard = {}
    for phones in ("ðA ɹˈid", "ðA ɹˈɛd"):
        out = transfer(FRONTEND, "they read", phones, [0.1] * (len(phones) + 2))
        heard[phones[-2]] = " ".join(out.encoded.symbols[-4:-1])
    assert heard == {"i": "R IY1 D", "ɛ": "R EH1 D"}


def test_wrong_words_cost_more() -> None:
    phones = CLIPS[0][1]
    right = transfer(FRONTEND, CLIPS[0][0], phones, spoken(phones, 0)).mean_cost
    wrong = transfer(FRONTEND, "Completely different words were spoken in this clip.", phones, spoken(phones, 0)).mean_cost
    assert wrong > 5 * right


def test_whole_frames_are_positive_and_sum() -> None:
    draw = random.Random(0)
    for _ in range(100):
        seconds = [draw.random() ** 4 + 1e-4 for _ in range(draw.randint(1, 40))]
        frames = draw.randint(len(seconds), 400)
        out = whole_frames(seconds, frames)
        assert sum(out) == frames and min(out) >= 1
    exact = [3, 1, 5, 2]
    assert whole_frames([n * FRAME_SECONDS for n in exact], sum(exact)) == exact


def test_pauses_begin_where_the_sound_ends() -> None:
    rate = 24_000
    wave = np.zeros(2 * rate)
    wave[rate // 5 : rate] = np.sin(np.arange(rate - rate // 5) * 0.1)  # sounds from 0.2 s to 1.0 s
    symbols, seconds = ["^", "S", "AO1", ".", "^"], [0.2, 0.3, 1.2, 0.2, 0.1]
    out = settle_pauses(symbols, seconds, wave, rate)
    assert out[2] == pytest.approx(0.5, abs=0.02) and out[3] == pytest.approx(0.9, abs=0.02)
    assert sum(out) == pytest.approx(2.0) and min(out) > 0
    assert out[:2] == seconds[:2] and out[4] == seconds[4]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(FmAudioError, match="one a phone"):
        transfer(FRONTEND, "sit", "sɪt", [0.1] * 4)
    with pytest.raises(FmAudioError, match="do not fit"):
        transfer(FRONTEND, "sit in bed", "sɪt", [0.01] * 5)
    with pytest.raises(FmAudioError, match="do not fit"):
        whole_frames([1.0, 1.0, 1.0], 2)
