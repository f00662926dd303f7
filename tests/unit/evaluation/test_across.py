"""Clips of one fault set are decided on by the other's, and only by its evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fm_audio.evaluation.across import decided, judged_in, main
from fm_audio.evaluation.doubt import KINDS
from fm_audio.evaluation.fault_set import Judged, report
from fm_audio.evaluation.sound import Fault
from fm_audio.evaluation.verify import Verdict, Verifier


class Silent:
    settings = {"name": "silent"}

    def transcribe(self, audio: Any) -> str:
        return ""


def clips(seed: int, tells: float) -> list[Judged]:
    """Sixty whole ones and sixty broken ones, of which `distance` tells, and one that clips."""
    draw = np.random.default_rng(seed)
    made = []
    for i in range(60):
        for fault in (None, "drop"):
            evidence = {name: float(draw.normal()) for name in KINDS["weighed_known"]}
            evidence["distance"] = tells * (fault is not None) + draw.normal(0, 0.1)
            faults = (Fault("misfit", "as it was judged then", ("word",)),)
            made.append(Judged(fault, Verdict(f"{seed} {i}", "heard", faults, evidence=evidence), 2.0, 1.0))
    made.append(Judged("clip", Verdict("loud", "", (Fault("clipping", "flat tops"),)), 2.0, 1.0))
    return made


def written(path: Path, judged: list[Judged]) -> Path:
    path.write_text(json.dumps(report(judged, Verifier(Silent())), default=str))  # type: ignore[arg-type]
    return path


def test_each_is_decided_by_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(written(tmp_path / f"{seed}.json", clips(seed, 2.0))) for seed in (1, 2)]
    assert main(files) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "known: 100.0 %" in lines["drop"] and "known: 100.0 %" in lines["clip"] and float(lines["none"].split()[2]) < 8
    assert "shown:" not in lines["drop"], "nobody was shown a recording"
    first, second = (judged_in(Path(f)) for f in files)
    assert first == clips(1, 2.0)
    backwards = decided(first, [*clips(3, -2.0)], "known", 0.015)
    assert not any(j.verdict.faults for j in backwards if j.fault == "drop"), "who learned otherwise decides otherwise"
    assert all(j.verdict.faults for j in backwards if j.fault == "clip"), "what is heard without words stays"


def test_what_is_no_report_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(written(tmp_path / "good.json", clips(1, 2.0)))
    (tmp_path / "list.json").write_text("[]")
    mute = str(written(tmp_path / "mute.json", clips(1, 2.0)[-1:]))
    none, listed = tmp_path / "none.json", tmp_path / "list.json"
    for bad, why in ((none, "no report of fault_set there"), (listed, "is no report"), (mute, "hold no evidence of a judge")):
        assert main([good, str(bad)]) == 2
        assert why in capsys.readouterr().err


def test_several_kinds_of_speech_share_weights_and_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(written(tmp_path / f"{seed}.json", clips(seed, 2.0))) for seed in (1, 2, 3)]
    assert main(["--pooled", *files]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.endswith(".json")] == files
    assert printed.count("known: 100.0 %") >= 6 and "shown:" not in printed
    assert main(files) == 2 and "3 reports: give two, or --pooled" in capsys.readouterr().err


def test_what_several_kinds_of_speech_teach_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(written(tmp_path / f"{seed}.json", clips(seed, 0.2))) for seed in (1, 2, 3)]
    fitted = tmp_path / "doubt.json"
    limits = []
    for more in ([], ["--known-false-alarms", "0.2"]):
        assert main(["--pooled", *files, "--false-alarms", "0.05", "--fit", str(fitted), *more]) == 0
        told = json.loads(fitted.read_text("utf-8"))
        limits.append({kind: row["limit"] for kind, row in told.items()})
    known = "weighed_known"
    assert limits[1][known] < limits[0][known], "who may be refused oftener has the lower limit"
    assert all(limits[0][kind] == limits[1][kind] for kind in limits[0] if not kind.endswith("known"))
    capsys.readouterr()
    assert main([*files[:2], "--fit", str(fitted)]) == 2 and "are for --pooled" in capsys.readouterr().err
