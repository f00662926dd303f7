"""Does each word last as long, and sound as much like the text, as an acoustic model expects? Evidence that needs no recogniser.

The text is laid along the recording by `Aligner`, under the speaker of its model that fits best. A word that was left out or cut
leaves its symbols hardly any frames; words that nobody asked for stretch a symbol or a pause next to them; a garbled word is far
from the mean mel. Recognisers, which know what people say, like to mend just these.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_SECONDS = 0.15


@dataclass(frozen=True)
class AcousticLimits:
    """What passes. Paces are natural logarithms of a duration over the one expected at the recording's own pace."""

    word_short: float = 0.5
    word_long: float = 0.8
    symbol_short: float = 0.85
    symbol_long: float = 1.2
    unlike: float = 0.25  # mean squared difference of a word's frames to its mean mel, in the mel's standard deviations
    unlike_anywhere: float = 0.3  # the same of any 0.15 s
    loud_pause_seconds: float = 0.2  # in a pause, as loud as speech
    loud: float = 1.2  # less than the loudest frame, as a mean over bands: as loud as speech
    margin: float = 0.0  # how far beyond a limit, as a share of it


@dataclass(frozen=True)
class Evidence:
    """One word or pause, `kind` being what is odd about it; `excess` is its value over its limit, above 1 too much."""

    kind: str
    words: tuple[str, ...]
    at_seconds: float
    excess: float
