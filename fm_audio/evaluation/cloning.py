"""Does a cloned voice sound like its reference? Speakers that are imitated, and whom the result is like.

    own = mean cosine of a clip to other recordings of the speaker imitated,   other = the same to each other speaker, averaged
    moved = own − mean cosine to the same recordings of clips that imitate somebody else

A model that ignores its reference has own = other and moved = 0. Speakers from another room than all that a model knows are far
from whatever it says; "moved" tells whether it follows them. Intervals are drawn over speakers and over their clips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from fm_audio.evaluation.clips import Clip, Line, Setting, manifest_lines, read
from fm_audio.evaluation.metrics import Interval, grouped_interval, timed
from fm_audio.evaluation.speaker import SpeakerEncoder
from fm_audio.extras import require
from fm_audio.types import FmAudioError
from fm_audio.voices.cloner import Cloner
from fm_audio.voices.reference import LONGEST_SECONDS, SHORTEST_SECONDS

REFERENCE_SECONDS = 6.0  # the recording nearest to this length is the one that is imitated


@dataclass(frozen=True)
class Speaker:
    """Somebody with recordings. `reference` and its text are what is imitated, `compared` what the result is compared with."""

    name: str
    reference: Path
    text: str
    compared: tuple[Path, ...]


def speakers(manifests: Sequence[Path], wanted: Sequence[str], clips: int) -> list[Speaker]:
    """Those of the manifests whose names match a pattern such as `mix_*`, in the order of their names, with at most `clips`
    recordings to compare with: others than the reference, where there are any.

    Raises FmAudioError for patterns that nobody matches and speakers without a recording that can be imitated.
    """
    lines = [line for manifest in manifests for line in manifest_lines(manifest)]
    names = sorted({str(line.speaker) for line in lines})
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise FmAudioError(f"speaker {pattern!r}: is in none of the manifests; they have {', '.join(names)}")
    chosen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]
    return [_speaker(name, [line for line in lines if line.speaker == name], clips) for name in chosen]


def _speaker(name: str, lines: Sequence[Line], clips: int) -> Speaker:
    seconds = {line.path: soundfile.info(str(line.path)).duration for line in lines}
    fit = [x for x in lines if x.text and SHORTEST_SECONDS <= seconds[x.path] <= LONGEST_SECONDS]
    if not fit:
        limits = f"{SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} s"
        raise FmAudioError(f"speaker {name!r}: has no recording of {limits} with a text; add one or leave the speaker out")
    chosen = min(fit, key=lambda line: abs(seconds[line.path] - REFERENCE_SECONDS))
    others = tuple(line.path for line in lines if line.path != chosen.path)[:clips]
    return Speaker(name, chosen.path, str(chosen.text), others or (chosen.path,))


def imitate(
    cloner: Cloner, sentences: Sequence[str], setting: Setting, seed: int, speaker: Speaker, length: str | None = None
) -> Iterator[Clip]:
    """Each sentence in a speaker's voice, timed after the first was said once to warm up; sentence i with seed + i."""
    reference, how = read(speaker.reference), setting.arguments() | {"length": length}
    forwards = cloner.model.forwards(cloner.sampling.changed(**setting.arguments()))
    for i, sentence in enumerate(sentences):
        if i == 0:
            cloner.say(sentence, reference, speaker.text, seed=seed, **how)
        said, seconds = timed(lambda text=sentence, n=i: cloner.say(text, reference, speaker.text, seed=seed + n, **how))  # type: ignore[misc]
        yield Clip(said, seconds, forwards)


def voices_of(encoder: SpeakerEncoder, cast: Sequence[Speaker]) -> dict[str, np.ndarray]:
    """The embeddings of each speaker's recordings that clips are compared with, (recordings e)."""
    return {who.name: np.stack([encoder.embed(read(path)) for path in who.compared]) for who in cast}


@dataclass(frozen=True)
class Likeness:
    """Cosines of clips to recordings: of the speaker imitated, of the others, and the first less the second.

    `nearest` is the share of clips that are most like the speaker imitated, of `speakers` in all. `recorded` is how alike the
    imitated speakers' own recordings are, which no copy can be expected to exceed; None where each has one alone. The word error
    rate is that of all clips. `moved` is how much nearer to the speaker a clip is than clips that imitate others; None where
    nobody else is imitated.
    """

    label: str
    word_error_rate: Interval
    own: Interval
    other: Interval
    above: Interval
    nearest: Interval
    speakers: int
    recorded: float | None
    moved: Interval | None = None

    def report(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def likeness(
    label: str,
    wrong: Interval,
    clips: Mapping[str, Sequence[np.ndarray]],
    voices: Mapping[str, np.ndarray],
    of: Sequence[str] | None = None,
) -> Likeness:
    """`clips`: embeddings of what was said as each speaker; `voices`: those of everybody's recordings, two speakers at least.
    `wrong` is the word error rate of the clips that count: those of the speakers `of`, or all.

    Raises FmAudioError where there is nobody else to compare with.
    """
    if len(voices) < 2:
        raise FmAudioError("--imitate: there is one speaker and nobody to tell them from; name others with --among")
    own, other, nearest, moved = [], [], [], []
    names = list(clips) if of is None else list(of)
    for name in names:
        said = clips[name]
        alike = {who: (np.stack(said) @ recorded.T).mean(1) for who, recorded in voices.items()}  # of each clip
        mine = alike.pop(name)
        others = np.stack(list(alike.values()))
        own.append(mine.tolist())
        other.append(others.mean(0).tolist())
        nearest.append((mine > others.max(0)).astype(float).tolist())
        elsewhere = [(np.stack(clips[who]) @ voices[name].T).mean() for who in clips if who != name]
        if elsewhere:
            moved.append((mine - np.mean(elsewhere)).tolist())
    above = [[a - b for a, b in zip(x, y, strict=True)] for x, y in zip(own, other, strict=True)]
    several = [voices[name] for name in names if len(voices[name]) > 1]
    recorded = float(np.mean([_mutual(v) for v in several])) if several else None
    figures = (grouped_interval(own), grouped_interval(other), grouped_interval(above), grouped_interval(nearest))
    return Likeness(label, wrong, *figures, len(voices), recorded, grouped_interval(moved) if moved else None)


def _mutual(voices: np.ndarray) -> float:
    """Mean cosine of each to all the others."""
    table, n = voices @ voices.T, len(voices)
    return float((table.sum() - table.trace()) / (n * (n - 1)))


def table(found: Sequence[Likeness]) -> Any:
    """A rich table with a row for each setting."""
    made = require("rich.table", "the table of likeness").Table(
        title="likeness to the speaker imitated", caption="in brackets: 95 % bootstrap interval over speakers and their clips"
    )
    columns = ("setting", "WER %", "to the own speaker", "to others", "difference", "moved", "most like the own", "among")
    for column in columns:
        made.add_column(column)
    for x in found:
        wrong, share = (f"{100 * i.value:.1f} [{100 * i.low:.1f}, {100 * i.high:.1f}]" for i in (x.word_error_rate, x.nearest))
        recorded = "" if x.recorded is None else f"{x.recorded:.2f}"
        moved = "" if x.moved is None else _shown(x.moved, signed=True)
        alike = (_shown(x.own), _shown(x.other), _shown(x.above, signed=True), moved)
        made.add_row(x.label, wrong, *alike, f"{share} % (of {x.speakers} speakers)", recorded)
    return made


def _shown(x: Interval, signed: bool = False) -> str:
    return ("{:+.3f} [{:+.3f}, {:+.3f}]" if signed else "{:.3f} [{:.3f}, {:.3f}]").format(x.value, x.low, x.high)
