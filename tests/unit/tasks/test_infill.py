"""Infilling: what is hidden is learned and nothing of it seen; a request is answered at the reference's pace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.perturb import VoicePerturbation
from fm_audio.data.text.characters import Characters
from fm_audio.flow.distillation import Lesson
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_guidance import Distilled, TextFirst
from fm_audio.tasks.infill_requests import InfillRequest, symbols_of_parts
from fm_audio.tasks.infill_tts import LENGTH_SHARE, InfillTTS, hidden_span
from fm_audio.types import FmAudioError, length_mask

ALIGNED = {"fill": "aligned", "voice_width": 8, "text_heads": 2, "frames_per_token": 2, "learned_length": True, "dropout": 0.0}


def tiny(**changes: Any) -> InfillTTS:
    vector_width = changes.get("voice_width", 0)
    backbone = DiT(width=32, layers=2, heads=2, vector_width=vector_width, position_kernel=5, position_groups=4)
    task = InfillTTS(AudioSpec(bands=8), Characters(), backbone, **{"text_width": 16, "text_layers": 1, **changes})
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return task.eval()


def batch() -> SpeechBatch:
    frames, symbols = torch.tensor([40, 25, 31]), torch.tensor([9, 5, 7])
    mask, symbols_mask = length_mask(frames), length_mask(symbols)
    return SpeechBatch(
        ids=["a", "b", "c"], texts=["", "", ""], speakers=["x", "y", "z"],
        symbols=torch.randint(1, 30, (3, 9)) * symbols_mask, symbols_mask=symbols_mask,
        mel=torch.randn(3, 40, 8), mask=mask,
        durations_frames=torch.zeros(3, 9, dtype=torch.long), has_durations=torch.zeros(3, dtype=torch.bool),
    )  # fmt: skip


def test_spans_are_whole_within_the_item_and_as_long_as_asked() -> None:
    lengths = torch.tensor([100, 37, 1, 60] * 50)
    mask = length_mask(lengths)
    hidden = hidden_span(mask, 0.7, torch.Generator().manual_seed(0))
    assert not (hidden & ~mask).any()
    edges = torch.nn.functional.pad(hidden.int(), (1, 1)).diff(dim=1).eq(1).sum(1)
    assert (edges == 1).all()
    share = hidden.sum(1) / lengths
    assert (share[lengths > 30] >= 0.68).all() and share.max() == 1
    assert (
        hidden[lengths == 100].float().mean(0)[50] == 1 and hidden[lengths == 100, 0].any() and hidden[lengths == 100, -1].any()
    )


def some_aligned() -> SpeechBatch:
    """The batch with durations of its first and last item."""
    data = batch()
    durations = torch.zeros(3, 9, dtype=torch.long)
    durations[0], durations[2, :7] = torch.tensor([4, 4, 4, 4, 4, 4, 4, 4, 8]), torch.tensor([5, 5, 5, 5, 5, 5, 1])
    return replace(data, durations_frames=durations, has_durations=torch.tensor([True, False, True]))


@pytest.mark.parametrize("changes", [{"fill": "filled"}, {"fill": "stretched"}, ALIGNED], ids=lambda c: c["fill"])
def test_the_loss_is_the_same_padded_and_counts_hidden_frames_alone(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, data = tiny(least_hidden=0.7, **changes), some_aligned()
    seen: list[dict[str, torch.Tensor]] = []
    honest = task.head.loss

    def watched(x1: torch.Tensor, mask: torch.Tensor, cond: Any, **how: Any) -> torch.Tensor:
        seen.append({"cond": cond.frames, "hidden": how["scored"], "mask": mask})
        return honest(x1, mask, cond, **how)

    monkeypatch.setattr(task.head, "loss", watched)
    value = task.loss(data, torch.Generator().manual_seed(3))["loss"]
    assert value.isfinite() and value > 0
    visible, hidden = seen[0]["cond"][..., :8], seen[0]["hidden"]
    assert not visible[hidden].any(), "hidden frames are never shown"
    shown = data.mask & ~hidden
    assert all(torch.equal(v[s], m[s]) or not v.any() for v, m, s in zip(visible, data.mel, shown, strict=True))
    wrecked = replace(data, mel=data.mel.masked_fill(~data.mask[..., None], torch.nan))
    assert torch.equal(task.loss(wrecked, torch.Generator().manual_seed(3))["loss"], value)


class Watching:
    """An objective that learns nothing and keeps what it is given."""

    guidance = 2.0

    def noise_scale(self, b: int, generator: Any, device: torch.device) -> torch.Tensor:
        return torch.ones(b, 1, 1)

    def __call__(self, head: Any, lesson: Lesson) -> torch.Tensor:
        self.cond, self.null = lesson.cond, lesson.null
        return lesson.x1.sum() * 0


@pytest.mark.parametrize("changes", [{"fill": "filled"}, ALIGNED], ids=lambda c: c["fill"])
def test_a_teachers_guidance_leans_away_from_the_same_as_in_sampling(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, data, watching = tiny(drop_all=0.0, drop_visible=0.0, **changes), some_aligned(), Watching()
    task.head.objective = watching  # type: ignore[assignment]
    task.loss(data, torch.Generator().manual_seed(0))
    sampled: list[Any] = []
    monkeypatch.setattr(task.head, "sample", lambda mask, cond, *how, null, **more: sampled.append(null) or torch.zeros(1, 40, 8))
    symbols = data.symbols[0]
    task._fill(data.mel[0, :9], 40 - 9, data.mel[0, :0], symbols, 0, Sampling(guidance=2.0), [2, 7, 0])
    assert torch.allclose(watching.null.frames[0], sampled[0].frames[0], atol=1e-6)
    silent = watching.null.frames[0, :, 8:]
    assert bool(silent.any()) == (changes["fill"] == "filled"), "the encoder of filled text has an answer to none"
    task.guidance = TextFirst()
    task.loss(data, torch.Generator().manual_seed(0))
    first, then = watching.null
    assert first.cond.frames[..., :8].any() and torch.equal(first.cond.frames[..., :8], watching.cond.frames[..., :8])
    assert not then.cond.frames[..., :8].any() and first.until == 0.5
    task.guidance = Distilled(6)
    with pytest.raises(FmAudioError, match="guidance is baked into this teacher"):
        task.loss(data, torch.Generator().manual_seed(0))
    watching.guidance = 1.0
    task.loss(data, torch.Generator().manual_seed(0))
    assert watching.null is None, "nothing to lean away from"


def test_forwards_are_counted_as_guidance_asks_for_them() -> None:
    task, guided = tiny(fill="filled"), Sampling(steps=3, guidance=2.0)
    assert task.forwards(guided) == 6 and task.forwards(Sampling(steps=3)) == 3
    task.guidance = TextFirst()
    assert task.forwards(guided) == 6, "each null has its own part of the way"
    task.guidance = Distilled(6)
    assert task.forwards(guided) == 3, "it is told the weight"
    assert task.forwards(Sampling(steps=3, rest=0.1)) is None


def test_everything_is_dropped_as_often_as_asked() -> None:
    task, data = tiny(drop_all=1.0), batch()
    other = replace(data, symbols=data.symbols.where(data.symbols == 0, data.symbols % 30 + 1))
    loss = [task.loss(d, torch.Generator().manual_seed(1))["loss"] for d in (data, other)]
    assert torch.equal(loss[0], loss[1])
    with pytest.raises(FmAudioError, match="drop_all"):
        tiny(drop_all=1.2)


def test_one_clip_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    task, data = tiny(drop_all=0.0, drop_visible=0.0).train(), batch()
    optimizer = torch.optim.Adam(task.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(300):
        loss = task.loss(data, generator)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-30:]) < 0.5 * sum(losses[:10]) * 3


def test_voices_are_perturbed_in_training_alone() -> None:
    task, data = tiny(drop_all=0.0, drop_visible=0.0, perturb=VoicePerturbation(share=1.0)), batch()
    plain = tiny(drop_all=0.0, drop_visible=0.0)
    plain.load_state_dict(task.state_dict())

    def losses(training: bool) -> list[float]:
        return [m.train(training).loss(data, torch.Generator().manual_seed(3))["loss"].item() for m in (task, plain)]

    assert losses(False)[0] == losses(False)[1] and losses(True)[0] != losses(True)[1]


def test_requests_are_answered_alone_at_the_pace_of_the_reference() -> None:
    task, sampling = tiny(), Sampling(steps=2, guidance=2.0)
    reference = torch.randn(60, 8)
    asked = InfillRequest("two more words", reference, "these are six", seed=5)
    [answer] = task.generate([asked], sampling)
    assert len(answer) == round(60 * 12 / 11) and answer.isfinite().all()
    together = task.generate([replace(asked, seed=6), asked, replace(asked, text="no", seed=1)], sampling)
    assert torch.equal(together[1], answer) and not torch.equal(together[0], answer)
    assert len(task.generate([replace(asked, speed=2.0)], sampling)[0]) == round(60 * 12 / 11 / 2)
    assert len(task.generate([replace(asked, frames=33)], sampling)[0]) == 33
    plain = task.generate([asked], Sampling(steps=2))[0]
    assert not torch.allclose(plain, answer), "guidance leans away from no text and no voice"


def test_aligned_text_learns_every_part_and_knows_the_alignment_it_was_given() -> None:
    task, data = tiny(**ALIGNED), some_aligned()
    parts = task.loss(data, torch.Generator().manual_seed(0))
    assert set(parts) == {"loss", "prior", "duration", "length", "flow"}
    whole = sum(v.item() * (LENGTH_SHARE if k == "length" else 1) for k, v in parts.items() if k != "loss")
    assert parts["loss"].item() == pytest.approx(whole, rel=1e-5)
    parts["loss"].backward()
    without = [n for n, p in task.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without, without
    found = task._known_durations(data)
    assert found is not None and torch.equal(found[[0, 2]], data.durations_frames[[0, 2]])
    assert found[1, :5].sum() == 25 and (found[1, :5] > 0).all(), "the search finds what the corpus does not say"
    shown = task.examples(data, 2, Sampling(steps=1))
    assert [len(e.mel) for e in shown] == [40, 25] and shown[0].durations_frames is not None
    with pytest.raises(FmAudioError, match="voice_width"):
        tiny(fill="aligned")
    with pytest.raises(FmAudioError, match="filled, stretched, aligned"):
        tiny(fill="alined")


def test_aligned_requests_follow_what_is_seen_on_either_side() -> None:
    task, sampling = tiny(**ALIGNED), Sampling(steps=2, guidance=2.0)
    reference = torch.randn(60, 8)
    asked = InfillRequest("two more words", reference, "these are six", seed=5, frames=40)
    [answer] = task.generate([asked], sampling)
    assert len(answer) == 40 and answer.isfinite().all()
    assert torch.equal(task.generate([replace(asked, seed=1), asked], sampling)[1], answer)
    other = task.generate([replace(asked, reference=torch.randn(60, 8))], sampling)[0]
    assert not torch.allclose(other, answer)
    between = replace(asked, after=torch.randn(30, 8), after_text="the end")
    assert len(task.generate([between], sampling)[0]) == 40
    for empty in (replace(between, text=""), replace(asked, reference=reference[:0], reference_text="")):
        assert len(task.generate([empty], sampling)[0]) == 40
    with pytest.raises(FmAudioError, match="what is seen: 15 symbols do not fit into 9 frames"):
        task.generate([replace(asked, reference=reference[:9])], sampling)


def test_the_parts_of_a_request_are_one_encoding_cut_in_three() -> None:
    frontend = Characters()

    def said(*texts: str, filled: tuple[bool, ...] = (True, True, True)) -> list[str]:
        return ["".join(frontend.symbols[i] for i in part) for part in symbols_of_parts(frontend, texts, filled)]

    assert said("one", "two", "three") == ["^one ", "two ", "three^"]
    assert said("one", "two.", "", filled=(True, True, False)) == ["^one ", "two.^", ""]
    assert said("", "two", "", filled=(False, True, False)) == ["", "^two^", ""]
    assert said("one", "", "three") == ["^one", " ", "three^"]
    assert said("one", "", "", filled=(True, True, False)) == ["^one", "^", ""]
    assert said("", "two", "three") == ["^", "two ", "three^"]
    whole = symbols_of_parts(frontend, ("It was, he said,", "late!", ""), (True, True, False))
    assert [i for part in whole for i in part] == frontend.encode("It was, he said, late!").ids


def test_lengths_are_found_by_the_rule_that_is_asked_for() -> None:
    task, plain = tiny(**ALIGNED), tiny()
    asked = InfillRequest("two more words", torch.randn(60, 8), "these are six", length="rate")
    rate = task.length(asked)
    assert rate.frames == round(60 * 12 / 11) and rate.spread == pytest.approx(0.1)
    learned, longer = task.length(replace(asked, length="learned")), task.length(replace(asked, text="two more words and one"))
    assert task.length(replace(asked, length=None)) == learned and plain.length(replace(asked, length=None)) == rate
    assert 0 < learned.spread < 1 and longer.frames > learned.frames
    slow = task.length(replace(asked, length=None, reference=torch.randn(120, 8)))
    assert slow.frames > learned.frames, "a reference that takes its time asks for time"
    assert task.length(replace(asked, length="learned", speed=2.0)).frames == pytest.approx(learned.frames / 2, abs=1)
    with pytest.raises(FmAudioError, match="learned_length"):
        plain.length(replace(asked, length="learned"))
    with pytest.raises(FmAudioError, match="rate or learned"):
        task.length(replace(asked, length="guessed"))


def test_text_that_does_not_fit_is_refused() -> None:
    task = tiny()
    with pytest.raises(FmAudioError, match="symbols do not fit into"):
        task.generate([InfillRequest("far too many words for this", torch.randn(5, 8), "hm", frames=3)])
