"""Clips in, cuts and a report out: the steps that every corpus shares.

measure each file ─▶ leave out what is unusable ─▶ trim ─▶ hold out texts ─▶ cuts.jsonl.gz, validation.jsonl.gz
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from fm_audio.audio import Audio
from fm_audio.data.preparation import align
from fm_audio.data.preparation.checks import Measured, measure, read_whole
from fm_audio.data.preparation.clip import Clip, normal_text
from fm_audio.data.preparation.report import Report
from fm_audio.data.preparation.sieve import Objection, Sieve
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
    licences: tuple[str, ...] = ()  # patterns of those that are allowed; none: all
    hold_out: int = 0
    captions: bool = False  # texts are captions, of which a sound may have several
    copy: bool = False
    relative: bool = False
    workers: int = 1


def prepare(clips: Iterable[Clip], out: Path, options: Options, report: Report, objection: Objection | None = None) -> Report:
    """Measure, check, trim and write. `report` may already name lines that the layout refused."""
    cuts: list[Any] = []
    validation: list[Any] = []
    wanted = list(_wanted(clips, options, report))
    sieve = Sieve(report, options.min_seconds, options.max_seconds, objection, options.captions)
    for clip, measured in zip(wanted, _measured(wanted, options), strict=True):
        kept = sieve.keeps(clip.id, clip.speaker, clip.text, measured, partial(_sound, clip.path))
        if not kept or isinstance(measured, str):
            continue
        cut = _cut(clip, measured, out, options, report)
        held = bool(clip.extra.get("held")) or (options.hold_out > 0 and text_hash(clip.text) % options.hold_out == 0)
        (validation if held else cuts).append(cut)
    report.held_out += len(validation)
    if not cuts:
        raise FmAudioError("no clip is left to train on:\n" + "\n".join(report.lines()))
    write_cuts(cuts, out / "cuts.jsonl.gz")
    if options.hold_out or validation:
        write_cuts(validation, out / "validation.jsonl.gz")
    report.write(out / "report.json")
    return report


def _sound(path: Path) -> Audio:
    samples, rate = read_whole(path)
    return Audio(samples.mean(1), rate)


def _wanted(clips: Iterable[Clip], options: Options, report: Report) -> Iterator[Clip]:
    for clip in clips:
        report.found += 1
        missed = [f"{k}={v}" for k, v in options.select.items() if _word(clip.extra.get(k)) != v.lower()]
        excluded = next((p for p in options.exclude_speakers if fnmatchcase(clip.speaker, p)), None)
        if excluded is not None:
            report.drop(clip.id, f"speaker {excluded} excluded")
        elif options.licences and not any(fnmatchcase(_licence(clip, options), p) for p in options.licences):
            report.drop(clip.id, f"licence {_licence(clip, options)} not allowed")
        elif missed:
            report.drop(clip.id, f"not {missed[0]}")
        elif not normal_text(clip.text):
            report.drop(clip.id, "text without words")
        elif normal_text(clip.text) in options.exclude_texts:
            report.drop(clip.id, "text excluded")
        else:
            yield clip


def _licence(clip: Clip, options: Options) -> str:
    """The clip's own, where it has one."""
    return str(clip.extra.get("licence", options.licence))


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


def text_hash(text: str) -> int:
    """A number that the words of a text decide, the same for ever."""
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
