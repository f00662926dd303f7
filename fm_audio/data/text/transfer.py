"""Durations heard in a foreign phone alphabet (misaki's, as Kokoro speaks it), carried onto our own symbols.

Needleman-Wunsch (1970) between ARPAbet symbols and misaki units with a substitution cost by phonetic class; time that belongs to
no symbol goes to a matched neighbour, symbols that nobody heard borrow one mel frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fm_audio.data.text.arpabet import Arpabet, stressless
from fm_audio.data.text.frontend import COMMON_SYMBOLS, EDGE, PUNCTUATION, SPACE, Encoded, Word
from fm_audio.types import FmAudioError

FRAME_SECONDS = 256 / 24_000
KOKORO_LEAD_SECONDS = 0.05  # its sounds stand so much earlier than its durations say (measured: 48 ± 10 ms)
_LEAST_PHONE_SECONDS = 4 * FRAME_SECONDS
_SKIP = 1.0  # a symbol nobody heard, or a unit we do not write
_STRESS = "ˈˌ"

# ARPAbet without stress -> misaki units that are the same sound, then units that often stand for it
_SAME: dict[str, tuple[str, str]] = {
    "AA": ("ɑ", "ɒɔa"), "AE": ("æa", "ɑəɛ"), "AH": ("ʌəᵊ", "ɐɪᵻʊɛɒɑæaɚɜ"), "AO": ("ɔ", "ɒɑO"), "AW": ("W", "aæ"),
    "AY": ("I", "aɪ"), "EH": ("ɛe", "əɪᵻAæ"), "ER": ("ɜɚə", "ɹʌɔɛ"), "EY": ("A", "eɛ"), "IH": ("ɪᵻ", "iəɛ"),
    "IY": ("i", "ɪᵻ"), "OW": ("OQo", "əɔ"), "OY": ("Y", "ɔ"), "UH": ("ʊ", "uəɔ"), "UW": ("u", "ʊə"),
    "B": ("b", "p"), "CH": ("ʧ", "tʃ"), "D": ("d", "ɾtʤ"), "DH": ("ð", "θd"), "F": ("f", "v"), "G": ("ɡg", "k"), "HH": ("h", ""),
    "JH": ("ʤ", "ʒdʧ"), "K": ("k", "ɡx"), "L": ("l", "ɫ"), "M": ("m", "n"), "N": ("n", "ŋm"), "NG": ("ŋ", "n"), "P": ("p", "b"),
    "R": ("ɹr", "ɾɜɚ"), "S": ("s", "zʃ"), "SH": ("ʃ", "ʒsʧ"), "T": ("tɾTʔ", "dʧ"), "TH": ("θ", "ðt"), "V": ("v", "f"),
    "W": ("w", "ʍ"), "Y": ("j", "i"), "Z": ("z", "sʒ"), "ZH": ("ʒ", "ʤʃ"),
}  # fmt: skip
_VOWELS = frozenset(p for p in _SAME if p[0] in "AEIOU")
_FOREIGN_VOWELS = frozenset("ɑɒɔaæʌəᵊɐɜɚIWYAOQoɛeɪᵻiʊu")
_FOREIGN_MARKS = {"—": "-", "…": ".", "“": ",", "”": ",", "(": ",", ")": ",", '"': ","} | {m: m for m in PUNCTUATION}


@dataclass(frozen=True)
class Transfer:
    """An encoding and, for each of its symbols, the seconds it lasts and what matching it cost (0 = same sound, 1 = missed)."""

    encoded: Encoded
    seconds: list[float]
    cost: list[float]

    @property
    def mean_cost(self) -> float:
        return sum(self.cost) / len(self.cost)


def transfer(
    frontend: Arpabet,
    text: str,
    phones: str | Sequence[str],
    seconds: Sequence[float],
    lead_seconds: float = KOKORO_LEAD_SECONDS,
) -> Transfer:
    """Encode `text` as it was said: of a word's pronunciations the one nearest to `phones`, with the time they took.

    phones: n misaki units; seconds: n + 2 durations ≥ 0, the first and the last for the silent ends; lead_seconds: what every
    border moves forward, from the first edge to the last. The result is strictly positive and sums to the sum of `seconds`.
    Raises `FmAudioError` when the lengths disagree or there is not a frame a symbol.
    """
    if len(seconds) != len(phones) + 2:
        raise FmAudioError(f"durations: {len(seconds)} for {len(phones)} phones; there must be one a phone and one at each end")
    lead = min(lead_seconds, seconds[0])
    units, unit_seconds = _units(phones, [seconds[0] - lead, *seconds[1:-1], seconds[-1] + lead])
    tokens = frontend.tokens(text)
    encoded = frontend.assemble(tokens)
    match, cost = _align(encoded.symbols, units)
    words = [t for t in tokens if isinstance(t, Word)]
    chosen = [_nearest(w, units, match[a:b]) for w, (_, a, b) in zip(words, encoded.words, strict=True)]
    if any(chosen):
        encoded = frontend.assemble(tokens, chosen)
        match, cost = _align(encoded.symbols, units)
    return Transfer(encoded, _spend(encoded.symbols, units, unit_seconds, match), cost)


def whole_frames(seconds: Sequence[float], frames: int) -> list[int]:
    """Durations as whole frames ≥ 1 that sum to `frames`; borders are rounded, so errors do not add up."""
    if frames < len(seconds):
        raise FmAudioError(f"durations: {len(seconds)} symbols do not fit into {frames} frames; drop the clip")
    borders = np.floor(np.cumsum(seconds) * (frames / sum(seconds)) + 0.5)
    lengths = np.diff(borders, prepend=0.0)
    return [int(x) for x in _at_least(lengths, 1.0)]


def settle_pauses(symbols: Sequence[str], seconds: Sequence[float], samples: np.ndarray, sample_rate: int) -> list[float]:
    """Put the border between a phrase's last phone and the mark (or edge) after it where the sound ends. The sum stays.

    Kokoro's durations count most of a pause to the phone before the punctuation. The sound ends where the level first stays
    38 dB below the clip's loud parts for 60 ms (breath is pause). samples (s,) of the clip; the result stays positive.
    """
    out = list(seconds)
    ends = np.cumsum(seconds)
    loud = _loud(samples, sample_rate)
    for i in range(1, len(symbols)):
        if symbols[i] not in PUNCTUATION and symbols[i] != EDGE or symbols[i - 1] in COMMON_SYMBOLS:
            continue
        both = out[i - 1] + out[i]
        start = ends[i] - both
        sounding = _sounding_seconds(loud[round(start * 100) : round(ends[i] * 100)])
        out[i - 1] = min(max(sounding, _LEAST_PHONE_SECONDS), max(both - FRAME_SECONDS, both / 2))
        out[i] = both - out[i - 1]
    return out


def _loud(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """For each 10 ms whether it is within 38 dB of the clip's 95th percentile."""
    hop = sample_rate // 100
    n = len(samples) // hop
    power = (samples[: n * hop].reshape(n, hop).astype(np.float64) ** 2).mean(1)
    return power > np.quantile(power, 0.95) * 10**-3.8


