"""`fm-audio distill --teacher DIR --data CUTS -o OUT`: a student that takes one to four steps where its teacher takes many.

For runs of hours, with checkpoints, any recipe distils by a flag instead: `--model.init_args.distill`
(`fm_audio.training.distill`).
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.adapt.folders import base_of, write_merged
from fm_audio.checkpoint import load_model, read_config, save_model
from fm_audio.commands.export import model_named
from fm_audio.commands.running import add_training_precision
from fm_audio.data.pairs import PairsDataModule
from fm_audio.data.speech import SpeechDataModule
from fm_audio.flow.distillation import QUIETEST
from fm_audio.folders import becoming, require_new
from fm_audio.tasks.text_to_audio import RETRIEVE, TextToAudio
from fm_audio.training.distill import OBJECTIVES, Distill, teacher_sampling
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import TENSORS, read_adapter
from fm_audio.voices.find import device_named

EXAMPLES = """examples:
  fm-audio distill --teacher english --data data/kokoro_voices/cuts.jsonl.gz -o runs/english_fast --minutes 60
  fm-audio distill --teacher voices/anna --data data/anna/cuts.jsonl.gz -o voices/anna_fast --steps 2000      an adapter too
  fm-audio distill --teacher runs/pronunciation/model --data data/pronunciations/train.tsv -o runs/fast --guidance 1"""
TOKENS_A_SECOND = 50  # a batch of texts that costs about what so much sound does


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio distill",
        description="Teach a model of few steps by one of many.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    teacher = "a model folder, the name of one that ships, or an adapter of fm-audio adapt"
    made.add_argument("--teacher", type=Path, required=True, metavar="NAME|DIR", help=teacher)
    made.add_argument("--data", required=True, nargs="+", metavar="FILE", help="cuts.jsonl.gz, or pairs.tsv of a text model")
    made.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="the new folder to write")
    made.add_argument("--objective", choices=sorted(OBJECTIVES), default="flow_map", help="(default: flow_map)")
    made.add_argument("--guidance", type=float, help="the teacher's weight, baked in (default: the one it samples with)")
    scaled = "what the noise of training is scaled by (default: 0.5 1); best near the temperature that the student speaks at"
    made.add_argument("--temperatures", type=float, nargs=2, default=(QUIETEST, 1.0), metavar=("LEAST", "MOST"), help=scaled)
    made.add_argument("--steps", type=int, default=2000, metavar="N", help="of training (default: 2000)")
    made.add_argument("--minutes", type=float, metavar="M", help="at most so long")
    made.add_argument("--learning-rate", type=float, default=3e-4, help="(default: 0.0003)")
    size = "seconds in a batch, of texts 50 tokens each (default: 60)"
    made.add_argument("--batch", type=float, default=60.0, metavar="S", help=size)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    add_training_precision(made)
    return made


def main(argv: Sequence[str]) -> int:
    """Exit code 0 when the folder was written whole. Raises FmAudioError, before long work, for what cannot be distilled."""
    given = parser().parse_args(argv)
    if given.steps < 1 or not given.batch > 0 or not (given.minutes is None or given.minutes > 0):
        raise FmAudioError("--steps, --minutes and --batch: give numbers above 0")
    if not 0 < given.learning_rate < math.inf:
        raise FmAudioError(f"--learning-rate: is {given.learning_rate:g}; give a number above 0, often 0.0003")
    device_named(given.device)
    require_new(given.out)
    with tempfile.TemporaryDirectory() as scratch:
        teacher = whole_teacher(given.teacher, Path(scratch))
        config = read_config(teacher)
        model = load_model(teacher)
        guidance = given.guidance if given.guidance is not None else teacher_sampling(teacher, model).guidance
        distill = Distill(str(teacher), given.objective, guidance, tuple(given.temperatures))
        distill.begin(model)
        batches = data_of(model, given.data, given.batch, given.seed).endless()
        with becoming(given.out) as hidden:
            weights = _trained(model, batches, given, hidden)
            state = {**model.state_dict(), **weights}
            save_model(hidden, distill.exported(config["model"]), state, distill.beside(hidden), half=True)
    print(f"{given.out}: a student of {given.teacher} by {given.objective}, guidance {guidance:g} baked in", file=sys.stderr)
    return 0


def whole_teacher(folder: Path, scratch: Path) -> Path:
    """The folder itself, or the one of a model that ships; of an adapter, a whole model made of it and its base, in `scratch`."""
    if not (folder / TENSORS).is_file():
        return folder if folder.exists() else model_named(str(folder))[0]
    adapter = read_adapter(folder)
    write_merged(scratch, adapter, base_of(adapter), half=False)
    return scratch


def data_of(task: nn.Module, files: Sequence[str], batch: float, seed: int) -> Any:
    """What a task learns from: cuts where it has a mel, pairs where it has texts alone. Raises FmAudioError for other tasks."""
    known: Any = task
    module: Any
    if hasattr(task, "spec"):
        of_sounds = isinstance(task, TextToAudio)
        module = SpeechDataModule(
            list(files), [], known.spec, known.frontend, batch, seed=seed, pitch=getattr(task, "pitch", None) is not None,
            captions=of_sounds, retrieve=RETRIEVE if of_sounds and known.clips is not None else 0,
        )  # fmt: skip
    elif hasattr(task, "target"):
        module = PairsDataModule(list(files), [], known.source, known.target, round(TOKENS_A_SECOND * batch), seed=seed)
    else:
        raise FmAudioError(f"distill: {type(task).__name__} says neither what it hears nor what it writes; distil its recipe")
    module.setup()
    return module


def _trained(model: nn.Module, batches: Iterable[Any], given: argparse.Namespace, folder: Path) -> dict[str, Tensor]:
    """The running mean of what was trained."""
    from fm_audio.training.brief import fit

    kept: dict[str, Tensor] = {}

    def look(step: int, trained: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> bool:
        kept.update(averaged)
        return False

    torch.manual_seed(given.seed)
    with tempfile.TemporaryDirectory() as work:
        steps = fit(
            model, batches, look, 10**9, given.steps, Path(work), given.minutes, given.learning_rate, seed=given.seed,
            device=given.device, precision=given.precision, progress=sys.stderr.isatty(),
        )  # fmt: skip
    print(f"{steps} steps", file=sys.stderr)
    if not all(bool(value.isfinite().all()) for value in kept.values()):
        raise FmAudioError("distill: the student's weights are no numbers any more; lower --learning-rate")
    model.to("cpu")
    return {name: value.cpu() for name, value in kept.items()}
