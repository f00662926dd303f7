"""What is cloned from: what a recording must be like, and the one that a model hears when it is given no other.

That lies beside the weights of a model that clones, or in an adapter of one:

    reference.flac   the recording          config.json   "reference": {"file": "reference.flac", "text": what it says}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fm_audio.audio import Audio, load_audio, resample
from fm_audio.checkpoint import CONFIG
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.tasks.infill_requests import spoken_symbols
from fm_audio.types import FmAudioError

FILE = "reference.flac"
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 20.0
SYMBOLS_HZ = (0.5, 25.0)  # pauses included: letters or phones of the slowest and the fastest speaker
LOUDNESS = 0.1  # root mean square that quieter references are raised to, as in F5-TTS and ZipVoice; the answer is lowered again
SILENT_PEAK = 1e-3


@dataclass(frozen=True)
class Reference:
    """A recording, or the file that holds it, and what it says, word for word."""

    sound: Audio | Path
    text: str

    def recording(self, sample_rate: int) -> Audio:
        """Mono, a file at that rate."""
        return self.sound if isinstance(self.sound, Audio) else load_audio(self.sound, sample_rate)

    def beside(self, folder: Path) -> dict[str, str]:
        """Write or copy the recording into a folder; what config.json says of it comes back."""
        if isinstance(self.sound, Audio):
            self.sound.save(folder / FILE)
        else:
            (folder / FILE).write_bytes(self.sound.read_bytes())
        return {"file": FILE, "text": self.text}


def own_reference(folder: Path, config: Mapping[str, Any]) -> Reference | None:
    """The reference that a folder's config names. Raises FmAudioError where it is not there or says nothing."""
    node = config.get("reference")
    if node is None:
        return None
    if not isinstance(node, Mapping) or not isinstance(node.get("file"), str) or not isinstance(node.get("text"), str):
        raise FmAudioError(f"{folder / CONFIG}: its reference names no file and text; fetch the folder again")
    path = folder / Path(node["file"]).name
    if not path.is_file():
        raise FmAudioError(f"{path}: the recording that {CONFIG} names is missing; fetch the folder again")
    return Reference(path, node["text"])


def require_pace(reads: FrontEnd, reference_text: str, seconds: float) -> None:
    """Refuse a text that the reference cannot have said in its time."""
    if not reference_text.strip():
        raise FmAudioError("reference text: it is empty; write what the reference says, word for word")
    pace = spoken_symbols(reads, reference_text) / seconds
    if not SYMBOLS_HZ[0] <= pace <= SYMBOLS_HZ[1]:
        raise FmAudioError(
            f"reference text: it has {pace:.1f} letters or phones for each second of the reference, where nobody says less "
            f"than {SYMBOLS_HZ[0]:g} or more than {SYMBOLS_HZ[1]:g}; write what the reference says, word for word"
        )


def require_reference(reference: Audio) -> None:
    """Refuse what nothing can be cloned from: too short, too long, silent or broken."""
    if not SHORTEST_SECONDS <= reference.seconds <= LONGEST_SECONDS:
        raise FmAudioError(
            f"reference: {reference.seconds:.2f} s long; give {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} s of one voice"
        )
    loud_enough(reference, reference.sample_rate, "reference")


def loud_enough(recording: Audio, sample_rate: int, what: str) -> tuple[np.ndarray, float]:
    """Its samples at `sample_rate`, raised where they are quiet, and the gain that did it. Raises FmAudioError on silence."""
    if not np.isfinite(recording.samples).all() or np.abs(recording.samples).max(initial=0.0) < SILENT_PEAK:
        raise FmAudioError(f"{what}: it is silent or broken; give a recording in which somebody speaks")
    samples = resample(recording.samples.astype(np.float32), recording.sample_rate, sample_rate)
    gain = max(1.0, LOUDNESS / float(np.sqrt(np.mean(samples**2))))
    return samples * np.float32(gain), gain
