"""CMUdict as the package ships it: `python -m data_prep.lexicon CMUDICT_DICT OUT`.

CMUDICT_DICT is `cmudict.dict` of https://github.com/cmusphinx/cmudict; OUT gets `cmudict.txt.gz`: one word a line, a tab, its
pronunciations separated by `|`.
"""

from __future__ import annotations

import argparse
import gzip
import re
from pathlib import Path


def read_cmudict(path: Path) -> dict[str, list[str]]:
    """word -> pronunciations in the file's order; comments and stray entries without a letter are left out."""
    words: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry, _, phones = line.split("#")[0].strip().partition(" ")
        word = re.sub(r"\(\d+\)$", "", entry)
        if re.search("[a-z]", word) and phones not in words.setdefault(word, []):
            words[word].append(phones)
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cmudict", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    words = read_cmudict(args.cmudict)
    text = "".join(f"{word}\t{'|'.join(phones)}\n" for word, phones in sorted(words.items()))
    (args.out / "cmudict.txt.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(words)} words")


if __name__ == "__main__":
    main()
