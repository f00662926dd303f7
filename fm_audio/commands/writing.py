"""Options that the commands that write text share: how tokens come out of noise."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fm_audio.checkpoint import read_config
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.joint import Joint
from fm_audio.tasks.text_requests import LENGTHS
from fm_audio.types import FmAudioError
from fm_audio.voices.presets import sampling_of


def add_writing(made: argparse.ArgumentParser) -> None:
    made.add_argument("--steps", type=int, help="solver steps (default: the model's)")
    made.add_argument("--temperature", type=float, help="scale of the noise; 0 is none (default: the model's)")
    made.add_argument("--length", choices=LENGTHS, help="how the number of tokens is found (default: the model's)")
    made.add_argument("--candidates", type=int, metavar="K", help="try the K likeliest lengths, keep the surest (default: 1)")
    made.add_argument("--samples", type=int, metavar="N", help="draw N answers, keep the one nearest to all (default: 1)")
    made.add_argument("--preset", metavar="NAME", help="fast, balanced or best, where fm-audio frontier measured them")


def writing_sampling(folder: Path, loaded: Any, part: Any, preset: str | None) -> Sampling:
    """How `part` of the model `loaded` from a folder samples: by itself, or as the folder's presets say. Those of a joint model
    are for its speech."""
    if isinstance(loaded, Joint):
        if preset is not None:
            raise FmAudioError(f"--preset {preset}: {folder} holds a joint model, whose presets are for speech; give --steps")
        return part.default_sampling()
    return sampling_of(folder, read_config(folder), preset, part.default_sampling())
