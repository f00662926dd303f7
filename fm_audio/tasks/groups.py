"""Which sequences are generated together: those of about equal length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def groups(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices in batches of about equal length, each of at most `most` padded positions (or one sequence that is longer)."""
    group: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if group and (len(group) + 1) * lengths[i] > most:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
