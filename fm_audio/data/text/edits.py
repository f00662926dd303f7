"""Edit distance: how many symbols must be put in, taken out or exchanged to make one sequence of another (Levenshtein 1966)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def edit_distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """0 for equal sequences, at most the length of the longer one."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def least_risk(options: Sequence[Sequence[Hashable]]) -> int:
    """The number of the option that is nearest to all of them: minimum Bayes risk, the options being draws of a model.

    Nearness is edits over the length of the longer one (Kumar and Byrne 2004, "Minimum Bayes-risk decoding for statistical
    machine translation"). Of equals the first.
    """

    def apart(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
        return edit_distance(a, b) / max(1, len(a), len(b))

    risks = [sum(apart(a, b) for b in options) for a in options]
    return min(range(len(options)), key=lambda i: round(risks[i], 9))
