"""Somebody's recordings: read from one of four layouts, checked, and split into what trains and what is held out.

Both halves are chosen by the words of a text alone, so that more minutes of a person mean the same clips and some more, and the
held-out sentences stay the same ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fm_audio.audio import Audio
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.preparation.checks import Measured, measure_samples
from fm_audio.data.preparation.clip import normal_text
from fm_audio.data.preparation.layouts import Naming, read_folder
from fm_audio.data.preparation.prepare import Options, prepare, text_hash
from fm_audio.data.preparation.report import Report
from fm_audio.data.preparation.sieve import Objection, Sieve
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.evaluation.agreement import disagreements
from fm_audio.evaluation.recognisers import Recogniser
from fm_audio.types import FmAudioError

if TYPE_CHECKING:
    from lhotse.cut import Cut

log = logging.getLogger(__name__)
CUTS, VALIDATION = "cuts.jsonl.gz", "validation.jsonl.gz"
TRIM_SECONDS = 0.1
FEWEST_TEXTS = 4
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_HELD_OUT = 0.1, 2, 20


@dataclass(frozen=True)
class Recordings:
    """Lhotse cuts of one speaker, under the name of the new voice."""

    train: list[Any]
    held_out: list[Any]
    report: Report

    @property
    def minutes(self) -> float:
        return sum(cut.duration for cut in self.train) / 60


@dataclass(frozen=True)
class Source:
    """Where recordings lie, and what they do not say of themselves. `speaker` picks one of several."""

    path: Path
    voice: str
    language: str = "en"
    speaker: str | None = None
    licence: str = "unstated"
    synthetic: bool = False
    max_seconds: float = 20.0
    minutes: float | None = None


def gather(
    source: Source, work: Path, reads: FrontEnd, recogniser: Recogniser | None = None, tell: Callable[[str], None] = log.info
) -> Recordings:
    """Read, check and split; manifests of folders go to `work`. A recogniser listens to what will be used, and only to that.

    Raises FmAudioError when too little is left.
    """
    objection = readable(reads)
    report = Report(source.path.name, source.licence, source.synthetic)
    if source.path.is_file() or (source.path / CUTS).is_file():
        cuts, split = _from_cuts(source, report, objection)
    else:
        cuts, split = _from_folder(source, work, report, objection), None
    held_out = _held_out(cuts, report) if split is None else split
    train = [cut for cut in cuts if normal_text(cut.supervisions[0].text) not in held_out]
    held = [cut for cut in cuts if normal_text(cut.supervisions[0].text) in held_out]
    if recogniser is not None:
        minutes = (sum(c.duration for c in cuts) if source.minutes is None else sum(c.duration for c in held)) / 60
        tell(f"{source.path}: {recogniser.settings['name']} listens to {minutes + (source.minutes or 0):.0f} minutes")
    held, train = (_agreed(c, recogniser, source, report, m) for c, m in ((held, None), (train, source.minutes)))
    if not train or not held:
        raise FmAudioError(f"{source.path}: {len(train)} clips to train on and {len(held)} held out; give more recordings")
    for cut in [*train, *held]:
        cut.supervisions[0].speaker = source.voice
    report.held_out = len(held)
    return Recordings(train, held, report)


def readable(frontend: FrontEnd) -> Objection:
    """Speaks against a clip whose text the voice cannot read."""

    def objection(text: str, sound: Callable[[], Audio]) -> str | None:
        try:
            frontend.encode(text)
        except FmAudioError as e:
            return f"its text cannot be read: {e}"
        return None

    return objection


def _from_folder(source: Source, work: Path, report: Report, objection: Objection) -> list[Cut]:
    def count(where: str, why: str) -> None:
        report.found += 1
        report.drop(where, f"bad line: {why}")

    clips = read_folder(source.path, Naming(source.voice, source.language), count)
    speakers = sorted({clip.speaker for clip in clips})
    _require_one(source, speakers)
    clips = [clip for clip in clips if source.speaker is None or clip.speaker == source.speaker]
    options = Options(source.licence, source.synthetic, TRIM_SECONDS, max_seconds=source.max_seconds)
    prepare(clips, work, options, report, objection)
    return list(load_cuts(work / CUTS))


def _from_cuts(source: Source, report: Report, objection: Objection) -> tuple[list[Cut], set[str] | None]:
    """The usable cuts of a manifest, or of a folder with one, and the texts of its validation.jsonl.gz, if it has any."""
    folder = source.path if source.path.is_dir() else None
    cuts = list(load_cuts(source.path if folder is None else folder / CUTS))
    validation = list(load_cuts(folder / VALIDATION)) if folder is not None and (folder / VALIDATION).is_file() else []
    cuts += validation
    report.found += len(cuts)
    whole: list[Cut] = []
    for cut in cuts:
        if len(cut.supervisions) == 1 and normal_text(cut.supervisions[0].text or ""):
            whole.append(cut)
        else:
            report.drop(cut.id, "no text, or several")
    _require_one(source, sorted({str(c.supervisions[0].speaker) for c in whole}))
    whole = [c for c in whole if source.speaker is None or c.supervisions[0].speaker == source.speaker]
    sieve = Sieve(report, Options.min_seconds, source.max_seconds, objection)
    kept = [cut for cut in whole if _keeps(cut, sieve)]
    return kept, {normal_text(c.supervisions[0].text) for c in validation} or None


def _keeps(cut: Cut, sieve: Sieve) -> bool:
    rate, text, speaker = cut.sampling_rate, cut.supervisions[0].text, str(cut.supervisions[0].speaker)
    try:
        measured: Measured | str = measure_samples(_sound(cut).samples[:, None], rate)
    except FmAudioError as e:
        measured = str(e)
    if not sieve.keeps(cut.id, speaker, text, measured, partial(_sound, cut)) or isinstance(measured, str):
        return False
    sieve.report.keep(cut.id, speaker, text, cut.duration, cut.duration, measured.silent_share, rate)
    return True


def _require_one(source: Source, speakers: Sequence[str]) -> None:
    if source.speaker is not None and source.speaker not in speakers:
        raise FmAudioError(f"--speaker {source.speaker}: not in {source.path}, which has {', '.join(speakers[:20])}")
    if source.speaker is None and len(speakers) > 1:
        raise FmAudioError(f"{source.path}: {len(speakers)} speakers; choose one with --speaker: {', '.join(speakers[:20])}")


def _held_out(cuts: Sequence[Cut], report: Report) -> set[str]:
    texts = sorted({normal_text(c.supervisions[0].text) for c in cuts}, key=text_hash)
    if len(texts) < FEWEST_TEXTS:
        raise FmAudioError(
            f"{report.source}: {len(texts)} different texts are left, at least {FEWEST_TEXTS} are needed; "
            + " ".join(line.strip() for line in report.lines()[-4:])
        )
    return set(texts[: max(FEWEST_HELD_OUT, min(MOST_HELD_OUT, round(HELD_OUT_SHARE * len(texts))))])


def _agreed(
    cuts: Sequence[Cut], recogniser: Recogniser | None, source: Source, report: Report, minutes: float | None
) -> list[Cut]:
    """The first clips by the words they say that nothing speaks against: all, or as many as fill so many minutes, at least one.
    The others are withdrawn from the report."""
    taken: list[Cut] = []
    seconds = 0.0
    cuts = sorted(cuts, key=lambda c: text_hash(c.supervisions[0].text))
    items = [(cut.supervisions[0].text, partial(_sound, cut)) for cut in cuts]
    for cut, why in zip(cuts, disagreements(items, recogniser, source.language), strict=True):
        if taken and minutes is not None and seconds + cut.duration > 60 * minutes:
            break
        if why is not None:
            report.withdraw(cut.id, cut.supervisions[0].speaker, cut.duration, cut.sampling_rate, why)
            continue
        taken.append(cut)
        seconds += cut.duration
    return taken


def _sound(cut: Cut) -> Audio:
    return Audio(wave_of_cut(cut, cut.sampling_rate), cut.sampling_rate)
