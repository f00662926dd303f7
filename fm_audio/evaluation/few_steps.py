"""What few steps cost to the ear: reports of `fm-audio eval`, of a teacher and its student, in one table and one picture.

Of a report on several speakers the rows are means over all of them, with intervals that draw speakers and then their clips. Word
error and DNSMOS are also told above a baseline, on the same sentences, in pairs. Distances of mels are those that
`fm_audio.evaluation.student_distance` wrote.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fm_audio.checkpoint import read_json
from fm_audio.evaluation.metrics import Edits, Interval, difference_interval, grouped_interval, mean_interval
from fm_audio.extras import require
from fm_audio.types import FmAudioError

EXAMPLE = """example:
  python -m fm_audio.evaluation.few_steps teacher=results/teacher/results.json student=results/student/results.json \\
      --against teacher@32 --distances distances.json -o few_steps.png"""
PANELS = ("word error, %", "similarity", "DNSMOS overall", "mel distance (1: another reading)")


@dataclass(frozen=True)
class Row:
    """One setting of one report, of one speaker or of several; rates are fractions."""

    curve: str
    forwards: int
    told: tuple[Mapping[str, Any], ...]
    protocol: str

    @property
    def sentences(self) -> list[Sequence[Mapping[str, Any]]]:
        """Of each speaker."""
        return [of_one["sentences"] for of_one in self.told]

    def rate(self, unit: str) -> Interval:
        """The error rate of "word" or "character"."""
        if len(self.told) == 1:
            return Interval(**self.told[0][f"{unit}_error_rate"])
        return grouped_interval([_shares(some, some, f"{unit}s") for some in self.sentences])

    def count(self, what: str) -> int:
        return sum(of_one[what] for of_one in self.told)

    def above(self, other: Row) -> tuple[Interval, Interval | None]:
        """Word error and DNSMOS less the other row's, by sentence; without the second where no judge told it."""
        if len(self.told) != len(other.told):
            many = f"is of {len(self.told)} speakers, {other.curve} of {len(other.told)}"
            raise FmAudioError(f"{self.curve}: {many}; judge the same")
        both = list(zip(self.sentences, other.sentences, strict=True))
        pairs = [[(a["dnsmos"], b["dnsmos"]) for a, b in zip(x, y, strict=True)] for x, y in both]
        quality = [[a["overall"] - b["overall"] for a, b in some if a and b] for some in pairs]
        if len(both) == 1:
            mine, theirs = ([Edits(**sentence["words"]) for sentence in some] for some in both[0])
            return difference_interval(mine, theirs), mean_interval(quality[0]) if quality[0] else None
        return grouped_interval([_shares(x, y, "words") for x, y in both]), grouped_interval(quality) if all(quality) else None

    def figure(self, panel: str) -> Interval | None:
        """In the panel's unit; None where no judge told it."""
        if panel == PANELS[0]:
            i = self.rate("word")
            return Interval(100 * i.value, 100 * i.low, 100 * i.high)
        if len(self.told) == 1:
            one = self.told[0]
            found = one["similarity"] if panel == PANELS[1] else (one["dnsmos"] or {}).get("overall")
            return Interval(**found) if found else None
        each = [[_judged(sentence, panel) for sentence in some] for some in self.sentences]
        return None if any(value is None for some in each for value in some) else grouped_interval(each)  # type: ignore[arg-type]


def _judged(sentence: Mapping[str, Any], panel: str) -> float | None:
    return sentence["similarity"] if panel == PANELS[1] else (sentence["dnsmos"] or {}).get("overall")


def _shares(some: Sequence[Mapping[str, Any]], less: Sequence[Mapping[str, Any]], units: str) -> list[float]:
    """For each sentence of a speaker what it adds to the error rate; where `less` are others, less what they add."""
    wrong = [Edits(**sentence[units]) for sentence in some]
    other = [0 if less is some else Edits(**sentence[units]).total for sentence in less]
    mean = sum(edits.units for edits in wrong) / len(wrong)
    return [(edits.total - theirs) / mean for edits, theirs in zip(wrong, other, strict=True)]


def rows_of(curve: str, path: Path) -> list[Row]:
    """The settings of a report, of several speakers together. Raises FmAudioError where it is none, or tells no forwards."""
    told = read_json(path, "report", "give the results.json of fm-audio eval")
    try:
        alike: dict[str, list[Mapping[str, Any]]] = {}
        for i, setting in enumerate(told["settings"]):  # of clones each is labelled "SPEAKER, how"
            alike.setdefault(setting["label"].partition(", ")[2] if told.get("likeness") else str(i), []).append(setting)
        return [Row(curve, int(some[0]["forwards"]), tuple(some), some[0]["protocol"]) for some in alike.values()]
    except (ValueError, KeyError, TypeError) as e:
        raise FmAudioError(f"{path}: is no report of a voice by fm-audio eval ({e}); give its results.json") from e


def read(named: Sequence[str]) -> list[Row]:
    """NAME=FILE … -> rows by curve and forwards. Raises FmAudioError unless all were judged alike."""
    rows = []
    for each in named:
        curve, equals, file = each.partition("=")
        if not equals:
            raise FmAudioError(f"{each!r}: give NAME=FILE, such as student=results/results.json")
        rows += rows_of(curve, Path(file))
    if len({row.protocol for row in rows}) > 1:
        raise FmAudioError("the reports are of several protocols (sentences or judge); figures of one alone can be compared")
    order = list(dict.fromkeys(row.curve for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.curve), row.forwards))


