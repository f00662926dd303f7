"""Captioned music and effects of a General MIDI sound font, played by fluidsynth: python -m data_prep.gm_sounds OUT --clips 1000

    "a slow rising scale on a cello"     "fast repeated notes on a xylophone"     "a minor chord on a church organ"

Needs fluidsynth and a font (Debian: fluidsynth, fluid-soundfont-gm under the MIT licence) and `pip install mido`. What a caption
says of tempo, direction and instrument is what was played. OUT holds wavs, manifest.jsonl and the prepared cuts; a cut's speaker
is its instrument. Held out is about one caption in N.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.prepare import run
from fm_audio.data.preparation.layouts import Naming, read_manifest
from fm_audio.data.preparation.prepare import Options, prepare
from fm_audio.data.preparation.report import Report
from fm_audio.types import FmAudioError

EXAMPLE = "example: python -m data_prep.gm_sounds data/gm --clips 1000 --font /usr/share/sounds/sf2/FluidR3_GM.sf2"
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
RATE = 24_000
TICKS = 480  # of a beat
TAIL_SECONDS = 1.0  # of ringing behind the last note
# General MIDI programs, numbered from 0, by what a listener calls them.
INSTRUMENTS = {
    "a piano": 0, "a harpsichord": 6, "a music box": 10, "a vibraphone": 11, "a marimba": 12, "a xylophone": 13,
    "tubular bells": 14, "a church organ": 19, "an accordion": 21, "a harmonica": 22, "an acoustic guitar": 24,
    "an electric guitar": 27, "a distorted guitar": 30, "a bass guitar": 33, "a violin": 40, "a cello": 42, "a harp": 46,
    "timpani": 47, "strings": 48, "a choir": 52, "a trumpet": 56, "a trombone": 57, "a tuba": 58, "a saxophone": 65,
    "an oboe": 68, "a clarinet": 71, "a flute": 73, "a recorder": 74, "a pan flute": 75, "a sitar": 104, "a banjo": 105,
    "bagpipes": 109, "steel drums": 114, "a celesta": 8, "a glockenspiel": 9, "a dulcimer": 15, "plucked strings": 45,
    "an orchestra hit": 55, "a french horn": 60, "a brass section": 61, "a bassoon": 70, "a piccolo": 72, "a blown bottle": 76,
    "a whistle": 78, "an ocarina": 79, "a synthesizer": 80, "a shamisen": 106, "a koto": 107, "a kalimba": 108, "a fiddle": 110,
    "a tinkle bell": 112, "an agogo": 113, "a woodblock": 115, "a taiko drum": 116, "a synth drum": 118,
}  # fmt: skip
EFFECTS = {
    "a bird tweeting": 123, "a telephone ringing": 124, "a helicopter flying": 125, "applause": 126, "a gunshot": 127,
    "waves at the seashore": 122,
}  # fmt: skip
LOW = {"a bass guitar", "a tuba", "a cello", "timpani", "a trombone"}
TEMPI = {"slow": (0.45, 0.7), "fast": (0.11, 0.18)}  # seconds from note to note
SCALE = (0, 2, 4, 5, 7, 9, 11)


@dataclass(frozen=True)
class Note:
    """MIDI pitch, and when it sounds, in seconds."""

    pitch: int
    start: float
    end: float


def piece(draw: np.random.Generator, skew: float = 0.0) -> tuple[str, str, int, list[Note]]:
    """A caption, who plays, the program, and the notes. skew: as of `main`."""
    if draw.random() < 0.15:
        what = str(draw.choice(list(EFFECTS)))
        return what, "effect", EFFECTS[what], [Note(60, 0.05, float(draw.uniform(1.5, 4.0)))]
    often = np.arange(1, len(INSTRUMENTS) + 1) ** -skew
    who = str(draw.choice(list(INSTRUMENTS), p=often / often.sum()))
    base = int(draw.integers(36, 48) if who in LOW else draw.integers(58, 70))
    form = str(draw.choice(["chord", "rising", "falling", "repeated", "melody"]))
    if form == "chord":
        chord, end = ((0, 4, 7), "major") if draw.integers(2) else ((0, 3, 7), "minor"), float(draw.uniform(1.0, 3.0))
        return f"a {chord[1]} chord on {who}", who, INSTRUMENTS[who], [Note(base + k, 0.05, end) for k in chord[0]]
    tempo = str(draw.choice(list(TEMPI)))
    gap = float(draw.uniform(*TEMPI[tempo]))
    n = max(4, round(float(draw.uniform(2.0, 4.0)) / gap))
    n = min(n, 15) if form in ("rising", "falling") else n
    steps = {
        "rising": np.arange(n),
        "falling": np.arange(n)[::-1],
        "repeated": np.zeros(n, int),
        "melody": np.cumsum(draw.choice([-2, -1, 1, 2], n)) % 15,
    }[form]
    pitches = [base + 12 * (int(s) // 7) + SCALE[int(s) % 7] for s in steps]
    words = {"rising": f"a {tempo} rising scale", "falling": f"a {tempo} falling scale", "repeated": f"{tempo} repeated notes"}
    caption = f"{words.get(form, f'a {tempo} melody')} on {who}"
    return caption, who, INSTRUMENTS[who], [Note(p, 0.05 + i * gap, 0.05 + (i + 0.9) * gap) for i, p in enumerate(pitches)]


def midi(program: int, notes: Sequence[Note]) -> Any:
    """A MIDI file of one track, sixty beats a minute."""
    try:
        import mido
    except ImportError as e:
        raise FmAudioError("gm_sounds needs mido; run: pip install mido") from e
    made = mido.MidiFile(ticks_per_beat=TICKS)
    track = made.add_track()
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    track.append(mido.Message("program_change", program=program))
    events = [(n.start, "note_on", n.pitch) for n in notes] + [(n.end, "note_off", n.pitch) for n in notes]
    now = 0
    for seconds, kind, pitch in sorted(events):
        at = round(seconds * TICKS)
        track.append(mido.Message(kind, note=pitch, velocity=90, time=at - now))
        now = at
    return made


def play(made: Any, font: Path, seconds: float) -> np.ndarray:
    """So many seconds of what fluidsynth makes of it, mono. Raises FmAudioError where it cannot play."""
    import soundfile

    program = shutil.which("fluidsynth")
    if program is None or not font.is_file():
        lacks = "fluidsynth is not installed" if program is None else f"{font} is not there"
        raise FmAudioError(f"{lacks}; install both (Debian: fluidsynth, fluid-soundfont-gm), or give --font")
    with tempfile.TemporaryDirectory() as folder:
        made.save(f"{folder}/in.mid")
        asked = [program, "-ni", "-q", "-g", "0.6", "-r", str(RATE), "-F", f"{folder}/out.wav", str(font), f"{folder}/in.mid"]
        done = subprocess.run(asked, capture_output=True, text=True)
        if done.returncode or not Path(f"{folder}/out.wav").is_file():
            raise FmAudioError(f"fluidsynth failed ({done.stderr.strip().splitlines()[-1:]}); is {font} a sound font?")
        wave = soundfile.read(f"{folder}/out.wav", always_2d=True)[0].mean(1)
    n = round(seconds * RATE)
    wave = np.pad(wave[:n], (0, max(0, n - len(wave))))
    fade = np.minimum(1.0, np.arange(n)[::-1] / (0.1 * RATE))
    return wave * fade * min(1.0, 0.9 / (np.abs(wave).max() + 1e-9))


def make(out: Path, clips: int, font: Path, seed: int = 0, hold_out: int = 20, skew: float = 0.0) -> Report:
    import soundfile

    (out / "wavs").mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(clips):
        caption, who, program, notes = piece(np.random.default_rng([seed, i]), skew)
        wave = play(midi(program, notes), font, max(n.end for n in notes) + TAIL_SECONDS)
        audio = f"wavs/{i:05d}.wav"
        soundfile.write(out / audio, wave, RATE, subtype="PCM_16")
        lines.append(json.dumps({"id": f"{i:05d}", "audio": audio, "text": caption, "speaker": who}))
    manifest = out / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = Options(licence="MIT", synthetic=True, relative=True, hold_out=hold_out)
    report = Report("General MIDI sounds", options.licence, True)
    return prepare(read_manifest(manifest, Naming("effect", "en")), out, options, report)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m data_prep.gm_sounds", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--font", type=Path, default=FONT, help=f"a .sf2 or .sf3 file ({FONT})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hold-out", type=int, default=20, help="about one caption in N for validation (20)")
    skew = "how unlike the shares of instruments are: 0 all alike (the default); 1 as Zipf's law, the first many, the last few"
    parser.add_argument("--skew", type=float, default=0.0, help=skew)
    args = parser.parse_args(argv)
    if args.clips < 1 or not 0 <= args.skew <= 3:
        raise FmAudioError(f"--clips {args.clips} --skew {args.skew:g}: give 1 or more clips, and a skew from 0 to 3")
    print("\n".join(make(args.out, args.clips, args.font, args.seed, args.hold_out, args.skew).lines()))


if __name__ == "__main__":
    run(main)
