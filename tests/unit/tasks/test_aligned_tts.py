"""What is true of any aligned text-to-speech: totals are exact, words lie where they are said, padding reaches no loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.flow.path import VariancePreservingPath
from fm_audio.flow.ports import PREDICTIONS
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.types import FmAudioError, length_mask

SPEC = AudioSpec(bands=20, mean=-1.7, std=2.6)


def tiny(seed: int = 0, **arguments) -> AlignedTTS:
    """A small task whose zero-initialised layers are stirred, so that every part speaks."""
    torch.manual_seed(seed)
    backbone = DiT(32, 2, 2, vector_width=8, kernel=3)
    task = AlignedTTS(SPEC, Arpabet(), backbone, ["a", "b"], 8, 32, 2, 2, frames_width=16, **arguments)
    for parameter in task.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    with torch.no_grad():
        task.text.durations.out.bias += 1.5
    return task.eval()


def batch_of(lengths: list[tuple[int, int]], given: bool = True, seed: int = 0) -> SpeechBatch:
    """Random clips of (symbols, frames)."""
    generator = torch.Generator().manual_seed(seed)
    symbols, frames = torch.tensor(lengths).T
    symbols_mask, mask = length_mask(symbols), length_mask(frames)
    durations = torch.zeros(symbols_mask.shape, dtype=torch.long)
    for i, (m, n) in enumerate(lengths if given else []):
        durations[i, :m] = n // m
        durations[i, 0] += n % m
    return SpeechBatch(
        ids=[str(i) for i in range(len(lengths))],
        texts=["text"] * len(lengths),
        speakers=["ab"[i % 2] for i in range(len(lengths))],
        symbols=torch.randint(1, 70, symbols_mask.shape, generator=generator) * symbols_mask,
        symbols_mask=symbols_mask,
        mel=torch.randn(*mask.shape, SPEC.bands, generator=generator),
        mask=mask,
        durations_frames=durations,
        has_durations=torch.full((len(lengths),), given),
    )


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


REQUESTS = [
    SpeechRequest("Hello there.", "a", seed=1),
    SpeechRequest("The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background!", "b", seed=2),
    SpeechRequest("No?", "a", seed=3, speed=0.7),
    SpeechRequest("Wait <break 500ms> for me.", "b", seed=4),
]


def test_on_a_cpu_company_changes_not_a_bit():
    task, sampling = tiny(), Sampling(steps=2, guidance=2.0, temperature=0.6)
    for request, spoken in zip(REQUESTS, task.generate(REQUESTS, sampling), strict=True):
        assert torch.equal(task.generate([request], sampling)[0].mel, spoken.mel)


def test_the_loss_of_a_batch_is_the_mean_of_its_clips():
    task = tiny(condition_drop=0.0)
    lengths = [(5, 31), (9, 40), (3, 17)]
    batch = batch_of(lengths)

    def parts(b):  # the flow's noise differs with the batch's shape, so compare what has none
        losses = task.loss(b, torch.Generator().manual_seed(0))
        return torch.stack([losses["prior"], losses["duration"]])

    rows = []
    for i, (m, n) in enumerate(lengths):
        row = replace(
            batch, ids=[str(i)], texts=["text"], speakers=[batch.speakers[i]],
            symbols=batch.symbols[i : i + 1, :m], symbols_mask=batch.symbols_mask[i : i + 1, :m],
            mel=batch.mel[i : i + 1, :n], mask=batch.mask[i : i + 1, :n],
            durations_frames=batch.durations_frames[i : i + 1, :m], has_durations=batch.has_durations[i : i + 1],
        )  # fmt: skip
        rows.append(parts(row))
    torch.testing.assert_close(parts(batch), torch.stack(rows).mean(0), rtol=1e-5, atol=1e-6)


def test_nothing_in_the_padding_reaches_the_loss():
    task = tiny()
    batch = batch_of([(5, 31), (9, 40)], given=False)
    spoilt = replace(batch, mel=batch.mel.masked_fill(~batch.mask[..., None], torch.nan))
    a, b = (task.loss(x, torch.Generator().manual_seed(0))["loss"] for x in (batch, spoilt))
    assert torch.equal(a, b)


def test_alignment_is_searched_only_where_the_corpus_has_none():
    task = tiny()
    batch = batch_of([(5, 31), (9, 40)])
    mixed = replace(batch, has_durations=torch.tensor([True, False]))
    encoded = task.text(mixed.symbols, mixed.symbols_mask, task.speaker(task.speaker_index(mixed.speakers)))
    found = task.align(mixed, encoded)
    assert torch.equal(found[0], batch.durations_frames[0])
    assert found[1].sum() == 40 and (found[1][:9] >= 1).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_on_a_variance_preserving_path_it_is_diffusion(prediction):
    task = tiny(path=VariancePreservingPath(), prediction=prediction)
    assert task.head.ports["mel"].prediction == prediction
    for solver in ("ddim", "dpm++2m"):
        few, many = (task.generate(REQUESTS[:1], Sampling(steps=n, solver=solver))[0].mel for n in (64, 128))
        assert torch.isfinite(many).all()
        if prediction != "noise":  # which divides its errors by alpha, and converges late
            assert relative(few, many) < 0.1
    with pytest.raises(FmAudioError, match="prediction is 'score'"):
        tiny(prediction="score")


def test_it_learns_one_batch_in_a_plain_loop():
    task = tiny().train()
    batch = batch_of([(5, 31), (9, 40)], given=False)
    optimizer = torch.optim.AdamW(task.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = task.loss(batch, torch.Generator().manual_seed(0))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_seconds_are_exact_and_breaks_last_as_long_as_asked():
    task = tiny()
    (spoken,) = task.generate([SpeechRequest("One two. Three <break 480ms> four.", "a", seconds=4.0)], Sampling(steps=1))
    assert len(spoken.mel) == SPEC.frames_of_seconds(4.0)
    three, four = (next(w for w in spoken.words if w.text == name) for name in ("three", "four"))
    assert four.start_frames - three.end_frames >= SPEC.frames_of_seconds(0.48)


def test_words_come_in_order_and_inside_the_sound():
    (spoken,) = tiny().generate([REQUESTS[1]], Sampling(steps=1))
    assert [w.text for w in spoken.words][:3] == ["the", "birch", "canoe"]
    borders = [x for w in spoken.words for x in (w.start_frames, w.end_frames)]
    assert borders == sorted(borders) and 0 <= borders[0] and borders[-1] <= len(spoken.mel)


def test_faster_is_shorter():
    task = tiny()
    slow, fast = task.generate([SpeechRequest(REQUESTS[1].text, "a", speed=s) for s in (0.5, 2.0)], Sampling(steps=1))
    assert 3 < len(slow.mel) / len(fast.mel) < 5


@pytest.mark.parametrize("wrong", [{"speed": 0.0}, {"speed": float("nan")}, {"seconds": 0.0}, {"seconds": 5.0, "speed": 2.0}])
def test_impossible_requests_are_refused(wrong):
    with pytest.raises(FmAudioError, match="allowed|one of the two"):
        SpeechRequest("Hi.", "a", **wrong)


def test_a_prior_start_begins_at_the_mean():
    """With one Euler step, no noise and a head that says v = 0, what comes out is where the flow began."""
    task = tiny(prior_start=True)
    task.head.ports["mel"].out.weight.data.zero_()
    task.head.ports["mel"].out.bias.data.zero_()
    (spoken,) = task.generate([REQUESTS[0]], Sampling(steps=1, temperature=0.0))
    assert spoken.mel.abs().max() > 0
    task.prior_start = False
    (spoken,) = task.generate([REQUESTS[0]], Sampling(steps=1, temperature=0.0))
    assert spoken.mel.abs().max() == 0


def test_an_unknown_speaker_is_named():
    with pytest.raises(FmAudioError, match="nobody.*knows a, b"):
        tiny().generate([SpeechRequest("Hi.", "nobody")])
