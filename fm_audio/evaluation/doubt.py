"""How likely is a recording not what was asked for? All evidence as one number, by logistic regression on speech that was broken.

    log p / (1 − p) = b + Σ_k w_k (f_k(x_k) − mean_k) / scale_k          faults and whole recordings count as equally frequent

`doubt.json` holds the weights. Evidence comes on scales of its own: what runs to hundreds of nats is bent (arcsinh), what is
decided at a dozen is cut there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fm_audio.types import FmAudioError

ACOUSTIC = ("short", "missing", "repeated", "added", "garbled", "unlike", "misfit")  # `acoustics.Heard.values`
SEEN = "shown_"  # in front of the same by a model that was shown a recording of the speaker
SHOWN = tuple(SEEN + name for name in ACOUSTIC)
READ_AS = ("read_missing", "read_repeated", "read_added", "read_garbled")  # with a fault (`phone_alternatives`)
MATCHED = ("read_match", "read_unsaid", "read_more")  # log odds by a matcher
READ = ("read_word", "read_phone", "read_window", "read_all", "read_damaged", *READ_AS, *MATCHED)  # `reading.Read.values`
AGAIN = "again_"  # in front of what a second recogniser had to say
_HEARD = {  # by recognisers: one that can only write, one that can weigh texts, two of those
    "written": ("distance",),
    "weighed": ("nats", "gap", "distance"),
    "twice": ("nats", "gap", "distance", AGAIN + "nats", AGAIN + "gap", AGAIN + "distance"),
}
# of a speaker whom the acoustic model knows, of one of whom it was shown a recording, or of anybody
_SOUND = {"known": (*ACOUSTIC, *READ), "shown": (*SHOWN, *READ), "stranger": READ}
KINDS = {f"{heard}_{sound}": (*_HEARD[heard], *_SOUND[sound]) for heard in _HEARD for sound in _SOUND}
FILE = Path(__file__).with_name("doubt.json")
# evidence by alignment, and where its bending begins
_ALIGNED = ("missing", "repeated", "added", "garbled")
BENT = dict.fromkeys((*_ALIGNED, *(SEEN + name for name in _ALIGNED)), 360.0) | dict.fromkeys(READ_AS, 8.0)
CUT = ("gap", AGAIN + "gap")
MOST_NATS = 12.0
RIDGE = 1e-3
ROUNDS = 500


@dataclass(frozen=True)
class Doubt:
    """Weights of evidence by name. A recording is refused from `limit` (log odds) on."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    limit: float

    def log_odds(self, values: Mapping[str, float]) -> float:
        """Of a fault. A fault that could not be weighed (a word missing from a text of one) is as unlikely as they come."""
        return self.bias + float(sum(self.shares(values).values()))

    def shares(self, values: Mapping[str, float]) -> dict[str, float]:
        """What each evidence adds to the log odds. Raises FmAudioError where evidence is missing that is always had."""
        if lacking := [name for name in self.names if name not in values and name not in BENT]:
            raise FmAudioError(
                f"doubt: evidence lacks {', '.join(lacking)}; read phones with a reader that tells damage and "
                "a matcher, as those that ship (reading.shipped_reading) do"
            )
        rows = zip(self.names, self.means, self.scales, self.weights, strict=True)
        return {name: weight * (_plain(name, values) - mean) / scale for name, mean, scale, weight in rows}


def _plain(name: str, values: Mapping[str, float]) -> float:
    if name in BENT:
        return float(np.arcsinh(values.get(name, -BENT[name]) / BENT[name]))
    return float(np.clip(values[name], -MOST_NATS, MOST_NATS)) if name in CUT else float(values[name])


def fit(
    names: Sequence[str],
    found: Sequence[Mapping[str, float]],
    faulty: Sequence[bool],
    limit: float = 0.0,
    groups: Sequence[int] | None = None,
) -> Doubt:
    """Weights of least loss, with a small ridge; both classes weigh the same, and so do `groups`, the number of each recording's,
    if there are several. Deterministic."""
    from scipy.optimize import minimize

    y = np.asarray(faulty, dtype=bool)
    x = np.array([[_plain(name, values) for name in names] for values in found])
    means, scales = x.mean(0), x.std(0) + 1e-9
    z = np.c_[(x - means) / scales, np.ones(len(x))]
    sign = np.where(y, 1.0, -1.0)
    group = np.zeros(len(y), dtype=int) if groups is None else np.asarray(groups)
    share = np.array([0.5 / ((y == a) & (group == b)).sum() for a, b in zip(y, group, strict=True)]) / len(set(group.tolist()))
    ridge = np.r_[np.full(len(names), RIDGE), 0.0]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (z @ w)
        slope = -share * sign / (1.0 + np.exp(np.minimum(margin, 500.0)))
        return float((share * np.logaddexp(0.0, -margin)).sum() + (ridge * w * w).sum()), z.T @ slope + 2 * ridge * w

    best = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS}).x
    mean, scale, weight = (tuple(round(float(v), 6) for v in values) for values in (means, scales, best[:-1]))
    return Doubt(tuple(names), mean, scale, weight, round(float(best[-1]), 6), limit)


def limit_for(log_odds: Sequence[float], false_alarms: float) -> float:
    """Above which no more than this share of whole recordings lies."""
    return float(np.quantile(np.asarray(log_odds), 1 - false_alarms, method="higher"))


def common_limit(log_odds: Sequence[Sequence[float]], false_alarms: float) -> float:
    """Above which no more than this share lies of several groups of whole recordings, on the average of the groups."""
    if len(log_odds) == 1:
        return limit_for(log_odds[0], false_alarms)
    rows = [np.asarray(row) for row in log_odds]
    return next(x for x in sorted(np.concatenate(rows)) if float(np.mean([(row > x).mean() for row in rows])) <= false_alarms)


def kind_of(values: Mapping[str, float]) -> str:
    """Which of `KINDS` evidence is of: by how many recognisers, and whether of a speaker who is known, or was shown."""
    heard = "twice" if AGAIN + "nats" in values else "weighed" if "nats" in values else "written"
    return f"{heard}_{'known' if 'misfit' in values else 'shown' if SEEN + 'misfit' in values else 'stranger'}"


def doubt_of(values: Mapping[str, float]) -> Doubt:
    """Of the doubts that come with the package the one for evidence of this kind."""
    return _shipped(kind_of(values))


def above_limit(values: Mapping[str, float]) -> float:
    """Log odds of a fault by `doubt_of`, less those from which on a recording is refused."""
    doubt = doubt_of(values)
    return doubt.log_odds(values) - doubt.limit


@cache
def _shipped(kind: str) -> Doubt:
    row = json.loads(FILE.read_text("utf-8"))[kind]
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Doubt(**given)


def as_json(doubts: Mapping[str, Doubt]) -> str:
    """The text of `doubt.json`."""
    return json.dumps({kind: asdict(doubt) for kind, doubt in doubts.items()}, indent=1) + "\n"
