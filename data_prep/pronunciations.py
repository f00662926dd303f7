"""Words and their pronunciations from CMUdict, to train and judge spelling-to-sound: python -m data_prep.pronunciations OUT

A word's letters are the source, its phones with stress the target. Of several pronunciations the first is the target; all stand
in the file as right answers. Words fall to train, validation and test (90, 5, 5 %) by a hash of the word (`data_prep.splits`).

With --in-place, the targets of training and validation hold what is dealt to each letter (`F _ IH1 K+S`, `vocabulary.Dealt`), by
an alignment that is learned from training words; test.tsv stays in phones.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from data_prep.lexicon import align, costs_of, read_cmudict
from data_prep.prepare import run
from data_prep.splits import add_out, split_of, write_splits
from fm_audio.data.text.arpabet import PHONES, stressless
from fm_audio.data.text.pairs import Pair
from fm_audio.data.text.vocabulary import NOTHING
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.pronunciations data/pronunciations --max-letters 20 --max-phones 20"
LICENCE = "BSD-like (CMUdict, Carnegie Mellon University; fm_audio/data/text/cmudict.LICENSE.txt)"


def shipped_dictionary() -> list[tuple[str, list[str]]]:
    """The words of the dictionary that the package ships, each with its pronunciations."""
    text = gzip.decompress(files("fm_audio.data.text").joinpath("cmudict.txt.gz").read_bytes()).decode()
    return [(word, said.split("|")) for word, said in (line.split("\t") for line in text.splitlines())]


def pronunciations(
    words: Sequence[tuple[str, list[str]]], max_letters: int, max_phones: int, stress: bool, left_out: Counter[str]
) -> Iterator[tuple[str, Pair]]:
    """(word, pair) of what fits; what does not is counted in `left_out`."""
    known = set(PHONES)
    for word, said in words:
        if not re.fullmatch("[a-z][a-z'.-]*", word.lstrip("'")):
            left_out["words with other characters than a-z ' - ."] += 1
        elif len(word) > max_letters:
            left_out[f"words of more than {max_letters} letters"] += 1
        else:
            fitting = [s for s in said if len(s.split()) <= max_phones and set(s.split()) <= known]
            left_out[f"pronunciations of more than {max_phones} phones"] += len(said) - len(fitting)
            plain = fitting if stress else [" ".join(map(stressless, s.split())) for s in fitting]
            if plain:
                yield word, Pair(word, plain[0], tuple(dict.fromkeys(plain)))


def dealt(keyed: Sequence[tuple[str, Pair]], least: int, left_out: Counter[str]) -> tuple[list[tuple[str, Pair]], list[str]]:
    """The pairs with their targets dealt to the letters, except those of the test part, and all that was dealt.

    Words with something that is dealt fewer than `least` times in training are left out.
    """
    train = [(pair.source or "", tuple(pair.target.split())) for key, pair in keyed if split_of(key) == "train"]
    costs = costs_of(train)
    usage = Counter(chunk for word, phones in train for _, chunk in align(word, phones, costs, False) or [])
    usual = {chunk for chunk, n in usage.items() if n >= least}
    made = []
    for key, pair in keyed:
        if split_of(key) == "test":
            made.append((key, pair))
            continue
        graphones = align(pair.source or "", tuple(pair.target.split()), costs, False)
        if graphones is None or not usual.issuperset(chunk for _, chunk in graphones):
            left_out["words whose letters have unusual phones"] += 1
            continue
        made.append((key, Pair(pair.source, " ".join(chunk.replace(" ", "+") or NOTHING for _, chunk in graphones), pair.right)))
    return made, [chunk.replace(" ", "+") or NOTHING for chunk in sorted(usual)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.pronunciations",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_out(parser)
    parser.add_argument("--dictionary", type=Path, metavar="FILE", help="a cmudict.dict instead of the one that ships")
    parser.add_argument("--max-letters", type=int, default=20, help="longest word (20)")
    parser.add_argument("--max-phones", type=int, default=20, help="longest pronunciation (20)")
    parser.add_argument("--no-stress", action="store_true", help="39 phones, vowels without 0, 1 and 2")
    parser.add_argument("--in-place", action="store_true", help="deal the phones to the letters, for TextInPlace")
    parser.add_argument("--least", type=int, default=20, help="of --in-place: how often what is dealt must occur (20)")
    args = parser.parse_args(argv)
    if args.dictionary is None:
        words = shipped_dictionary()
    else:
        if not args.dictionary.is_file():
            raise FmAudioError(f"--dictionary {args.dictionary}: not there; give cmudict.dict, or leave it out")
        words = list(read_cmudict(args.dictionary).items())
    left_out: Counter[str] = Counter()
    keyed = list(pronunciations(words, args.max_letters, args.max_phones, not args.no_stress, left_out))
    several = sum(len(pair.right) > 1 for _, pair in keyed)
    more: dict[str, object] = {"several_pronunciations": several, "split_by": "crc32 of the word"}
    if args.in_place:
        keyed, more["dealt"] = dealt(keyed, args.least, left_out)
    write_splits(args.out, keyed, +left_out, LICENCE, **more)


if __name__ == "__main__":
    run(main)
