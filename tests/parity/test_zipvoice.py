"""ZipVoice's weights through our model and through its forward written down plainly: the same; and the weights go there and back.

Its package on PyPI is empty. Whoever has its source compares with that too: ZIPVOICE_SOURCE=path pytest -m slow -s -k zipvoice
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fm_audio.checkpoint import instantiate
from fm_audio.convert.zipvoice import FEATURE, STEPS, from_zipvoice, to_zipvoice
from fm_audio.flow.noise import noise
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_tts import InfillRequest, InfillTTS
from fm_audio.types import FmAudioError, length_mask
from tests.parity.peers import close
from tests.parity.zipvoice_published import FULL, SMALL, TOKENS, shapes, weights
from tests.parity.zipvoice_reference import frames_for, sample, text_frames, velocity

SPOKEN = [5, 31, 12, 4, 9, 40, 22]
PROMPT = [7, 14, 3, 33]


@pytest.fixture(params=sorted(STEPS))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def ours_of(state: dict[str, Tensor], family: str, sizes: dict[str, Any] = SMALL) -> tuple[InfillTTS, Sampling]:
    converted = from_zipvoice(state, {"model": sizes, "feature": FEATURE}, TOKENS, family)
    task = instantiate(converted.node).eval()
    task.load_state_dict(converted.weights)
    arguments = converted.extra["sampling"] | {"steps": 4}
    return task, instantiate({"class_path": "fm_audio.flow.sampling.Sampling", "init_args": arguments})


def velocity_of_ours(task: InfillTTS, t: float, x: Tensor, speech: Tensor, tokens: list[int], w: float) -> Tensor:
    """The conditional velocity (n bands) of one item."""
    mask = length_mask(torch.tensor([len(x)]))
    cond = task._cond(speech[None], torch.tensor([tokens]), mask)
    plan = task.guidance.plan(lambda show, read: cond, Sampling(guidance=w))
    return task.head.velocity(x[None], torch.tensor([t]), mask, plan.cond)[0]


@pytest.mark.parametrize("n", [23, 20, 7])
def test_one_velocity_is_theirs(family: str, n: int) -> None:
    distilled = family == "zipvoice-distill"
    state = weights(SMALL, distilled)
    task, _ = ours_of(state, family)
    x, speech = torch.randn(n, 100), torch.randn(n, 100)
    with torch.no_grad():
        text = text_frames(state, SMALL, SPOKEN, n)
        close(task.text(torch.tensor([SPOKEN]), length_mask(torch.tensor([n])))[0], text)
        for t in (0.0, 0.37, 1.0):
            expected = velocity(state, SMALL, t, x, text, speech, 3.0 if distilled else None)
            close(velocity_of_ours(task, t, x, speech, SPOKEN, 4.0), expected)


def test_sampling_is_theirs_with_their_guidance_and_grid(family: str) -> None:
    distilled = family == "zipvoice-distill"
    state = weights(SMALL, distilled)
    (task, sampling), prompt, frames = ours_of(state, family), torch.randn(9, 100), 14
    with torch.no_grad():
        ours = task._fill(prompt, frames, prompt[:0], torch.tensor(PROMPT + SPOKEN), 5, sampling)
        start = noise([5], [9 + frames], 9 + frames, 100, prompt.device)[0]
        close(ours, sample(state, SMALL, PROMPT, SPOKEN, prompt, start, 4, 3.0 if distilled else 1.0, distilled))


def test_answers_are_as_long_as_theirs() -> None:
    task, _ = ours_of(weights(SMALL, False), "zipvoice")
    said, text = "ni3 hao3, wo3", "wo3 shang4. a1!"
    counted = [len(task.frontend.encode(t)) for t in (said, text)]
    assert counted == [7, 7]
    for frames, speed in ((100, 1.0), (101, 1.3), (55, 0.7)):
        request = InfillRequest(text, torch.randn(frames, 100), said, speed=speed)
        assert task.frames_for(request) == frames_for(frames, *counted, speed)


def test_weights_go_there_and_back_unchanged(family: str) -> None:
    state = weights(SMALL, family == "zipvoice-distill")
    back = to_zipvoice(ours_of(state, family)[0].state_dict())
    assert back.keys() == state.keys() and all(torch.equal(back[k], v) for k, v in state.items())


def test_the_published_tensors_are_ours_by_name_and_shape() -> None:
    listed = {}
    for line in (Path(__file__).parent / "zipvoice_keys.txt").read_text(encoding="utf-8").splitlines()[1:]:
        key, _, shape = line.partition(" ")
        listed[key] = tuple(int(n) for n in shape.strip("()").split(",") if n.strip())
    every = shapes(FULL, 360, distilled=False)
    assert listed.items() <= every.items() and sum(torch.Size(s).numel() for s in every.values()) == 122_664_804
    assert shapes(FULL, 360, distilled=True).items() - every.items() == {("fm_decoder.guidance_scale_embed.weight", (192, 192))}
    state = {key: torch.empty(shape, device="meta") for key, shape in every.items()}
    tokens = ["_", *(str(i) for i in range(359))]
    converted = from_zipvoice(state, {"model": FULL, "feature": FEATURE}, tokens, "zipvoice")
    assert {k: tuple(v.shape) for k, v in to_zipvoice(converted.weights).items()} == every


def test_other_layouts_are_refused(family: str) -> None:
    distilled = family == "zipvoice-distill"
    state, config = weights(SMALL, distilled), {"model": SMALL, "feature": FEATURE}
    other = "zipvoice" if distilled else "zipvoice-distill"
    with pytest.raises(FmAudioError, match="guidance_scale_embed.weight is (missing|unknown)"):
        from_zipvoice(state, config, TOKENS, other)
    with pytest.raises(FmAudioError, match="embed.*tokens.txt|text.embedding.weight is .*tokens.txt|tokens.txt.*text.embedding"):
        from_zipvoice(state, config, TOKENS[:-1], family)
    for change, says in (
        ({"pos_dim": 8}, "weights.offset.weight is"),
        ({"feat_dim": None}, "feat_dim None"),
        ({"fm_decoder_num_layers": 4}, "a list"),
        ({"causal": True}, "causal"),
    ):
        with pytest.raises(FmAudioError, match=says):
            from_zipvoice(state, {"model": SMALL | change, "feature": FEATURE}, TOKENS, family)
    with pytest.raises(FmAudioError, match="features"):
        from_zipvoice(state, {"model": SMALL, "feature": FEATURE | {"type": "encodec"}}, TOKENS, family)


@pytest.mark.slow
def test_at_published_size_too(family: str) -> None:
    distilled = family == "zipvoice-distill"
    state, n = weights(FULL, distilled), 18
    (task, _), x, speech = ours_of(state, family, FULL), torch.randn(n, 100), torch.randn(n, 100)
    with torch.no_grad():
        text = text_frames(state, FULL, SPOKEN, n)
        expected = velocity(state, FULL, 0.62, x, text, speech, 3.0 if distilled else None)
        close(velocity_of_ours(task, 0.62, x, speech, SPOKEN, 4.0), expected)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [SMALL, FULL], ids=["small", "full"])
def test_beside_the_peers_own_source(family: str, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    source = os.environ.get("ZIPVOICE_SOURCE")
    if source is None:
        pytest.skip("ZIPVOICE_SOURCE names no checkout of k2-fsa/ZipVoice; it is not on PyPI")
    monkeypatch.syspath_prepend(source)
    from zipvoice.models.zipvoice import ZipVoice
    from zipvoice.models.zipvoice_distill import ZipVoiceDistill

    distilled, frames = family == "zipvoice-distill", frames_for(21, len(PROMPT), len(SPOKEN), 1.0)
    state, scale = weights(sizes, distilled), 3.0 if distilled else 1.0
    theirs = (ZipVoiceDistill if distilled else ZipVoice)(**sizes, vocab_size=len(TOKENS), pad_id=0).eval()
    assert {k: tuple(v.shape) for k, v in theirs.state_dict().items()} == shapes(sizes, len(TOKENS), distilled)
    theirs.load_state_dict(state)
    (task, sampling), prompt = ours_of(state, family, sizes), torch.randn(21, 100)
    with torch.no_grad():
        torch.manual_seed(3)
        expected, lengths, *_ = theirs.sample(
            [SPOKEN], [PROMPT], prompt[None], torch.tensor([21]), t_shift=0.5, num_step=4, guidance_scale=scale
        )
        torch.manual_seed(3)
        start = torch.randn(1, 21 + frames, 100)
        assert lengths.tolist() == [frames]
        if sizes is SMALL:
            close(sample(state, sizes, PROMPT, SPOKEN, prompt, start[0], 4, scale, distilled), expected[0])
        monkeypatch.setattr("fm_audio.flow.head.noise", lambda *_: start)
        close(task._fill(prompt, frames, prompt[:0], torch.tensor(PROMPT + SPOKEN), 0, sampling), expected[0])
