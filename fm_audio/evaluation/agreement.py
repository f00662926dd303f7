"""Does a recording say its text, more or less? A recogniser listens to several clips at once, since a Whisper takes nearly as
long for 4 s as for 29, and to those alone that do not seem to say theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fm_audio.audio import Audio
from fm_audio.evaluation.metrics import score_sentence
from fm_audio.evaluation.normalise import normalise
from fm_audio.evaluation.recognisers import WINDOW_SECONDS, Recogniser
from fm_audio.extras import require
from fm_audio.types import FmAudioError

WORST_CHARACTERS = 0.6  # of a clip's characters heard otherwise: above it the text is somebody else's
DOUBTFUL_CHARACTERS = 0.3  # the same where clips were heard together: above it the clip is heard alone
GAP_SECONDS = 0.5
Item = tuple[str, Callable[[], Audio]]


def disagreements(items: Sequence[Item], recogniser: Recogniser | None, language: str) -> Iterator[str | None]:
    """For each text and its sound, in order, what speaks against them; nothing where nobody listens."""
    for together in _together(items):
        if recogniser is None:
            yield from (None for _ in together)
            continue
        doubtful = _doubtful(together, recogniser, language) if len(together) > 1 else [True]
        for (text, audio), doubt in zip(together, doubtful, strict=True):
            yield alone(text, audio, recogniser, language) if doubt else None


def alone(text: str, audio: Audio, recogniser: Recogniser, language: str) -> str | None:
    """What speaks against one clip."""
    try:
        heard = otherwise(text, audio, recogniser, language)
    except FmAudioError as e:
        return f"its text cannot be judged: {e}"
    return None if heard is None else "says something else than its text"


def otherwise(text: str, audio: Audio, recogniser: Recogniser, language: str) -> str | None:
    """What was heard, where it is too far from the text to be it. Raises FmAudioError for texts without words."""
    heard = score_sentence(text, recogniser.transcribe(audio), language)
    return heard.heard if heard.characters.rate > WORST_CHARACTERS else None


def _together(items: Sequence[Item]) -> Iterator[list[tuple[str, Audio]]]:
    """Neighbours that fit into a recogniser's window, at least one."""
    window: list[tuple[str, Audio]] = []
    seconds = 0.0
    for text, sound in items:
        audio = sound()
        if window and seconds + audio.seconds + GAP_SECONDS > WINDOW_SECONDS:
            yield window
            window, seconds = [], 0.0
        window.append((text, audio))
        seconds += audio.seconds + GAP_SECONDS
    if window:
        yield window


def _doubtful(clips: Sequence[tuple[str, Audio]], recogniser: Recogniser, language: str) -> list[bool]:
    """Of which too many characters were heard otherwise than written, where all are laid along one transcript."""
    jiwer = require("jiwer", "word error rates")
    rate = clips[0][1].sample_rate
    gap = np.zeros(round(GAP_SECONDS * rate), np.float32)
    sound = Audio(np.concatenate([piece for _, audio in clips for piece in (audio.samples, gap)]), rate)
    texts = [normalise(text, language) for text, _ in clips]
    heard = normalise(recogniser.transcribe(sound), language)
    if not all(texts) or not heard:
        return [True] * len(clips)
    owner = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])[:-1]  # a space behind each but the last
    wrong = np.zeros(len(texts))
    for chunk in jiwer.process_characters(" ".join(texts), heard).alignments[0]:
        if chunk.type == "insert":
            wrong[owner[min(chunk.ref_start_idx, len(owner) - 1)]] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            np.add.at(wrong, owner[chunk.ref_start_idx : chunk.ref_end_idx], 1)
    return (wrong / [len(text) for text in texts] > DOUBTFUL_CHARACTERS).tolist()
