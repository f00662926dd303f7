"""Verse pairs from an old translation to a new one, to learn modernising: python -m data_prep.verses PAIRS.json.gz OUT

PAIRS is a JSON list of [old, new] in the order of the book: King James → World English Bible, both in the public domain. It names
no chapters, so runs of 24 verses (about a chapter) stand for them: a run falls to train, validation or test (90, 5, 5 %) as a
whole, by a hash of its number, and neighbours do not leak. Verses that stand elsewhere in the same words are not held out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.prepare import run
from data_prep.splits import add_out, split_of, write_splits
from fm_audio.data.text.pairs import Pair
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.verses kjv_web_pairs.json.gz data/verses --max-words 32 --pieces 1000"
RUN_VERSES = 24
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": " - ", "–": "-", "…": "...", "\xa0": " "})


def read_verses(path: Path) -> list[tuple[str, str]]:
    try:
        found = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    except OSError as e:
        raise FmAudioError(f"{path}: cannot be read ({e}); give a JSON list of [old, new] verses, gzipped or not") from e
    except ValueError as e:
        raise FmAudioError(f"{path}: is not JSON ({e}); give a list of [old, new] verses") from e
    if not isinstance(found, list) or not all(isinstance(v, list) and len(v) == 2 for v in found):
        raise FmAudioError(f"{path}: is no list of [old, new] verses")
    return [(plain(old), plain(new)) for old, new in found]


def plain(text: str) -> str:
    """Straight quotes, plain dashes, no marks on letters, single spaces."""
    text = unicodedata.normalize("NFKD", text.translate(PLAIN))
    return " ".join("".join(c for c in text if not unicodedata.combining(c)).split())


def verses(found: Sequence[tuple[str, str]], max_words: int, left_out: Counter[str]) -> Iterator[tuple[str, Pair]]:
    """(key of the run, pair) of what fits; what does not is counted in `left_out`."""
    times = Counter(text for pair in found for text in pair)
    for i, (old, new) in enumerate(found):
        key = f"run {i // RUN_VERSES}"
        if not old or not new:
            left_out["verses without text on one side"] += 1
        elif max(len(old.split()), len(new.split())) > max_words:
            left_out[f"verses of more than {max_words} words"] += 1
        elif split_of(key) != "train" and max(times[old], times[new]) > 1 + (old == new):
            left_out["held-out verses that stand elsewhere in the same words"] += 1
        else:
            yield key, Pair(old, new)


def train_pieces(out: Path, pieces: int) -> Path:
    """OUT/pieces.model: a SentencePiece model of both sides of the training pairs."""
    try:
        from sentencepiece import SentencePieceTrainer
    except ImportError as e:
        raise FmAudioError("--pieces: sentencepiece is not installed; run `pip install fm-audio[train]`") from e
    lines = (line for row in (out / "train.tsv").read_text(encoding="utf-8").splitlines() for line in row.split("\t"))
    try:
        SentencePieceTrainer.train(
            sentence_iterator=lines, model_prefix=str(out / "pieces"), vocab_size=pieces, model_type="bpe", minloglevel=2,
            character_coverage=1.0, num_threads=1,
        )  # fmt: skip
    except RuntimeError as e:
        raise FmAudioError(f"--pieces {pieces}: no such model of these texts ({e}); take another number, such as 1000") from e
    return out / "pieces.model"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.verses", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path, metavar="PAIRS", help="JSON list of [old, new], .json or .json.gz")
    add_out(parser)
    parser.add_argument("--max-words", type=int, default=32, help="longest verse on either side (32)")
    parser.add_argument("--pieces", type=int, default=1000, help="subwords of OUT/pieces.model (1000); 0 makes none")
    args = parser.parse_args(argv)
    left_out: Counter[str] = Counter()
    keyed = list(verses(read_verses(args.pairs), args.max_words, left_out))
    write_splits(args.out, keyed, +left_out, "public domain", split_by=f"crc32 of the number of a run of {RUN_VERSES} verses")
    if args.pieces:
        print(train_pieces(args.out, args.pieces))


if __name__ == "__main__":
    run(main)
