"""Options that the commands that write text share: how tokens come out of noise."""

from __future__ import annotations

import argparse

from fm_audio.tasks.text_requests import LENGTHS


def add_writing(made: argparse.ArgumentParser) -> None:
    made.add_argument("--steps", type=int, help="solver steps (default: the model's)")
    made.add_argument("--temperature", type=float, help="scale of the noise; 0 is none (default: the model's)")
    made.add_argument("--length", choices=LENGTHS, help="how the number of tokens is found (default: the model's)")
    made.add_argument("--candidates", type=int, metavar="K", help="try the K likeliest lengths, keep the surest (default: 1)")
    made.add_argument("--samples", type=int, metavar="N", help="draw N answers, keep the one nearest to all (default: 1)")
