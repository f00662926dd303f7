"""The peers' own packages, imported without what a forward pass does not need."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def bare_packages(*names: str, absent: tuple[str, ...] = ()) -> Iterator[None]:
    """Inside, `names` are packages whose __init__ is not run, and `absent` modules are empty ones that allow any attribute.

    Skips the test where the first package is not installed; .ci/run installs it.
    """
    top = names[0].split(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the peer's package {top} is not installed")
    before = set(sys.modules)
    try:
        for name in names:
            package = importlib.util.find_spec(name.split(".")[0])
            assert package is not None and package.submodule_search_locations
            module = types.ModuleType(name)
            folder = Path(package.submodule_search_locations[0], *name.split(".")[1:])
            module.__path__ = [str(folder)]
            sys.modules[name] = module
        for name in absent:
            if importlib.util.find_spec(name.split(".")[0]) is None or name in sys.modules:
                sys.modules.setdefault(name, Anything(name))
        yield
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] in {*(n.split(".")[0] for n in (*names, *absent))}:
                del sys.modules[name]


class Anything(types.ModuleType):
    """A module that has every attribute, all of them None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None
