"""CMUdict and a letter-to-sound model, as the package ships them: `python -m data_prep.lexicon CMUDICT_DICT OUT`.

CMUDICT_DICT is `cmudict.dict` of https://github.com/cmusphinx/cmudict. OUT gets `cmudict.txt.gz` (one word a line, a tab, its
pronunciations separated by `|`) and `letters.bin.gz` (see fm_audio/data/text/letters.py). Letters and phones are aligned by
Viterbi training; `--held-out 0.01` only measures: it trains without every 100th word or so and prints the errors on those.
"""

from __future__ import annotations

import argparse
import gzip
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from fm_audio.data.text.letters import LetterModel, pack

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


def graphones_of(pairs: Pairs) -> list[Graphones]:
    """The pairs that can be aligned, each by its likeliest alignment."""
    costs = costs_of(pairs)
    return [g for word, phones in pairs if (g := align(word, phones, costs, False))]


def train(pairs: Pairs, order: int, least: int, rare: int) -> bytes:
    """pairs -> the packed model. `least`: n-grams of order ≥ 4 seen less often are pruned; `rare`: so are graphones."""
    aligned = graphones_of(pairs)
    usage = Counter(g for word in aligned for g in word)
    kept = sorted(g for g, n in usage.items() if n >= rare)
    tokens = [("<", ""), (">", ""), *kept]
    index = {g: k for k, g in enumerate(tokens)}
    sentences = [[0, *(index[g] for g in word), 1] for word in aligned if all(g in index for g in word)]
    print(f"{len(pairs)} pronunciations, {len(sentences)} used, {len(tokens)} graphones", flush=True)
    return pack(tokens, trie(kneser_ney(sentences, order), least), order)


def kneser_ney(sentences: Iterable[list[int]], order: int) -> dict[tuple[int, ...], int]:
    """Counts of the longest n-grams (and of those at a word's start); of the shorter ones, how many tokens stand before them."""
    counts: Counter[tuple[int, ...]] = Counter()
    for s in sentences:
        for end in range(1, len(s) + 1):
            begin = max(0, end - order)
            counts[tuple(s[begin:end])] += 1
    for n in range(order, 1, -1):
        longer = [g for g in counts if len(g) == n]
        for gram in longer:
            counts[gram[1:]] += 1
    return counts


def trie(counts: dict[tuple[int, ...], int], least: int) -> list[tuple[int, float, float, int]]:
    """Nodes breadth first: token, count, the children's whole count, how many children are kept."""
    totals: Counter[tuple[int, ...]] = Counter()
    for gram, n in counts.items():
        totals[gram[:-1]] += n
    wanted = {g for g, n in counts.items() if len(g) < 4 or n >= least}
    wanted |= {g[:k] for g in list(wanted) for k in range(1, len(g))}
    children: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for gram in wanted:
        children[gram[:-1]].append(gram[-1])
    level: list[tuple[int, ...]] = [()]
    nodes = []
    while level:
        for gram in level:
            kept = children.get(gram, [])
            nodes.append((gram[-1] if gram else 0, float(counts.get(gram, 0)), float(totals[gram]), len(kept)))
        level = [(*gram, token) for gram in level for token in sorted(children.get(gram, []))]
    return nodes


def errors(model: LetterModel, words: dict[str, list[str]]) -> tuple[float, float, float]:
    """Phone error with and without stress, and word error, each against the nearest of a word's pronunciations."""
    wrong = wrong_bare = length = missed = 0
    for word, options in words.items():
        said = model.pronounce(word)
        distance, size = min((_distance(said, o.split()), len(o.split())) for o in options)
        wrong, length, missed = wrong + distance, length + size, missed + (distance > 0)
        wrong_bare += min(_distance(_bare(said), _bare(o.split())) for o in options)
    return wrong / length, wrong_bare / length, missed / len(words)


def _bare(phones: Iterable[str]) -> list[str]:
    return [p.rstrip("012") for p in phones]


def _distance(a: Iterable[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(last + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cmudict", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", type=float, default=0.0, help="measure on this share of the words; writes nothing")
    parser.add_argument("--order", type=int, default=6)
    parser.add_argument("--least", type=int, default=2)
    parser.add_argument("--rare", type=int, default=5)
    args = parser.parse_args()
    words = read_cmudict(args.cmudict)
    plain = {w: p for w, p in words.items() if re.fullmatch("[a-z]{2,}", w)}
    held = {w for w in plain if zlib.crc32(w.encode()) % 10_000 < args.held_out * 10_000}
    pairs = [(w, tuple(p.split())) for w, options in plain.items() if w not in held for p in options]
    data = train(pairs, args.order, args.least, args.rare)
    print(f"letter-to-sound model: {len(data) / 1e6:.2f} MB", flush=True)
    if held:
        with_stress, without, missed = errors(LetterModel(data), {w: plain[w] for w in sorted(held)})
        print(f"{len(held)} words: phone error {with_stress:.1%}, without stress {without:.1%}, word error {missed:.1%}")
        return
    text = "".join(f"{word}\t{'|'.join(phones)}\n" for word, phones in sorted(words.items()))
    (args.out / "cmudict.txt.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (args.out / "letters.bin.gz").write_bytes(data)
    print(f"{len(words)} words")


if __name__ == "__main__":
    main()
