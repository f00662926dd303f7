"""The corpus of the smoke recipe, where its paths expect it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def smoke_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds data/smoke, as the recipe's first command makes it."""
    from data_prep.synthetic import main

    folder = tmp_path_factory.mktemp("smoke")
    main([str(folder / "data/smoke"), "--clips", "24", "--speakers", "2"])
    return folder
