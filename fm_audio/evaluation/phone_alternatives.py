"""What else may phones say than the text? The text with each fault is laid along what was heard, and its likelihood is compared.

    evidence for a fault = log P(heard | text with it) − log P(heard | text)        in nats, over the likeliest paths

The faults are those of `alternatives`, which does the same with one speaker's mels and durations; phones are anybody's. What
nobody asked for is, token by token, whatever phone is likeliest, less a fine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fm_audio.tasks.phone_reader import SILENCE

MOST_TWICE = 3  # words in a row that are tried twice
FINES = {"added": 0.2, "garbled": 0.5}  # nats a token
LEAST_TOKENS = 3  # of what is added
LEAST_LOG_P = -8.0  # of a phone in a token; one token that is utterly sure does not decide alone

Word = Sequence[int]


def phone_alternatives(heard: np.ndarray, words: Sequence[Word]) -> dict[str, tuple[float, int]]:
    """Of each kind of fault that could be weighed the likeliest: its evidence, and the number of the word that it befalls.

    heard (k classes): log probabilities of `phone_reader.CLASSES` for each token, and of damage where a reader tells of that.
    words: the text's phones as classes, without silences, which may lie between any two words.
    """
    heard = np.maximum(heard, LEAST_LOG_P)
    anything = np.delete(heard, SILENCE, 1).max(1)
    tokens = np.column_stack([heard, *(anything - fine for fine in FINES.values())])
    every = [("asked", 0, list(words)), *_faults(words, heard.shape[1])]
    fitting = [fault for fault in every if sum(map(len, fault[2])) <= len(heard)]
    scores = likeliest_paths(tokens, [text for _, _, text in fitting])
    found: dict[str, tuple[float, int]] = {}
    for (kind, at, _), score in zip(fitting[1:], scores[1:], strict=True):
        found[kind] = max(found.get(kind, (-np.inf, 0)), (float(score - scores[0]), at))
    return found


def _faults(words: Sequence[Word], classes: int) -> Iterator[tuple[str, int, list[Word]]]:
    """Kind, number of the word, and the words of a text with that fault; the columns behind the classes stand for anything."""
    added, garbled = (classes + list(FINES).index(kind) for kind in ("added", "garbled"))
    more = [added] * LEAST_TOKENS
    every = list(words)
    yield "added", 0, [more, *every]
    for k, word in enumerate(every):
        if len(every) > 1:
            yield "missing", k, every[:k] + every[k + 1 :]
        for end in range(k + 1, min(len(every), k + MOST_TWICE) + 1):
            yield "repeated", k, every[:end] + every[k:]
        yield "added", k, [*every[: k + 1], more, *every[k + 1 :]]
        yield "garbled", k, [*every[:k], [garbled] * max(1, len(word) // 2), *every[k + 1 :]]


def likeliest_paths(tokens: np.ndarray, texts: Sequence[Sequence[Word]]) -> np.ndarray:
    """Log likelihoods (texts,) of the likeliest paths through each text: tokens (k columns) scores of every column. Each phone
    has one token at least, silences around words have any number."""
    rows = [[SILENCE, *(c for word in text for c in (*word, SILENCE))] for text in texts]
    rest = [[True, *(last for word in text for last in (*[False] * len(word), True))] for text in texts]
    s, lengths = max(map(len, rows)), np.array([len(row) for row in rows])
    column = np.array([row + [0] * (s - len(row)) for row in rows])
    optional = np.array([row + [False] * (s - len(row)) for row in rest])
    over = np.zeros_like(optional)
    over[:, 2:] = optional[:, 1:-1]  # state i may follow i − 2
    score = np.full(column.shape, -np.inf)
    score[:, 0] = tokens[0, column[:, 0]]
    score[:, 1] = tokens[0, column[:, 1]]
    for heard in tokens[1:]:
        best = score.copy()
        best[:, 1:] = np.maximum(best[:, 1:], score[:, :-1])
        best[:, 2:] = np.where(over[:, 2:], np.maximum(best[:, 2:], score[:, :-2]), best[:, 2:])
        score = best + heard[column]
    row = np.arange(len(rows))
    return np.maximum(score[row, lengths - 1], score[row, lengths - 2])
