"""Every model that ships is exported, and its files answer as torch does; the matchers, which check speech, are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fm_audio.checkpoint import CONFIG, load_model
from fm_audio.commands.export import PACKAGE, export_onnx
from fm_audio.runtime.export import ALLOWED
from fm_audio.types import FmAudioError

MATCHERS = ("matcher_first", "matcher_second")  # their forward-backward is a loop over the tokens there are
SHIPPED = sorted({path.parent.name for path in PACKAGE.rglob(CONFIG)} - set(MATCHERS))


def test_what_ships_is_known() -> None:
    assert set(SHIPPED) >= {"english", "english_cloner", "made_sounds", "g2p", "phones"}


@pytest.mark.parametrize("name", MATCHERS)
def test_matchers_run_by_torch_alone(name: str, tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="TextMatcher cannot be exported"):
        export_onnx(name, tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_exported(name: str, tmp_path: Path) -> None:
    written = export_onnx(name, tmp_path / name)
    assert written and all(part.deviation <= ALLOWED for part in written)
    load_model(tmp_path / name)
