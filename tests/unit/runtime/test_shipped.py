"""Every model that ships is exported, and its files answer as torch does."""

from __future__ import annotations

from pathlib import Path

import pytest

from fm_audio.checkpoint import CONFIG, load_model
from fm_audio.commands.export import PACKAGE, export_onnx
from fm_audio.runtime.export import ALLOWED

SHIPPED = sorted({path.parent.name for path in PACKAGE.rglob(CONFIG)})


def test_what_ships_is_known() -> None:
    assert set(SHIPPED) >= {"english", "english_cloner", "made_sounds", "g2p", "phones", "matcher_first", "matcher_second"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_exported(name: str, tmp_path: Path) -> None:
    written = export_onnx(name, tmp_path / name)
    assert written and all(part.deviation <= ALLOWED for part in written)
    load_model(tmp_path / name)
