"""Sentences for a teacher to say, chosen for what they make a voice practise: rare sequences of three phones come first.

Each next sentence is the best of 60 drawn at random, by  Σ 1 / (1 + times heard)  over its triples of symbols, for each symbol of
its length. A longer list begins with the shorter one, and a corpus can be widened by raising --count.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.prepare import run
from data_prep.taught import read_sentences
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.types import FmAudioError

EXAMPLE = """example: python -m data_prep.sentences sentences.txt --wordnet /usr/share/wordnet --exclude-texts held_out.txt
         split -n r/2 sentences.txt part.        (one list for each process that teaches)"""
DRAWN = 60
SYMBOLS_FREE = 8  # what a sentence costs besides its length: two silences and a pause
READABLE = re.compile(r"[A-Za-z][A-Za-z ,;:'\-?!.]*")
UNREADABLE = re.compile(r"[A-Z]{2}|--|- - ")
SHARED_WORDS = 4


def wordnet_examples(folder: Path) -> Iterator[str]:
    """The example phrases of WordNet's glosses, as written: data.adj, data.adv, data.noun, data.verb of FOLDER."""
    for part in ("adj", "adv", "noun", "verb"):
        path = folder / f"data.{part}"
        if not path.is_file():
            raise FmAudioError(f"{path}: not there; give the folder of WordNet's data files (Debian: wordnet-base)")
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from re.findall(r'"([^"]+)"', line.partition("|")[2])


def bare(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def runs_of_words(text: str) -> set[str]:
    words = bare(text).split()
    return {" ".join(words[i : i + SHARED_WORDS]) for i in range(max(1, len(words) - SHARED_WORDS + 1))}


def candidates(
    texts: Iterator[str], known: Sequence[str], held_out: Sequence[str], fewest_words: int = 4, most_words: int = 16
) -> list[str]:
    """Each once, as a sentence; none of `known`, and none that shares four words in a row with one held out."""
    seen = {bare(t) for t in known}
    banned = set().union(*map(runs_of_words, held_out)) if held_out else set()
    kept = []
    for text in map(str.strip, texts):
        if not fewest_words <= len(text.split()) <= most_words or not READABLE.fullmatch(text) or UNREADABLE.search(text):
            continue
        plain = bare(text)
        if plain in seen or any(b in plain for b in banned):
            continue
        seen.add(plain)
        kept.append(text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else "."))
    return kept


def choose(sentences: Sequence[str], count: int, seed: int = 1) -> list[str]:
    """`count` of them, or all, the most instructive first; those without a readable word are passed over."""
    frontend, rng = Arpabet(), random.Random(seed)
    shuffled = list(sentences)
    rng.shuffle(shuffled)
    readable, triples, lengths = [], [], []
    for text in shuffled:
        try:
            ids = frontend.encode(text).ids
        except FmAudioError:
            continue
        readable.append(text)
        triples.append(set(zip(ids, ids[1:], ids[2:], strict=False)))
        lengths.append(len(ids) + SYMBOLS_FREE)
    heard: Counter[tuple[int, ...]] = Counter()
    left = list(range(len(readable)))
    chosen: list[str] = []
    while left and len(chosen) < count:
        drawn = rng.sample(left, min(DRAWN, len(left)))
        best = max(drawn, key=lambda i: sum(1 / (1 + heard[t]) for t in triples[i]) / lengths[i])
        chosen.append(readable[best])
        left.remove(best)
        heard.update(triples[best])
    return chosen


def texts_of(path: Path) -> list[str]:
    """Lines of a text file, or the texts of a manifest (.jsonl)."""
    lines = read_sentences(path)
    if path.suffix != ".jsonl":
        return lines
    try:
        return [json.loads(line)["text"] for line in lines]
    except (json.JSONDecodeError, KeyError, TypeError) as e:
        raise FmAudioError(f"{path}: not a manifest with a text on each line ({e})") from e


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.sentences",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="one sentence a line")
    parser.add_argument("--wordnet", type=Path, metavar="FOLDER", help="with data.noun and its kin")
    parser.add_argument("--texts", type=Path, action="append", default=[], metavar="FILE", help="one sentence a line; repeatable")
    parser.add_argument("--known", type=Path, action="append", default=[], metavar="FILE", help="texts or manifest said already")
    parser.add_argument("--exclude-texts", type=Path, action="append", default=[], metavar="FILE", help="held out; repeatable")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    if args.wordnet is None and not args.texts:
        raise FmAudioError("no texts; give --wordnet FOLDER or --texts FILE")
    if args.count < 1:
        raise FmAudioError(f"--count {args.count}: choose at least 1 sentence")
    found = [t for path in args.texts for t in texts_of(path)]
    found += wordnet_examples(args.wordnet) if args.wordnet else ()
    known = [t for path in args.known for t in texts_of(path)]
    held_out = [t for path in args.exclude_texts for t in texts_of(path)]
    chosen = choose(candidates(iter(found), known, held_out), args.count, args.seed)
    if not chosen:
        raise FmAudioError(f"none of {len(found)} texts is a sentence of 4 to 16 readable words that is not known or held out")
    part = args.out.with_name(args.out.name + ".part")
    part.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    part.replace(args.out)
    print(f"{args.out}: {len(chosen)} of {len(found)} texts chosen")


if __name__ == "__main__":
    run(main)
