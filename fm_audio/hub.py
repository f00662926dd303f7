"""Models of the `transformers` library, by a name on the hub or from a folder of `save_pretrained`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fm_audio.types import FmAudioError

INSTALL = 'pip install "fm-audio[transformers]"'


def from_hub(kind: str, model: str) -> Any:
    """An object of the class `kind` of transformers. Raises FmAudioError where it cannot be had, saying why."""
    try:
        import transformers
    except ImportError as e:
        raise FmAudioError(f"{model}: needs the package transformers; run: {INSTALL}") from e
    try:
        with no_progress_bars(transformers.utils.logging):
            return getattr(transformers, kind).from_pretrained(model, use_safetensors=True)  # nothing is unpickled
    except (OSError, ValueError, KeyError) as e:
        said = str(e).strip().splitlines()[0]
        raise FmAudioError(f"{model}: transformers cannot load it as {kind} ({said}); give a name on the hub or a folder") from e


@contextmanager
def no_progress_bars(logging: Any) -> Iterator[None]:
    """Weights load in a second or two; transformers' bars for them would mix with our own lines on stderr."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
