"""`fm-audio voices`: what is installed and what is in the voice bank, one more for the bank, and who sounds like a recording."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fm_audio.commands.progress import progress_bar

EXAMPLES = """examples:
  fm-audio voices --json
  fm-audio voices --like somebody.wav
  fm-audio voices add anna anna.wav --text "I am Anna." --licence private --consent "Anna, in writing, 3 May"
  fm-audio voices vector anna.wav"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command and its own two."""
    what = "list the voices that are installed, and those of the voice bank"
    voices = commands.add_parser(
        "voices",
        help=what,
        description=f"{what.capitalize()}, with licence and consent.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    voices.add_argument("--json", action="store_true", help="print the list as JSON")
    voices.add_argument("--bank", type=Path, metavar="DIR", help="the voice bank (default: $FM_AUDIO_BANK, or one of yours)")
    voices.add_argument("--like", type=Path, metavar="FILE", help="sort by how much they sound like this recording")
    _add_encoder(voices)
    voices.set_defaults(run=_list)
    actions = voices.add_subparsers(metavar="ACTION")
    _add_add(actions)
    _add_vector(actions)


def _add_encoder(command: argparse.ArgumentParser) -> None:
    what = "who compares: resemblyzer (default), or transformers:NAME, an x-vector model"
    command.add_argument("--encoder", default="resemblyzer", metavar="NAME", help=what)


def _add_add(actions: Any) -> None:
    what = "put a recording into the voice bank"
    add = actions.add_parser(
        "add", help=what, description=f"{what.capitalize()}, to clone from. Never over another.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add.add_argument("name", help="what it is called from now on: letters, digits, - and _")
    add.add_argument("clip", type=Path, help="1 to 20 s of one voice")
    add.add_argument("--text", required=True, help="what it says, word for word")
    add.add_argument("--licence", required=True, help="the licence of the recording")
    add.add_argument("--consent", metavar="TEXT", help="who agreed to being cloned, and how; needed unless --synthetic")
    add.add_argument("--synthetic", action="store_true", help="a machine made it: no person was recorded")
    what = "what the voice is like, for fm-audio clone --voice-like: \"calm elderly man\""
    add.add_argument("--description", default="", metavar="TEXT", help=what)
    add.add_argument("--language", default="en", metavar="XX", help="two letters (default: en)")
    add.add_argument("--bank", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="another bank than yours")
    add.set_defaults(run=_add)


def _add_vector(actions: Any) -> None:
    what = "print the speaker vector of a recording"
    vector = actions.add_parser(
        "vector", help=what, description=f"{what.capitalize()}, as a JSON list of length one.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    vector.add_argument("clip", type=Path, help="a recording of one voice")
    _add_encoder(vector)
    vector.set_defaults(run=_vector)


def _list(args: argparse.Namespace) -> int:
    from fm_audio.voices import list_voices
    from fm_audio.voices.bank import VoiceBank

    bank = VoiceBank(args.bank)
    rows: list[dict[str, Any]] = [
        {"name": e.name, "model": e.folder.name, "default": e.is_default, **e.card} for e in list_voices()
    ]
    rows += [_row(voice) for voice in bank.voices()]
    if args.like is not None:
        rows = _by_likeness(rows, args, bank)
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    for row in rows:
        alike = f"{row['similarity']:.3f}  " if "similarity" in row else ""
        told = ", ".join(f"{k}: {v}" for k, v in row.items() if k not in NOT_SHOWN and v != "")
        print(f"{alike}{row['name']:<16} {row['model'] or 'reference':<16} {'default  ' if row['default'] else ''}{told}")
    return 0


NOT_SHOWN = ("name", "model", "default", "speaker", "similarity", "transcript", "file")


def _row(voice: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {"name": voice.card.name, "model": None, "default": False, **asdict(voice.card), "file": str(voice.path)}


def _by_likeness(rows: list[dict[str, Any]], args: argparse.Namespace, bank: Any) -> list[dict[str, Any]]:
    from fm_audio.audio import load_audio
    from fm_audio.evaluation.likeness import nearest
    from fm_audio.evaluation.speaker import READ_AT_HZ, load_speaker_encoder

    recording = load_audio(args.like, READ_AT_HZ)
    encoder = load_speaker_encoder(args.encoder)
    with progress_bar("listening") as progress:
        found = nearest(recording, encoder, bank, progress)
    known = {(row["name"], row["model"]): row for row in rows}
    return [{**known[f.name, f.model], "similarity": round(f.similarity, 4)} for f in found]


def _add(args: argparse.Namespace) -> int:
    from fm_audio.voices.bank import NOBODY, Card, VoiceBank

    consent = args.consent if args.consent is not None else NOBODY if args.synthetic else ""
    card = Card(args.name, args.text, args.licence, consent, not args.synthetic, args.language, args.description)
    print(VoiceBank(args.bank).add(card, args.clip).folder)
    return 0


def _vector(args: argparse.Namespace) -> int:
    from fm_audio.evaluation.speaker import speaker_vector

    print(json.dumps([round(float(x), 6) for x in speaker_vector(args.clip, args.encoder)]))
    return 0
