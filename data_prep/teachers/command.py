"""Teachers that are command lines: espeak-ng, flite and festival. Robotic, but everywhere and fast; good for smoke data."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data_prep.teachers import Spoken
from fm_audio.types import FmAudioError


def spoken_by(command: Sequence[str], wav: Path, text: str) -> Spoken:
    """Run a program that reads `text` on its standard input and writes `wav`."""
    import soundfile

    if shutil.which(command[0]) is None:
        raise FmAudioError(
            f"{command[0]} is not installed; install it (apt-get install {command[0]}) or choose another --teacher"
        )
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0 or not wav.is_file():
        raise FmAudioError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[:200]}")
    samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    return Spoken(samples.mean(1), rate)


class Espeak:
    """espeak-ng; its voices are languages (en-us, en-gb, de, …)."""

    licence = "GPL-3.0 program, speech unrestricted"

    def voices(self) -> list[str]:
        return ["en-us", "en-gb"]

    def say(self, text: str, voice: str, speed: float) -> Spoken:
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder) / "said.wav"
            words_per_minute = str(round(165 * speed))
            return spoken_by(["espeak-ng", "-v", voice, "-s", words_per_minute, "-w", str(wav), "--stdin"], wav, text)


class Flite:
    """flite's built-in US English voices."""

    licence = "BSD-like"

    def voices(self) -> list[str]:
        return ["slt", "rms", "awb", "kal16"]

    def say(self, text: str, voice: str, speed: float) -> Spoken:
        with tempfile.TemporaryDirectory() as folder:
            wav, said = Path(folder) / "said.wav", Path(folder) / "said.txt"
            said.write_text(text, encoding="utf-8")
            command = ["flite", "-voice", voice, "--setf", f"duration_stretch={1 / speed:.3f}", "-f", str(said), "-o", str(wav)]
            return spoken_by(command, wav, "")


class Festival:
    """festival's text2wave; voices by their festival names, such as voice_cmu_us_slt_arctic_hts."""

    licence = "BSD-like"

    def voices(self) -> list[str]:
        return ["voice_cmu_us_slt_arctic_hts"]

    def say(self, text: str, voice: str, speed: float) -> Spoken:
        with tempfile.TemporaryDirectory() as folder:
            wav = Path(folder) / "said.wav"
            stretch = f"(Parameter.set 'Duration_Stretch {1 / speed:.3f})"
            return spoken_by(["text2wave", "-eval", f"({voice})", "-eval", stretch, "-o", str(wav)], wav, text)
