"""Clips in, cuts and a report out: the steps that every corpus shares.

measure each file ─▶ leave out what is unusable ─▶ trim ─▶ hold out texts ─▶ cuts.jsonl.gz, validation.jsonl.gz
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from data_prep import align
from data_prep.checks import SILENT_PEAK, Measured, measure
from data_prep.clip import Clip, normal_text
from data_prep.report import Report
from fm_audio.types import FmAudioError


@dataclass(frozen=True)
class Options:
    """How clips become cuts; what a corpus does not say of itself."""

    licence: str
    synthetic: bool = False
    trim_seconds: float | None = None
    silence_db: float = 45.0
    min_seconds: float = 0.3
    max_seconds: float = 30.0
    select: dict[str, str] = field(default_factory=dict)
    exclude_speakers: tuple[str, ...] = ()
    exclude_texts: frozenset[str] = frozenset()
    hold_out: int = 0
    copy: bool = False
    relative: bool = False
    workers: int = 1


def add_arguments(parser: argparse.ArgumentParser, licence: str = "unstated") -> None:
    """The options that all corpus scripts take."""
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder of the corpus as published")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for cuts.jsonl.gz, validation.jsonl.gz and report.json")
    parser.add_argument("--licence", default=licence, help=f"licence of the speech, such as CC0-1.0 ({licence})")
    parser.add_argument("--synthetic", action="store_true", help="the speech was made by a machine")
    parser.add_argument(
        "--trim-seconds", type=float, metavar="MARGIN", help="leave at most MARGIN seconds of silence at the ends"
    )
    parser.add_argument("--silence-db", type=float, default=45.0, help="silence: this far below the loudest moment (45)")
    parser.add_argument("--min-seconds", type=float, default=0.3)
    parser.add_argument("--max-seconds", type=float, default=30.0)
    parser.add_argument("--select", action="append", default=[], metavar="FIELD=VALUE", help="keep clips whose field says so")
    parser.add_argument("--exclude-speaker", action="append", default=[], metavar="NAME", help="also mix_*")
    parser.add_argument(
        "--exclude-texts",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="leave out clips that say a line of it",
    )
    parser.add_argument("--hold-out", type=int, default=0, metavar="N", help="about one text in N goes to validation.jsonl.gz")
    parser.add_argument("--copy", action="store_true", help="copy the audio into OUT/audio, so that OUT can be moved")
    parser.add_argument("--relative", action="store_true", help="write audio paths relative to OUT")
    parser.add_argument("--workers", type=int, default=1, help="processes that read audio (1)")


def options_of(args: argparse.Namespace) -> Options:
    select = {}
    for pair in args.select:
        name, sign, value = pair.partition("=")
        if not sign:
            raise FmAudioError(f"--select {pair}: write FIELD=VALUE, for example first_take=true")
        select[name] = value
    texts: set[str] = set()
    for path in args.exclude_texts:
        try:
            texts |= {normal_text(t) for t in path.read_text(encoding="utf-8").splitlines() if t.strip()}
        except OSError as e:
            raise FmAudioError(f"--exclude-texts {path}: cannot be read ({e.strerror})") from e
    return Options(
        licence=args.licence,
        synthetic=args.synthetic,
        trim_seconds=args.trim_seconds,
        silence_db=args.silence_db,
        min_seconds=args.min_seconds,
        max_seconds=args.max_seconds,
        select=select,
        exclude_speakers=tuple(args.exclude_speaker),
        exclude_texts=frozenset(texts),
        hold_out=args.hold_out,
        copy=args.copy,
        relative=args.relative,
        workers=args.workers,
    )


def run(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> None:
    """A script's last line: mendable mistakes become one line and exit code 2."""
    try:
        main(argv)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(2) from e


def prepare(clips: Iterable[Clip], out: Path, options: Options, report: Report) -> Report:
    """Measure, check, trim and write. `report` may already name lines that the layout refused."""
    cuts: list[Any] = []
    validation: list[Any] = []
    wanted = list(_wanted(clips, options, report))
    seen: dict[str, str] = {}
    ids: set[str] = set()
    spoken: dict[tuple[str, str], str] = {}
    for clip, measured in zip(wanted, _measured(wanted, options), strict=True):
        why = measured if isinstance(measured, str) else _unusable(measured, options)
        if why is None and clip.id in ids:
            why = "another clip has the same id"
        if why is None and not isinstance(measured, str) and measured.digest in seen:
            why = f"same audio as {seen[measured.digest]}"
        if why is not None or isinstance(measured, str):
            report.drop(clip.id, str(why))
            continue
        seen[measured.digest] = clip.id
        ids.add(clip.id)
        _note(clip, measured, spoken, report)
        cut = _cut(clip, measured, out, options, report)
        held = options.hold_out > 0 and _text_hash(clip.text) % options.hold_out == 0
        (validation if held else cuts).append(cut)
    report.held_out += len(validation)
    if not cuts:
        raise FmAudioError("no clip is left to train on:\n" + "\n".join(report.lines()))
    write_cuts(cuts, out / "cuts.jsonl.gz")
    if options.hold_out:
        write_cuts(validation, out / "validation.jsonl.gz")
    report.write(out / "report.json")
    return report


