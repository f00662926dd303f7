"""`fm-audio adapt`: a new voice from recordings. `fm-audio adapt merge`: an adapter and its base as one whole voice."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fm_audio.adapt.adaptation import Settings, adapt
from fm_audio.adapt.card import UNSTATED
from fm_audio.adapt.ears import open_ears
from fm_audio.adapt.folders import CARD, PAGE, base_of, write_merged
from fm_audio.adapt.recordings import Source
from fm_audio.adapt.sounds import adapt_sounds
from fm_audio.commands.running import add_training_precision
from fm_audio.data.text.borrowed import BorrowedPhones
from fm_audio.data.text.characters import ENGLISH, GERMAN
from fm_audio.folders import becoming, require_new
from fm_audio.training.low_rank import TARGETS, USUAL_TARGETS
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import read_adapter
from fm_audio.voices.sounds import KIND, kind_of

ALPHABETS = {"english": ENGLISH, "german": GERMAN}
EXAMPLE = """examples:
  fm-audio adapt --data anna_wavs -o voices/anna --consent "Anna, in writing, 3 May" --licence CC-BY-4.0
  fm-audio adapt --voice heart --data anna_wavs -o voices/anna --minutes 20        twenty minutes, then stop
  fm-audio adapt --data kerstin -o voices/kerstin --language de --phonemes --rank 32
  fm-audio adapt --data kerstin -o voices/kerstin --language de --alphabet german --rank 32
  fm-audio say "Hello, this is Anna." -o anna.wav --adapter voices/anna
  fm-audio adapt --voice english_cloner --data anna_wavs -o voices/anna        a model that clones learns one person well
  fm-audio clone "Hello, this is Anna." -o anna.wav --adapter voices/anna
  fm-audio adapt --voice made_sounds --data our_sounds -o adapters/ours       sounds, told by captions or by their files' names
  fm-audio adapt merge voices/anna -o voices/anna_whole"""


def main(argv: Sequence[str]) -> int:
    """Exit code 0 when the folder was written whole. Raises FmAudioError on anything that cannot be used."""
    if argv[:1] == ["merge"]:
        return merge(argv[1:])
    given = parser().parse_args(argv)
    settings, source = _settings(given), _source(given)
    require_new(given.output)
    if given.voice is not None and kind_of(given.voice) == KIND:
        report = adapt_sounds(given.voice, source, given.output, settings, shlex.join(["fm-audio", "adapt", *argv]), _tell)
        return _done(given, report)
    ears = open_ears(given.judge, given.language, torch.get_num_threads())
    report = adapt(given.voice, source, given.output, settings, ears, shlex.join(["fm-audio", "adapt", *argv]), _tell)
    return _done(given, report)


def _done(given: argparse.Namespace, report: dict[str, Any]) -> int:
    if given.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    _tell(f"{given.output}: {report['megabytes']:.2f} MB; read {CARD}, listen to {PAGE}")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="fm-audio adapt",
        description="A new voice from recordings. Use recordings only of people who agreed to it.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bases = "the base: a shipped voice, a model that clones or makes sounds, or a folder (default: the default voice)"
    made.add_argument("--voice", metavar="NAME|DIR", help=bases)
    layouts = "a folder with metadata.csv, with a .txt beside each .wav, with a manifest, or Lhotse cuts"
    made.add_argument("--data", type=Path, required=True, metavar="DIR|FILE", help=layouts)
    made.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the new folder to write")
    made.add_argument("--name", help="what the voice is called (default: the output folder's name)")
    made.add_argument("--speaker", help="whose clips to take, where there are several speakers")
    made.add_argument("--consent", default=UNSTATED, metavar="TEXT", help="who agreed to this voice, and how; stands on the card")
    made.add_argument("--licence", default=UNSTATED, help="licence of the recordings; stands on the card")
    made.add_argument("--synthetic", action="store_true", help="the recordings were made by a machine")
    made.add_argument("--data-minutes", type=_above_zero, metavar="M", help="train on no more than M minutes of the recordings")
    made.add_argument("--language", default="en", help="two letters, for the judge (default: en)")
    letters = f"read by letters ({', '.join(ALPHABETS)}, or the letters themselves); those the base lacks are learned"
    reads = made.add_mutually_exclusive_group()
    reads.add_argument("--alphabet", metavar="NAME|LETTERS", help=letters)
    phones = "read by eSpeak's phones of --language (pip install 'fm_audio[phonemes]'); the base's serve where it has them"
    reads.add_argument("--phonemes", action="store_true", help=phones)
    end = made.add_argument_group("when to stop", "By itself when the judges hear nothing better; needs them installed.")
    end.add_argument("--steps", type=_positive, metavar="N", help="at most N steps")
    end.add_argument("--minutes", type=_above_zero, metavar="M", help="at most M minutes of training, checks included")
    end.add_argument("--judge", default="auto", help="auto, none, whisper-base, whisper-tiny.en, transformers:NAME or a folder")
    end.add_argument("--look-every", type=_positive, default=100, metavar="N", help="steps between checks (default: 100)")
    end.add_argument("--patience", type=_positive, default=4, metavar="N", help="checks without anything better (default: 4)")
    end.add_argument(
        "--sentences", type=_positive, default=8, metavar="N", help="held-out sentences that are judged (default: 8)"
    )
    how = made.add_argument_group("how to learn")
    how.add_argument("--full", action="store_true", help="train all weights and write a whole voice instead of an adapter")
    how.add_argument("--rank", type=_positive, metavar="R", help="rank of the adapter (default: 16, or what makes 20 MB)")
    targets = f"what it bends, of {','.join(TARGETS)} (default: {','.join(USUAL_TARGETS)}; for another language all of them)"
    how.add_argument("--targets", metavar="NAMES", help=targets)
    how.add_argument("--learning-rate", type=_above_zero, help="highest (default: 0.0005, or 0.0002 with --full)")
    how.add_argument("--batch-seconds", type=_above_zero, default=60.0, metavar="S", help="speech in a batch (default: 60)")
    replays = "cuts of the base's own speakers, or of other people for a base that clones, against forgetting"
    how.add_argument("--replay", type=Path, metavar="DIR|FILE", help=replays)
    how.add_argument("--replay-share", type=_share, default=0.3, metavar="P", help="of the batches (default: 0.3)")
    how.add_argument("--seed", type=int, default=0)
    how.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    add_training_precision(how)
    made.add_argument("--json", action="store_true", help="the report on stdout, as JSON")
    return made


def _source(given: argparse.Namespace) -> Source:
    name = given.name or given.output.name
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise FmAudioError(f"--name {name!r}: a voice is called by letters, digits, - and _; choose such a name")
    if not given.data.exists():
        raise FmAudioError(f"--data {given.data}: is not there; give a folder of recordings or a manifest of cuts")
    return Source(given.data, name, given.language, given.speaker, given.licence, given.synthetic, minutes=given.data_minutes)


def _settings(given: argparse.Namespace) -> Settings:
    return Settings(
        steps=given.steps,
        minutes=given.minutes,
        full=given.full,
        rank=given.rank,
        targets=tuple(given.targets.split(",")) if given.targets else (),
        learning_rate=given.learning_rate,
        batch_seconds=given.batch_seconds,
        look_every=given.look_every,
        patience=given.patience,
        sentences=given.sentences,
        replay=given.replay,
        replay_share=given.replay_share,
        reads=_reads(given.alphabet, given.language if given.phonemes else None),
        consent=given.consent,
        seed=given.seed,
        device=given.device,
        precision=given.precision,
        progress=sys.stderr.isatty(),
    )


def _reads(alphabet: str | None, spoken: str | None) -> dict[str, Any] | None:
    """The node of a front-end that reads by letters, or by the phones of a spoken language. Raises FmAudioError where eSpeak is
    missing or lacks the language."""
    if spoken is not None:
        BorrowedPhones(spoken).encode("1")
        return {"class_path": "fm_audio.data.text.borrowed.BorrowedPhones", "init_args": {"language": spoken}}
    if alphabet is None:
        return None
    arguments = {"alphabet": ALPHABETS.get(alphabet, alphabet), "english": alphabet == "english"}
    return {"class_path": "fm_audio.data.text.characters.Characters", "init_args": arguments}


def merge(argv: Sequence[str]) -> int:
    """A base and one adapter as a whole model folder, which speaks or clones as the adapter does."""
    made = argparse.ArgumentParser(
        prog="fm-audio adapt merge", description=merge.__doc__, epilog=EXAMPLE.splitlines()[-1].strip()
    )
    made.add_argument("adapter", type=Path, metavar="ADAPTER", help="a folder that fm-audio adapt wrote")
    made.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the new folder to write")
    made.add_argument("--voice", metavar="NAME|DIR", help="the base, where it is no longer where it was")
    made.add_argument("--half", action="store_true", help="half the size: weights rounded to float16")
    given = made.parse_args(argv)
    require_new(given.output)
    adapter = read_adapter(given.adapter)
    base = base_of(adapter, given.voice)
    with becoming(given.output) as hidden:
        write_merged(hidden, adapter, base, given.half)
        if (given.adapter / CARD).is_file():
            (hidden / CARD).write_bytes((given.adapter / CARD).read_bytes())
    print(given.output)
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"given {text}; allowed is a whole number from 1")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"given {text}; allowed is a number above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"given {text}; allowed is above 0 and below 1")
    return value
