"""What onnxruntime answers is what torch does: part by part, in company, and through a whole request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.flow.sampling import Sampling
from fm_audio.runtime.export import ALLOWED, CHECKED_WITH, MADE_WITH, _write, deviation_of
from fm_audio.runtime.graph import Graph
from fm_audio.runtime.part import Input, Part, parts_of, require_whole
from fm_audio.tasks.infill_requests import InfillRequest
from fm_audio.tasks.phone_reader import CLASSES
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.tasks.text_requests import TextRequest
from fm_audio.types import FmAudioError, length_mask
from tests.unit.runtime.models import NODES, PARTS, QUICK, assembled, made

EACH = [
    pytest.param(name, part, marks=[] if (name, part) in QUICK else [pytest.mark.slow], id=f"{name}-{part}")
    for name, parts in PARTS.items()
    for part in parts
]
SMALLEST = {"b": 1, "m": 1, "n": 1, "r": 1, "s": 64}
Exports = Callable[..., Path]


def close(a: Tensor, b: Tensor) -> None:
    assert a.shape == b.shape and (a - b).abs().max() <= ALLOWED * b.abs().max()


@pytest.mark.parametrize("name", NODES)
def test_the_parts_of_a_model_take_all_of_its_weights(name: str) -> None:
    model = made(name)
    parts = parts_of(model)
    assert tuple(part.name for part in parts) == PARTS[name]
    require_whole(model, parts)
    if len(parts) > 1 and any(True for _ in parts[0].module.parameters()):
        with pytest.raises(FmAudioError, match="would be left out"):
            require_whole(model, parts[1:])


def test_a_file_that_answers_no_numbers_is_infinitely_far(tmp_path: Path) -> None:
    given = (Input("x", ("b", "n")),)
    wrong = Part("root", "", nn.Identity(), given, ("y",), lambda net, x: net(-x.abs() - 1.0).sqrt())
    _write(wrong, tmp_path / "root.onnx")
    right = replace(wrong, answer=lambda net, x: net(x))
    assert deviation_of(right, tmp_path / "root.onnx") == float("inf")


@pytest.mark.parametrize(("name", "only"), EACH)
def test_a_part_answers_as_torch_does_at_any_length(name: str, only: str, exports: Exports) -> None:
    part, graph = _both(name, only, exports)
    assert graph.names == [given.name for given in part.inputs]
    for sizes in (SMALLEST, MADE_WITH, *CHECKED_WITH):
        given = part.drawn(sizes, seed=7)
        for theirs, ours in zip(graph.answers(*given), part.answers(*given), strict=True):
            assert theirs.dtype == ours.dtype
            close(theirs.double(), ours.double())


@pytest.mark.parametrize(("name", "only"), [e for e in EACH if e.values[0] not in ("harmonic", "griffin_lim", "vocos")])
def test_company_and_padding_change_no_part(name: str, only: str, exports: Exports) -> None:
    part, graph = _both(name, only, exports)
    masks = {given.axes: i for i, given in enumerate(part.inputs) if given.kind == "mask"}
    given = part.drawn({"b": 3, "m": 13, "n": 26, "r": 1}, seed=3)
    together = graph.answers(*given)
    for i in range(3):
        kept = {axes[-1]: int(given[place][i].flatten().sum()) for axes, place in masks.items()}
        kept["k"] = -(-kept.get("n", 0) // 2)  # tokens of two frames
        assert i == 0 or not masks or min(kept.values()) < 26
        alone = graph.answers(*[_cut(x[i : i + 1], part.inputs[k].axes, kept) for k, x in enumerate(given)])
        for one, all_of_them in zip(alone, together, strict=True):
            same = all_of_them[i : i + 1][tuple(slice(size) for size in one.shape)]
            assert (one.double() - same.double()).abs().max() <= 1e-5 * one.double().abs().max().clamp(min=1e-6)


def _both(name: str, only: str, exports: Exports) -> tuple[Part, Graph]:
    [part] = [part for part in parts_of(made(name)) if part.name == only]
    return part, Graph(exports(name, only) / f"{only}.onnx")


def _cut(x: Tensor, axes: tuple[str | int, ...], kept: dict[Any, int]) -> Tensor:
    return x[tuple(slice(kept.get(axis)) for axis in axes)]


def mel(frames: int) -> Tensor:
    return torch.randn(frames, 12, generator=torch.Generator().manual_seed(frames))


def spoken(task: Any) -> list[Tensor]:
    asked = [SpeechRequest("Hello there.", "anna", 3), SpeechRequest("Good day to you.", "bert", 4)]
    return [made.mel for made in task.generate(asked, Sampling(3, guidance=2.0, temperature=0.8), batch_frames=10_000)]


def cloned(task: Any) -> list[Tensor]:
    return task.generate([InfillRequest("Good day.", mel(90), "Hello there.", 5)], Sampling(3, guidance=2.0))


def sounded(task: Any) -> list[Tensor]:
    asked = [SoundRequest("a bell", 0.5, 1, "rain", found=(mel(30), mel(21))), SoundRequest("wind", 0.3, 2)]
    return task.generate(asked, Sampling(3, guidance=2.0, guidance_rescale=0.5), batch_frames=10_000)


def written(task: Any) -> list[Tensor]:
    answers = task.generate([TextRequest("hello"), TextRequest("a")])
    return [torch.tensor([*a.ids, a.log_probability]) for a in answers]


def read(task: Any) -> list[Tensor]:
    return list(task(torch.stack([mel(40)]), torch.ones(1, 40, dtype=torch.bool)))


def listened(task: Any) -> list[Tensor]:
    heard = torch.randn(1, 17, task.listener.channels, generator=torch.Generator().manual_seed(0))
    return list(task(torch.stack([mel(40)]), torch.ones(1, 40, dtype=torch.bool), heard, torch.ones(1, 17, dtype=torch.bool)))


def matched(task: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(2, 30, 8, generator=generator)
    log_p = torch.randn(2, 30, len(CLASSES) + 1, generator=generator).log_softmax(-1)
    return list(task(states, log_p, length_mask(torch.tensor([30, 21])), [[(1, 2), (3,)], [(4, 5, 6)]]))


REQUESTS = {
    "aligned_tts": spoken, "infill_tts": cloned, "text_to_audio": sounded, "text_in_place": written, "phone_reader": read,
    "listening_reader": listened, "text_matcher": matched,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
def test_a_whole_request_comes_out_the_same(name: str, exports: Exports) -> None:
    ours, theirs = REQUESTS[name](made(name)), REQUESTS[name](assembled(name, exports(name)))
    assert len(ours) == len(theirs)
    for a, b in zip(theirs, ours, strict=True):
        close(a.double(), b.double())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["harmonic", "griffin_lim", "vocos"])
def test_a_decoder_makes_the_same_wave_alone_and_in_company(name: str, exports: Exports) -> None:
    ours, theirs = made(name), assembled(name, exports(name))
    x, mask, *_ = parts_of(ours)[-1].drawn({"b": 2, "n": 50}, seed=9)
    wave = theirs.decode(x, mask)
    close(wave, ours.decode(x, mask))
    n = int(mask[1].sum())
    alone = theirs.decode(x[1:, :n], mask[1:, :n])
    close(wave[1:, : alone.shape[1]], alone)
    assert not wave[1, alone.shape[1] :].any()
