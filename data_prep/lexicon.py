"""CMUdict as the package ships it: `python -m data_prep.lexicon CMUDICT_DICT OUT`.

CMUDICT_DICT is `cmudict.dict` of https://github.com/cmusphinx/cmudict. OUT gets `cmudict.txt.gz` (one word a line, a tab, its
pronunciations separated by `|`). Which letters stand for which phones is found by Viterbi training.
"""

from __future__ import annotations

import argparse
import gzip
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

Pairs = list[tuple[str, tuple[str, ...]]]
Graphones = list[tuple[str, str]]  # (letter, its phones with spaces between)
MAX_PHONES = 3  # a letter's; x and u want two, acronyms three
CHUNK_COST = (1.5, 0.0, 2.0, 6.0)  # first guess before anything is counted: one phone a letter


def read_cmudict(path: Path) -> dict[str, list[str]]:
    """word -> pronunciations in the file's order; comments and stray entries without a letter are left out."""
    words: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry, _, phones = line.split("#")[0].strip().partition(" ")
        word = re.sub(r"\(\d+\)$", "", entry)
        if re.search("[a-z]", word) and phones not in words.setdefault(word, []):
            words[word].append(phones)
    return words


def first_costs(pairs: Pairs) -> dict[str, dict[str, float]]:
    """-log P(phone | letter) from which phones stand in words with which letters, near the same relative place."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for word, phones in pairs:
        for i, letter in enumerate(word):
            for j, phone in enumerate(phones):
                seen[letter][phone] += max(0.0, 1 - 2 * abs(i / len(word) - j / len(phones)))  # type: ignore[assignment]
    return {a: {p: -math.log(n / sum(c.values())) for p, n in c.items() if n} for a, c in seen.items()}


def align(word: str, phones: tuple[str, ...], costs: dict[str, dict[str, float]], guess: bool) -> Graphones | None:
    """The cheapest way to deal the phones out to the letters in order; None when there is none."""
    n, m = len(word), len(phones)
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for i, letter in enumerate(word):
        row: dict[int, tuple[float, int]] = {}
        known = costs.get(letter, {})
        for j, (cost, _) in best[i].items():
            for size in range(min(MAX_PHONES, m - j) + 1):
                if m - j - size > MAX_PHONES * (n - i - 1):
                    continue
                chunk = phones[j : j + size]
                if guess:
                    step = CHUNK_COST[size] + sum(known.get(p, 12.0) for p in chunk)
                else:
                    step = known.get(" ".join(chunk), 14.0 + size)
                if j + size not in row or cost + step < row[j + size][0]:
                    row[j + size] = (cost + step, size)
        best.append(row)
    if m not in best[n]:
        return None
    graphones, j = [], m
    for i in range(n, 0, -1):
        size = best[i][j][1]
        graphones.append((word[i - 1], " ".join(phones[j - size : j])))
        j -= size
    return graphones[::-1]


def costs_of(pairs: Pairs, rounds: int = 4) -> dict[str, dict[str, float]]:
    """-log P(phones | letter) by Viterbi training: align, count, align with the counts."""
    sample = pairs[:: max(1, len(pairs) // 30_000)]
    costs, guess = first_costs(sample), True
    for _ in range(rounds):
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for word, phones in sample:
            for letter, chunk in align(word, phones, costs, guess) or []:
                counts[letter][chunk] += 1
        costs = {a: {c: -math.log(n / sum(k.values())) for c, n in k.items()} for a, k in counts.items()}
        guess = False
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cmudict", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    words = read_cmudict(args.cmudict)
    text = "".join(f"{word}\t{'|'.join(phones)}\n" for word, phones in sorted(words.items()))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "cmudict.txt.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(words)} words")


if __name__ == "__main__":
    main()
