"""A hastened head: lengths filled up to buckets change nothing, bfloat16 changes little, what a machine cannot do is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.flow import runner
from fm_audio.flow.runner import Runner, bucket
from fm_audio.types import FmAudioError
from tests.invariance.cases import CASES, through_backbone
from tests.invariance.company import TOLERANCE, compositions, differences, distance
from tests.invariance.test_contract import built, items_of
from tests.maths.compiled import head, sampled

BACKBONES = [name for name, case in CASES.items() if case.run is through_backbone]
LENGTHS = range(1, 2000)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile gives back what it is given: what is left of compiling is the filling up."""
    monkeypatch.setattr(torch, "compile", lambda net, **_: net)


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any processor computes in bfloat16, if slowly."""
    monkeypatch.setattr(runner, "require_bfloat16", lambda device: None)


def test_buckets_hold_every_length_and_are_few_and_near() -> None:
    assert all(n <= bucket(n) <= max(runner.SHORTEST, n * (1 + 1 / runner.PER_OCTAVE)) for n in LENGTHS)
    assert all(bucket(n) <= bucket(n + 1) and bucket(bucket(n)) == bucket(n) for n in LENGTHS)
    assert len({bucket(n) for n in LENGTHS}) <= 6 * runner.PER_OCTAVE + 1


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", BACKBONES)
def test_filling_up_changes_no_item_in_any_company(name: str) -> None:
    case, net = CASES[name], Runner(built(name), compiled=True)
    items = items_of(name)
    with torch.no_grad():
        plain = [case.run(built(name), [item], 0)[0][0] for item in items]
        filled = [case.run(net, [item], 0)[0][0] for item in items]
        assert max(distance(a, b) for a, b in zip(filled, plain, strict=True)) <= TOLERANCE
        drawn = compositions([case.length(item) for item in items], 8)
        assert max(moved for _, moved in differences(lambda rows, pad: case.run(net, rows, pad), items, drawn)) <= TOLERANCE


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize("name", BACKBONES)
def test_bfloat16_comes_close_and_is_float32_outside(name: str) -> None:
    case = CASES[name]
    items = items_of(name)
    with torch.no_grad():
        plain = [case.run(built(name), [item], 0)[0][0] for item in items]
        built.cache_clear()  # the network itself becomes of that precision
        half = Runner(built(name), "bf16")
        got = [case.run(half, [item], 0)[0][0] for item in items]
    built.cache_clear()
    moved = [float((a - b).norm() / b.norm()) for a, b in zip(got, plain, strict=True)]
    assert all(g.dtype == torch.float32 for g in got) and 0 < max(moved) < 0.08


@pytest.mark.usefixtures("uncompiled", "able")
def test_a_head_samples_so_once_it_is_told_and_keeps_the_names_of_its_weights() -> None:
    plain = sampled(head())
    filled, half = head(), head()
    names = list(filled.state_dict())
    filled.hasten(compile=True)
    half.hasten("bf16")
    assert distance(sampled(filled), plain) <= TOLERANCE
    assert 1e-4 < distance(sampled(half), plain) < 0.05
    assert list(filled.state_dict()) == names == list(half.state_dict())
    assert {p.dtype for p in half.backbone.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.ports.parameters()} == {torch.float32}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)])
def test_compiled_says_the_same_and_is_compiled_a_few_times_for_many_lengths(device: str) -> None:
    """Also with what is told around a forward, and as CUDA graphs on an accelerator. In a process of its own: checks of shapes,
    as tests make, cannot be compiled."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    done = subprocess.run([sys.executable, "-m", "tests.maths.compiled", device], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert list(told) == ["compiled", "two times", "adapters"]
    assert all(way["moved"] <= TOLERANCE and 1 <= way["graphs"] <= 4 for way in told.values()), told


@pytest.mark.slow
def test_where_no_compiler_works_one_line_says_so(tiny_voice: Path, tmp_path: Path) -> None:
    command = ["-m", "fm_audio.cli", "say", "Hello.", "-o", str(tmp_path / "x.wav"), "--voice", str(tiny_voice), "--compile"]
    nowhere = os.environ | {"CXX": str(tmp_path / "g++"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=nowhere)
    assert done.returncode == 2 and not (tmp_path / "x.wav").exists()
    said = [line for line in done.stderr.splitlines() if line.startswith("fm-audio: ")]
    assert len(said) == 1 and said[0].startswith("fm-audio: error: compile: ") and "C++ compiler" in said[0], done.stderr
    assert "Traceback" not in done.stderr


def test_a_precision_that_is_none_is_refused() -> None:
    with pytest.raises(FmAudioError, match="precision: 'fp8'; give one of fp32, bf16"):
        head().hasten("fp8")


@pytest.mark.parametrize(("told", "able"), [({"avx2", "avx512_bf16"}, True), ({"bf16"}, True), ({"avx2", "avx512_f"}, False)])
def test_bfloat16_needs_a_processor_that_has_it(told: set[str], able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_capabilities", lambda: told)
    made = head()
    if able:
        made.hasten("bf16")
        return
    with pytest.raises(FmAudioError, match="precision: this processor does not compute in bfloat16.*take fp32"):
        made.hasten("bf16")
    assert {p.dtype for p in made.parameters()} == {torch.float32}, "what was refused has changed nothing"


def test_capabilities_are_names() -> None:
    assert all(isinstance(name, str) for name in runner._capabilities())


def test_without_a_compiler_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(net: nn.Module, **_: Any) -> Any:
        def fail(*_: Any) -> None:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

        return fail

    monkeypatch.setattr(torch, "compile", none)
    with pytest.raises(FmAudioError, match="compile: .*No working C.. compiler.*install a C.. compiler"):
        head().hasten(compile=True)
