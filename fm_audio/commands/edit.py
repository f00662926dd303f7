"""`fm-audio edit in.wav --text-before … --text-after … -o out.wav`: other words in a recording, the rest bit for bit."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from fm_audio.commands.progress import progress_bar
from fm_audio.commands.sampling import chosen
from fm_audio.commands.speaking import add_cloner, add_sampling


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "change words of a recording in its own voice"
    edit = commands.add_parser(
        "edit",
        help=what,
        description=f"{what.capitalize()}; the rest stays bit for bit. Use voices only of people who agreed to it.",
        epilog='example: fm-audio edit in.wav --text-before "I met Anna." --text-after "I met Hannah." -o out.wav',
    )
    edit.add_argument("recording", type=Path, help="up to two minutes, in any format and rate")
    edit.add_argument("--text-before", required=True, help="what the recording says, word for word")
    edit.add_argument("--text-after", required=True, help="what it shall say")
    edit.add_argument("-o", "--output", type=Path, required=True, help="the file to write: .wav or .flac")
    add_cloner(edit)
    edit.add_argument("--aligner", metavar="VOICE", help="the voice that finds the words (default: the default voice; English)")
    add_sampling(edit, "model")
    edit.add_argument("--json", action="store_true", help="print the changes and where they are")
    edit.set_defaults(run=_edit)


def _edit(args: argparse.Namespace) -> int:
    from fm_audio.audio import require_writable
    from fm_audio.voices import load
    from fm_audio.voices.aligner import Aligner
    from fm_audio.voices.cloner import load_cloner
    from fm_audio.voices.editor import Editor
    from fm_audio.voices.recording import Recording, require_lossless

    recording = Recording.load(args.recording)
    require_lossless(require_writable(args.output), recording)
    cloner = load_cloner(args.model, args.device, args.preset, args.precision, args.compile, args.adapter)
    cloner.sampling = chosen(cloner.sampling, args)
    editor = Editor(cloner, Aligner(load(args.aligner, args.device).model))
    how = {k: getattr(args, k) for k in ("seed", "steps", "guidance", "temperature")}
    with progress_bar("editing") as progress:
        edited = editor.edit(recording, args.text_before, args.text_after, progress=progress, **how)
    edited.recording.save(args.output)
    if args.json:
        print(json.dumps({"output": str(args.output), "changes": [asdict(c) for c in edited.changes]}, indent=2))
    return 0
