"""Short English phrases, to learn to write freely: python -m data_prep.phrases WORDNET OUT

The example phrases of WordNet's glosses in lower case, letters, spaces and apostrophes only, one a line and no source. A phrase
falls to train, validation or test (90, 5, 5 %) by a hash of its two longest words, so that near copies of one stay together.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from data_prep.prepare import run
from data_prep.sentences import wordnet_examples
from data_prep.splits import add_out, write_splits
from fm_audio.data.text.pairs import Pair

EXAMPLE = "example: python -m data_prep.phrases /usr/share/wordnet data/phrases --max-letters 48"
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz' ")
MARKS = str.maketrans("", "", '.,;:!?"')


def phrases(texts: Iterable[str], fewest_words: int, max_letters: int, left_out: Counter[str]) -> Iterator[tuple[str, Pair]]:
    """(key, phrase) of what fits, each phrase once; what does not is counted in `left_out`."""
    seen: set[str] = set()
    for text in texts:
        plain = " ".join(text.translate(MARKS).replace("-", " ").lower().split())
        if set(plain) - LETTERS:
            left_out["phrases with digits or other signs"] += 1
        elif len(plain.split()) < fewest_words:
            left_out[f"phrases of fewer than {fewest_words} words"] += 1
        elif len(plain) > max_letters:
            left_out[f"phrases of more than {max_letters} letters"] += 1
        elif plain in seen:
            left_out["phrases that came before"] += 1
        else:
            seen.add(plain)
            yield " ".join(sorted(sorted(set(plain.split()), key=lambda w: (-len(w), w))[:2])), Pair(None, plain)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.phrases", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wordnet", type=Path, metavar="WORDNET", help="folder with data.noun and its kin (Debian: wordnet-base)")
    add_out(parser)
    parser.add_argument("--fewest-words", type=int, default=2, help="shortest phrase (2)")
    parser.add_argument("--max-letters", type=int, default=48, help="longest phrase, spaces counted (48)")
    args = parser.parse_args(argv)
    left_out: Counter[str] = Counter()
    keyed = list(phrases(wordnet_examples(args.wordnet), args.fewest_words, args.max_letters, left_out))
    write_splits(args.out, keyed, +left_out, "WordNet 3.0 licence", split_by="crc32 of the two longest words")


if __name__ == "__main__":
    run(main)
