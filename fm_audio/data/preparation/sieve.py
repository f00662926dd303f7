"""Which clips may stay: one after the other they are held against limits and against the clips before them."""

from __future__ import annotations

from collections.abc import Callable

from fm_audio.audio import Audio
from fm_audio.data.preparation.checks import SILENT_PEAK, Measured
from fm_audio.data.preparation.clip import normal_text
from fm_audio.data.preparation.report import Report

# What may be said against a clip that measures well, from its text and its sound; None when nothing is.
Objection = Callable[[str, Callable[[], Audio]], str | None]


class Sieve:
    """Clips of `min_seconds` to `max_seconds`, audible, each sound and each id once. What is kept but odd is noted. With
    `captions` a sound may come again with other words."""

    def __init__(
        self,
        report: Report,
        min_seconds: float,
        max_seconds: float,
        objection: Objection | None = None,
        captions: bool = False,
    ):
        self.captions = captions
        self.report, self.min_seconds, self.max_seconds, self.objection = report, min_seconds, max_seconds, objection
        self.sounds: dict[str, str] = {}
        self.ids: set[str] = set()
        self.spoken: dict[tuple[str, str], str] = {}

    def keeps(self, name: str, speaker: str, text: str, measured: Measured | str, sound: Callable[[], Audio]) -> bool:
        """Whether the clip may stay; if not, the report says why. `measured` may be the reason why it could not be."""
        why = measured if isinstance(measured, str) else self._against(name, text, measured)
        if why is None and self.objection is not None:
            why = self.objection(text, sound)
        if why is not None or isinstance(measured, str):
            self.report.drop(name, str(why))
            return False
        self.sounds[self._sound(measured, text)] = name
        self.ids.add(name)
        if measured.clipped_samples:
            self.report.note(name, "clipped at full scale")
        key = (speaker, normal_text(text))
        if key in self.spoken:
            self.report.note(name, "same text and speaker as an earlier clip")
        self.spoken.setdefault(key, name)
        return True

    def _sound(self, m: Measured, text: str) -> str:
        return f"{m.digest} {normal_text(text)}" if self.captions else m.digest

    def _against(self, name: str, text: str, m: Measured) -> str | None:
        if m.peak < SILENT_PEAK:
            return "silent throughout"
        if m.seconds < self.min_seconds:
            return f"shorter than {self.min_seconds:g} s"
        if m.seconds > self.max_seconds:
            return f"longer than {self.max_seconds:g} s"
        if name in self.ids:
            return "another clip has the same id"
        if self._sound(m, text) in self.sounds:
            return f"same audio as {self.sounds[self._sound(m, text)]}"
        return None