def _sounding_seconds(loud: np.ndarray) -> float:
    """Where the first 60 ms without sound begin."""
    quiet = 0
    for k, sounds in enumerate(loud):
        quiet = 0 if sounds else quiet + 1
        if quiet == 6:
            return (k - 5) * 0.01
    return (len(loud) - quiet) * 0.01


def _units(phones: Sequence[str], seconds: Sequence[float]) -> tuple[list[str], list[float]]:
    """Foreign units with edges; stress marks give their time to the next unit, length marks to the one before."""
    units, out, carried = [EDGE], [float(seconds[0])], 0.0
    for unit, time in zip(phones, seconds[1:-1], strict=True):
        if unit in _STRESS:
            carried += time
        elif unit == "ː" and units[-1] not in (SPACE, EDGE):
            out[-1] += time
        else:
            units.append(_FOREIGN_MARKS.get(unit, unit))
            out.append(float(time) + carried)
            carried = 0.0
    return [*units, EDGE], [*out, float(seconds[-1]) + carried]


@lru_cache(maxsize=100_000)
def _substitution(symbol: str, unit: str) -> float:
    """0 for the same sound, 2 or more for what must never be matched."""
    if symbol == unit and symbol in COMMON_SYMBOLS:
        return 0.0
    if symbol == EDGE or unit == EDGE:
        return 50.0
    if symbol in COMMON_SYMBOLS or unit in COMMON_SYMBOLS:
        return 0.3 if symbol in PUNCTUATION and unit in PUNCTUATION else 3.0
    phone = stressless(symbol)
    same, near = _SAME[phone]
    if unit in same:
        return 0.0
    if unit in near:
        return 0.4
    vowel, foreign_vowel = phone in _VOWELS, unit in _FOREIGN_VOWELS
    return 0.8 if vowel and foreign_vowel else 1.2 if vowel == foreign_vowel else 1.9


@lru_cache(maxsize=100_000)
def _insertion(symbol: str, unit: str) -> float:
    """Cost of a foreign unit that we do not write, standing after `symbol`."""
    phone = stressless(symbol)
    if phone == "ER" and unit in "ɹrə":
        return 0.0
    if unit in "əᵊ" and (phone in _VOWELS or phone == "R"):
        return 0.3
    if unit in "ɹr" and (phone in _VOWELS or phone == "R"):
        return 0.3
    return 0.5 if unit in COMMON_SYMBOLS else _SKIP