def finish(clips: Iterable[Clip], out: Path, options: Options, report: Report) -> None:
    """Prepare, then print the report."""
    print("\n".join(prepare(clips, out, options, report).lines()))


def _wanted(clips: Iterable[Clip], options: Options, report: Report) -> Iterator[Clip]:
    for clip in clips:
        report.found += 1
        missed = [f"{k}={v}" for k, v in options.select.items() if _word(clip.extra.get(k)) != v.lower()]
        excluded = next((p for p in options.exclude_speakers if fnmatchcase(clip.speaker, p)), None)
        if excluded is not None:
            report.drop(clip.id, f"speaker {excluded} excluded")
        elif missed:
            report.drop(clip.id, f"not {missed[0]}")
        elif not normal_text(clip.text):
            report.drop(clip.id, "text without words")
        elif normal_text(clip.text) in options.exclude_texts:
            report.drop(clip.id, "text excluded")
        else:
            yield clip


def _word(value: Any) -> str:
    return str(value).lower()


def _measured(clips: list[Clip], options: Options) -> Iterator[Measured | str]:
    tasks = [(clip.path, options.silence_db) for clip in clips]
    if options.workers <= 1:
        yield from map(_measure_or_why, tasks)
        return
    with ProcessPoolExecutor(options.workers) as pool:
        yield from pool.map(_measure_or_why, tasks, chunksize=16)


def _measure_or_why(task: tuple[Path, float]) -> Measured | str:
    try:
        return measure(*task)
    except FmAudioError as e:
        return str(e)
    except OSError as e:
        return f"cannot be read ({e.strerror})"


def _unusable(m: Measured, options: Options) -> str | None:
    if m.peak < SILENT_PEAK:
        return "silent throughout"
    if m.seconds < options.min_seconds:
        return f"shorter than {options.min_seconds:g} s"
    if m.seconds > options.max_seconds:
        return f"longer than {options.max_seconds:g} s"
    return None


def _note(clip: Clip, m: Measured, spoken: dict[tuple[str, str], str], report: Report) -> None:
    if m.clipped_samples:
        report.note(clip.id, "clipped at full scale")
    key = (clip.speaker, normal_text(clip.text))
    if key in spoken:
        report.note(clip.id, "same text and speaker as an earlier clip")
    spoken.setdefault(key, clip.id)


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.sha1(normal_text(text).encode()).digest()[:8], "big")


def _bounds(m: Measured, options: Options) -> tuple[int, int]:
    """First sample and one past the last after trimming."""
    if options.trim_seconds is None:
        return 0, m.samples
    margin = round(options.trim_seconds * m.rate)
    return max(0, m.speech_start - margin), min(m.samples, m.speech_end + margin)


def _alignment(clip: Clip, m: Measured, report: Report) -> list[align.Aligned] | None:
    if not clip.phones:
        return None
    items = align.alignment(clip.phones, clip.durations_units, clip.unit_seconds * m.rate, m.samples)
    if items is None:
        report.note(clip.id, "durations do not add up to the audio; kept without them")
        return None
    report.aligned += 1
    return items


def _cut(clip: Clip, m: Measured, out: Path, options: Options, report: Report) -> Any:
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.supervision import AlignmentItem

    start, end = _bounds(m, options)
    items = _alignment(clip, m, report)
    seconds = (end - start) / m.rate
    phone = []
    if items is not None:
        begin = 0
        for item in align.cut_out(items, start, end):
            phone.append(AlignmentItem(item.symbol, begin / m.rate, (item.end - begin) / m.rate))
            begin = item.end
    recording = Recording(
        id=clip.id,
        sources=[AudioSource("file", list(range(m.channels)), _stored(clip.path, clip.id, out, options))],
        sampling_rate=m.rate,
        num_samples=m.samples,
        duration=m.samples / m.rate,
        channel_ids=list(range(m.channels)),
    )
    supervision = SupervisionSegment(
        id=clip.id,
        recording_id=clip.id,
        start=0.0,
        duration=seconds,
        text=clip.text,
        speaker=clip.speaker,
        language=clip.language,
        alignment={"phone": phone} if phone else None,
        custom={"licence": options.licence, "synthetic": options.synthetic, **clip.extra},
    )
    report.keep(clip.id, clip.speaker, clip.text, seconds, m.seconds, m.silent_share, m.rate)
    return MonoCut(clip.id, start / m.rate, seconds, 0, supervisions=[supervision], recording=recording)


def _stored(path: Path, name: str, out: Path, options: Options) -> str:
    """The path written into the cut."""
    if options.copy:
        target = out / "audio" / f"{name}{path.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return target.relative_to(out).as_posix()
    return Path(os.path.relpath(path, out)).as_posix() if options.relative else str(path.resolve())


def write_cuts(cuts: list[Any], path: Path) -> None:
    """A gzipped cut manifest, written whole or not at all."""
    from lhotse import CutSet

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{path.name}")
    CutSet.from_cuts(cuts).to_file(temporary)
    temporary.replace(path)