def baseline(rows: Sequence[Row], named: str) -> Row:
    """The row of NAME@FORWARDS. Raises FmAudioError naming those there are."""
    found = {f"{row.curve}@{row.forwards}": row for row in rows}
    if named not in found:
        raise FmAudioError(f"--against {named}: there are {', '.join(found)}")
    return found[named]


def table(rows: Sequence[Row], against: Row | None = None) -> list[str]:
    """Lines of Markdown."""
    heads = ["", "forwards", "word error %", "character error %", "left out / twice", "similarity", "DNSMOS overall"]
    lines = [heads]
    if against:
        lines = [heads + [f"{what} above {against.curve}, {against.forwards}" for what in ("word error %", "DNSMOS")]]
    for row in rows:
        error = [_shown(row.rate(unit), 100) for unit in ("word", "character")]
        faults = f"{row.count('words_left_out')} / {row.count('words_said_twice')}"
        judged = [_shown(f, places=2) if (f := row.figure(panel)) else "" for panel in PANELS[1:3]]
        above = [] if against is None else ["", ""] if row is against else _above(row, against)
        lines.append([row.curve, str(row.forwards), *error, faults, *judged, *above])
    lines.insert(1, ["---"] * len(lines[0]))
    return ["| " + " | ".join(line) + " |" for line in lines]


def _above(row: Row, against: Row) -> list[str]:
    words, quality = row.above(against)
    return [_shown(words, 100, signed=True), _shown(quality, places=2, signed=True) if quality else ""]


def _shown(i: Interval, times: float = 1, places: int = 1, signed: bool = False) -> str:
    value, low, high = (f"{times * x:{'+' if signed else ''}.{places}f}" for x in (i.value, i.low, i.high))
    return f"{value} [{low}, {high}]"


def draw(path: Path, rows: Sequence[Row], distances: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """A PNG of four panels against forwards; bars are 95 % intervals; curves stand a little apart, so that none is hidden."""
    figure = require("matplotlib.figure", "the picture of few steps").Figure(figsize=(8, 6.4), layout="constrained")
    places = figure.subplots(2, 2, sharex=True).ravel()
    curves = list(dict.fromkeys([*(row.curve for row in rows), *distances]))
    most = max([*(row.forwards for row in rows), *(p["forwards"] for points in distances.values() for p in points)])
    ticks = [2**k for k in range(int(most).bit_length())]
    for i, curve in enumerate(curves):
        style: dict[str, Any] = {"color": f"C{i}", "marker": "os^D"[i % 4], "ms": 5, "lw": 1.4, "label": curve}
        beside = 1.05 ** (i - (len(curves) - 1) / 2)
        for panel, place in zip(PANELS[:3], places, strict=False):
            known = [(row.forwards * beside, f) for row in rows if row.curve == curve and (f := row.figure(panel))]
            if known:
                values = [f.value for _, f in known]
                bars = [[f.value - f.low for _, f in known], [f.high - f.value for _, f in known]]
                place.errorbar([x for x, _ in known], values, yerr=bars, capsize=3, elinewidth=1, **style)
        points = distances.get(curve, ())
        if points:
            places[3].plot([p["forwards"] for p in points], [p["error"] for p in points], **style)
    for panel, place in zip(PANELS, places, strict=True):
        place.set_title(panel + ("" if panel == PANELS[3] else " [95 %]"), fontsize=12)
        place.set_xscale("log")
        place.set_xticks(ticks, [str(n) for n in ticks])
        place.minorticks_off()
        place.grid(alpha=0.3)
    places[0].set_ylim(bottom=0)
    places[3].set_yscale("log")
    places[3].yaxis.set(major_formatter="{x:g}")
    for place in places[2:]:
        place.set_xlabel("forwards")
    if not distances:
        places[3].set_axis_off()
        places[3].set_title("")
    shown = {label: handle for place in places for handle, label in zip(*place.get_legend_handles_labels(), strict=True)}
    figure.legend(list(shown.values()), list(shown), loc="outside upper center", ncols=min(len(shown), 4), fontsize=10)
    figure.savefig(path, format="png", dpi=100)


def _distances(path: Path | None) -> dict[str, list[dict[str, float]]]:
    if path is None:
        return {}
    hint = "write it with fm_audio.evaluation.student_distance"
    told = read_json(path, "file of distances", hint)
    if not isinstance(told, dict) or "distances" not in told:
        raise FmAudioError(f"{path}: holds no distances; {hint}")
    return told["distances"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fm_audio.evaluation.few_steps",
        description=str(__doc__).splitlines()[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("reports", nargs="+", metavar="NAME=FILE.json", help="reports of fm-audio eval; one name, one curve")
    parser.add_argument("--against", metavar="NAME@FORWARDS", help="the row above which the others are told too")
    parser.add_argument("--distances", type=Path, metavar="FILE.json", help="what student_distance wrote")
    parser.add_argument("-o", dest="picture", type=Path, metavar="PNG", help="draw them")
    given = parser.parse_args(argv)
    try:
        rows = read(given.reports)
        against = baseline(rows, given.against) if given.against else None
        distances = _distances(given.distances)
        if given.picture:
            if not given.picture.parent.is_dir():
                raise FmAudioError(f"{given.picture}: there is no folder {given.picture.parent}; make it first")
            draw(given.picture, rows, distances)
    except FmAudioError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    print("\n".join(table(rows, against)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
