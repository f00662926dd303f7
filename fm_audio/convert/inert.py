"""Checkpoints that name classes beside their tensors (Lightning's hyperparameters): read, but nothing of those classes is run.

`torch.load(weights_only=True)` refuses a file that names any class it does not know. Here each such name stands for an empty
class that takes whatever it is given and does nothing; the classes themselves are not even imported.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

DICTIONARIES = ("AttributeDict", "defaultdict")
"""Names whose instances the file fills like a dictionary."""


class Inert:
    """Stands for a class or function that a checkpoint names."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class InertDictionary:
    """The same for a dictionary: making one gives a plain one."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return {}


@contextmanager
def inert_classes(path: Path) -> Iterator[None]:
    """Inside, `torch.load(path, weights_only=True)` meets an empty class wherever it would have refused one."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
    stands_for = [(InertDictionary if n.rpartition(".")[2] in DICTIONARIES else Inert, n) for n in names]
    with torch.serialization.safe_globals(stands_for):  # type: ignore[arg-type]
        yield
