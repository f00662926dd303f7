"""Real-time factors of a voice beside Matcha-TTS's decoder, in one run on one machine: python -m fm_audio.evaluation.speed

    real-time factor = seconds of work / seconds of sound; the median of several rounds after one that warms up

Ours is the whole `say`: text, durations, flow, vocoder. The peer's is its flow decoder alone, at its published size and number of
steps, with random weights (speed does not depend on them), over as many frames as we spoke; its text and vocoder are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch

from fm_audio.evaluation.protocols import load_protocol
from fm_audio.extras import require
from fm_audio.types import FmAudioError

PEER_COMMAND = "pip install --no-deps matcha-tts diffusers conformer"
PEER_SAMPLE_RATE, PEER_HOP_SAMPLES, PEER_BANDS, PEER_STEPS = 22_050, 256, 80, 10


def median_seconds(work: Callable[[], object], rounds: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of `rounds` calls by a clock, after one that is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        start = clock()
        work()
        taken.append(clock() - start)
    return statistics.median(taken)


def peer_decoder() -> torch.nn.Module:
    """Matcha-TTS's LJ Speech decoder (11.0 M parameters as published), random weights, from the installed package."""
    components = require("matcha.models.components.decoder", "the peer's decoder", PEER_COMMAND)
    return components.Decoder(
        in_channels=2 * PEER_BANDS, out_channels=PEER_BANDS, channels=[256, 256], dropout=0.05, attention_head_dim=64,
        n_blocks=1, num_mid_blocks=2, num_heads=2, act_fn="snakebeta",
    ).eval()  # fmt: skip


@torch.inference_mode()
def peer_flow(decoder: Callable[..., torch.Tensor], seconds: float) -> torch.Tensor:
    """Euler from noise over `seconds` of 22.05 kHz mel, as Matcha-TTS samples."""
    frames = round(seconds * PEER_SAMPLE_RATE / PEER_HOP_SAMPLES / 4) * 4
    x, mean, mask = torch.randn(1, PEER_BANDS, frames), torch.randn(1, PEER_BANDS, frames), torch.ones(1, 1, frames)
    for t in torch.linspace(0, 1, PEER_STEPS + 1)[:-1]:
        x = x + decoder(x, mask, mean, t) / PEER_STEPS
    return x


def main(argv: Sequence[str] | None = None) -> int:
    import fm_audio

    parser = argparse.ArgumentParser(prog="python -m fm_audio.evaluation.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--voice", help="name or folder (default: the default voice)")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sentences", type=int, default=10, help="how many Harvard sentences, one at a time (default 10)")
    parser.add_argument("--rounds", type=int, default=5)
    whose = "count the processor's seconds instead of the clock's: with --threads 1 what other work on the machine changes little"
    parser.add_argument("--processor", action="store_true", help=whose)
    parser.add_argument("--no-peer", action="store_true", help="time our voice only")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    try:
        decoder = None if given.no_peer else peer_decoder()
        voice = fm_audio.load(given.voice)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    texts = load_protocol("harvard40").sentences[: given.sentences]
    spoken = [voice.say_detailed(text, steps=given.steps) for text in texts]
    seconds = [s.audio.seconds for s in spoken]
    clock = time.process_time if given.processor else time.perf_counter
    ours = median_seconds(lambda: [voice.say(text, steps=given.steps) for text in texts], given.rounds, clock) / sum(seconds)
    report = {"threads": given.threads, "torch": torch.__version__, "speech_seconds": round(sum(seconds), 2)}
    report |= {"clock": "processor" if given.processor else "wall"}
    report |= {"voice": voice.name, "model": voice.model_name, "steps": given.steps, "say_real_time_factor": round(ours, 4)}
    if decoder is not None:
        theirs = median_seconds(lambda: [peer_flow(decoder, s) for s in seconds], given.rounds, clock) / sum(seconds)
        report |= {"peer": "Matcha-TTS decoder", "peer_steps": PEER_STEPS, "peer_decoder_real_time_factor": round(theirs, 4)}
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