def _deletion(symbol: str) -> float:
    """Cost of a symbol of ours that nobody heard."""
    if symbol == EDGE:
        return 50.0
    if symbol in COMMON_SYMBOLS:
        return 0.5
    return {"R": 0.4, "AH0": 0.4, "HH": 0.7, "Y": 0.7}.get(symbol, _SKIP)


def _align(symbols: Sequence[str], units: Sequence[str]) -> tuple[list[int], list[float]]:
    """For each symbol the index of its unit, or -1, and the cost of the match or of the miss.

    Rows are symbols. Insertions within a row are a running minimum of (cost − cumulated insertion cost).
    """
    kinds = {u: k for k, u in enumerate(dict.fromkeys(units))}
    columns = np.array([kinds[u] for u in units])
    rows = {s: _row(s, tuple(kinds)) for s in dict.fromkeys(symbols)}
    n, m = len(symbols), len(units)
    total = np.full((n + 1, m + 1), 1e9)
    total[0, 0] = 0.0
    subs, cums = [], []
    for i, symbol in enumerate(symbols, 1):
        sub, ins = (x[columns] for x in rows[symbol])
        cum = np.concatenate([[0.0], np.cumsum(ins)])
        best = total[i - 1] + _deletion(symbol)
        np.minimum(best[1:], total[i - 1, :-1] + sub, out=best[1:])
        total[i] = np.minimum.accumulate(best - cum) + cum
        subs.append(sub)
        cums.append(cum)
    return _trace(symbols, total, subs, cums)


def _row(symbol: str, units: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([_substitution(symbol, u) for u in units]), np.array([_insertion(symbol, u) for u in units])


def _trace(
    symbols: Sequence[str], total: np.ndarray, subs: list[np.ndarray], cums: list[np.ndarray]
) -> tuple[list[int], list[float]]:
    match, cost = [-1] * len(symbols), [0.0] * len(symbols)
    i, j = len(symbols), total.shape[1] - 1
    while i > 0:
        here, sub, cum = total[i, j], subs[i - 1], cums[i - 1]
        if j > 0 and abs(total[i - 1, j - 1] + sub[j - 1] - here) < 1e-6:
            match[i - 1], cost[i - 1] = j - 1, float(sub[j - 1])
            i, j = i - 1, j - 1
        elif abs(total[i - 1, j] + _deletion(symbols[i - 1]) - here) < 1e-6:
            cost[i - 1] = _deletion(symbols[i - 1])
            i -= 1
        else:
            j -= 1
            cost[i - 1] += float(cum[j + 1] - cum[j])
    return match, cost


def _nearest(word: Word, units: Sequence[str], match: Sequence[int]) -> int:
    """Which of the word's pronunciations is nearest to the units it was matched with."""
    heard = [j for j in match if j >= 0]
    if len(word.options) == 1 or not heard:
        return 0
    window = [EDGE, *units[heard[0] : heard[-1] + 1], EDGE]
    costs = [sum(_align([EDGE, *option, EDGE], window)[1]) for option in word.options]
    return min(range(len(costs)), key=lambda k: (round(costs[k], 6), k))


def _spend(symbols: Sequence[str], units: Sequence[str], unit_seconds: Sequence[float], match: Sequence[int]) -> list[float]:
    """Seconds of each symbol: its own unit's, unmatched neighbours', and at least one frame."""
    owner = {j: i for i, j in enumerate(match) if j >= 0}
    seconds = np.zeros(len(symbols))
    left = 0
    for j, time in enumerate(unit_seconds):
        if j in owner:
            left = owner[j]
            seconds[left] += time
            continue
        right = next(owner[k] for k in range(j, len(units)) if k in owner)
        sounds = units[j] not in COMMON_SYMBOLS
        seconds[right if sounds and symbols[left] in COMMON_SYMBOLS else left] += time
    return [float(x) for x in _at_least(seconds, FRAME_SECONDS)]


def _at_least(values: np.ndarray, least: float) -> np.ndarray:
    """Raise every value to `least`, borrowing from the nearest neighbours that have more. The sum stays."""
    if values.sum() < least * len(values) - 1e-9:
        raise FmAudioError(f"durations: {len(values)} symbols do not fit into {values.sum():.2f} s; drop the clip")
    out = values.astype(np.float64)
    for i in np.nonzero(out < least)[0]:
        for distance in range(1, len(out)):
            for k in sorted((x for x in (i - distance, i + distance) if 0 <= x < len(out)), key=lambda x: -out[x]):
                given = min(least - out[i], max(0.0, out[k] - least))
                out[k] -= given
                out[i] += given
            if out[i] >= least - 1e-12:
                break
    return out
