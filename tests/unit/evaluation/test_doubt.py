"""Evidence that tells faults apart is learned, the limit keeps its promise, and what ships reads as what was written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fm_audio.evaluation.doubt import FILE, KINDS, READ, above_limit, as_json, common_limit, doubt_of, fit, kind_of, limit_for
from fm_audio.types import FmAudioError


@pytest.fixture
def cases() -> tuple[list[dict[str, float]], list[bool]]:
    """`distance` tells; `short` is noise; `missing` tells where there is one."""
    draw = np.random.default_rng(0)
    faulty = [i % 2 == 0 for i in range(200)]
    rows = [{"distance": float(bad) + draw.normal(0, 0.3), "short": draw.normal(), "missing": 800.0 * bad} for bad in faulty]
    for row in rows[::10]:
        del row["missing"]
    return rows, faulty


def test_what_tells_faults_apart_gets_the_weight(cases: tuple[list[dict[str, float]], list[bool]]) -> None:
    rows, faulty = cases
    doubt = fit(["distance", "short"], rows, faulty)
    assert doubt.weights[0] > 5 * abs(doubt.weights[1])
    assert np.mean([(doubt.log_odds(r) > 0) == bad for r, bad in zip(rows, faulty, strict=True)]) > 0.9
    assert sum(doubt.shares(rows[0]).values()) + doubt.bias == pytest.approx(doubt.log_odds(rows[0]))
    assert fit(["distance", "short"], rows, faulty) == doubt


def test_evidence_that_could_not_be_had_speaks_for_the_recording(cases: tuple[list[dict[str, float]], list[bool]]) -> None:
    rows, faulty = cases
    doubt = fit(["distance", "missing"], rows, faulty)
    without = {"distance": 0.5}
    assert doubt.log_odds(without) < doubt.log_odds({**without, "missing": 800.0})


def test_evidence_that_is_always_had_is_asked_for() -> None:
    values = dict.fromkeys(KINDS["weighed_stranger"], 0.0)
    without = {name: value for name, value in values.items() if name != "read_damaged"}
    with pytest.raises(FmAudioError, match="lacks read_damaged; read phones with a reader that tells damage and a matcher"):
        doubt_of(without).log_odds(without)


def test_no_more_than_so_many_lie_above_the_limit() -> None:
    odds = np.random.default_rng(1).normal(size=200).tolist()
    limit = limit_for(odds, 0.02)
    assert sum(v > limit for v in odds) <= 4 and sum(v >= limit for v in odds) >= 4


def test_what_ships_is_complete() -> None:
    shipped = json.loads(FILE.read_text("utf-8"))
    assert set(shipped) == set(KINDS)
    for kind, names in KINDS.items():
        values = dict.fromkeys(names, 0.0)
        assert kind_of(values) == kind and doubt_of(values).names == names
        assert json.loads(as_json({kind: doubt_of(values)}))[kind] == shipped[kind]
        assert above_limit(values) == pytest.approx(doubt_of(values).log_odds(values) - doubt_of(values).limit)
        weights = dict(zip(names, doubt_of(values).weights, strict=True))
        assert max(weights[name] for name in READ) > 0, "phones that are read badly speak against a recording"


def test_groups_weigh_the_same_however_large_they_are() -> None:
    """A small group in which the first value tells, beside a large one in which the second does."""
    draw = np.random.default_rng(0)

    def some(n: int, tells: str) -> list[tuple[dict[str, float], bool]]:
        made = []
        for i in range(n):
            values = {"nats": float(draw.normal()), "distance": float(draw.normal())}
            values[tells] += 2.0 * (i % 2)
            made.append((values, bool(i % 2)))
        return made

    clips = [*some(40, "nats"), *some(400, "distance")]
    groups = [0] * 40 + [1] * 400
    values, faulty = [v for v, _ in clips], [f for _, f in clips]
    alone, fair = (fit(("nats", "distance"), values, faulty, groups=g) for g in (None, groups))
    assert fair.weights[0] > 2 * alone.weights[0] and abs(fair.weights[0] - fair.weights[1]) < 0.5 * max(fair.weights)


def test_one_limit_for_all_groups_goes_by_the_mean_of_their_alarms() -> None:
    quiet, loud = [0.0] * 90 + [1.0] * 10, [5.0, 6.0]
    limit = common_limit([quiet, loud], 0.3)
    assert limit == 5.0, "half of the few loud ones is a quarter of the mean"
    assert common_limit([quiet], 0.05) == limit_for(quiet, 0.05) == 1.0
