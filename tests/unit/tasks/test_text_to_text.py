"""Text to text: a small task is learnt whole, and every way of deciding, asking and failing does what it says."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.checkpoint import instantiate, load_model, save_model
from fm_audio.data.batches import TextBatch
from fm_audio.data.pairs import PairsDataset
from fm_audio.data.text.vocabulary import END, Letters
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.autoregressive_text import AutoregressiveText
from fm_audio.tasks.groups import groups
from fm_audio.tasks.text_requests import TextDecoding, TextRequest, seeds_of
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.types import Cond, FmAudioError

VOCABULARY = Letters("abc", longest=4)
WORDS = ["".join(w) for n in (1, 2, 3) for w in product("abc", repeat=n)]  # 39, each answered by itself backwards


def batch(words: list[str], source: bool = True) -> TextBatch:
    encode = VOCABULARY.encode
    return PairsDataset()[[(encode(w) if source else [], encode(w[::-1])) for w in words]]


def backbone(source: bool = True) -> DiT:
    return DiT(32, 2, 2, tokens_width=32 if source else 0, feedforward=2.0, position_kernel=0)


def make(**given: Any) -> TextToText:
    torch.manual_seed(0)
    return TextToText(VOCABULARY, VOCABULARY, backbone(), 16, 32, 1, 2, **{"dropout": 0.0, "pads": 2} | given)


def taught(model: Any, steps: int, source: bool = True, rate: float = 5e-3) -> Any:
    """A plain loop over all words."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.98))
    g = torch.Generator().manual_seed(0)
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (k + 1) / 20, 2 * (1 - k / steps))
        loss = model.loss(batch(WORDS, source), g)["loss"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def test_what_a_teacher_leans_away_from_is_what_it_leans_away_from_in_sampling() -> None:
    model, seen = make(condition_drop=0.1), []

    def objective(head: Any, lesson: Any) -> torch.Tensor:
        seen.append(lesson.null)
        return lesson.x1.sum() * 0.0

    objective.noise_scale = lambda b, generator, device: torch.ones(b, 1, 1)  # type: ignore[attr-defined]
    objective.guidance = 2.0  # type: ignore[attr-defined]
    model.writer.head.objective = objective  # type: ignore[assignment]
    model.loss(batch(WORDS[:3]), torch.Generator().manual_seed(0))
    placed = model.writer.placed(Cond(), torch.tensor([1, 1, 1]), seen[0].frames.shape[1])
    assert placed.frames is not None and torch.equal(seen[0].frames, placed.frames), "places are told to it, too"
    assert not seen[0].tokens.any()


@cache
def learnt() -> TextToText:
    return taught(make(self_conditioning=0.5), 140, rate=8e-3)


@cache
def free() -> TextToText:
    torch.manual_seed(0)
    return taught(TextToText(None, VOCABULARY, backbone(False), 16, pads=2), 60, source=False)


def right(model: Any, *how: Any) -> float:
    made = model.generate([TextRequest(w, i) for i, w in enumerate(WORDS)], *how)
    return sum(m.text == w[::-1] for m, w in zip(made, WORDS, strict=True)) / len(WORDS)


@pytest.mark.parametrize("length", ["predicted", "end"])
def test_it_learns_to_write_words_backwards(length: str) -> None:
    assert right(learnt(), Sampling(4, grid="quantile", temperature=0.0), TextDecoding(length)) > 0.95
    assert right(learnt(), Sampling(8, grid="quantile"), TextDecoding(length)) > 0.9
    assert right(learnt(), Sampling(8, grid="quantile"), TextDecoding(length, samples=3)) > 0.9


def test_lengths_are_learnt_beside() -> None:
    cond = learnt()._conditions([TextRequest(w) for w in WORDS])
    log_p = learnt().writer.lengths(cond, len(WORDS))
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(len(WORDS)))
    assert (log_p.argmax(1) + 1).tolist() == [len(w) for w in WORDS]


def test_so_does_the_baseline() -> None:
    torch.manual_seed(0)
    model = taught(AutoregressiveText(VOCABULARY, VOCABULARY, 32, 2, 2, text_width=32, text_layers=1, dropout=0.0), 100)
    assert right(model) > 0.95
    made = model.generate([TextRequest("abc"), TextRequest("a")])
    assert [m.forwards for m in made] == [4, 2] and made[0].log_probability > -0.5


def test_what_is_written_step_by_step_is_what_the_whole_sequence_says() -> None:
    torch.manual_seed(1)
    model: Any = AutoregressiveText(VOCABULARY, VOCABULARY, 16, 2, 2, text_width=16, text_layers=1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    for made, word in zip(model.generate([TextRequest(w) for w in WORDS[:9]]), WORDS, strict=False):
        source = torch.tensor([VOCABULARY.encode(word)])
        before = torch.tensor([[END, *made.ids]])
        cond = model.encoder(source, torch.ones_like(source, dtype=torch.bool))
        log_p = model(before, torch.ones_like(before, dtype=torch.bool), cond).log_softmax(-1)[0]
        n = made.forwards
        assert log_p.argmax(-1)[: len(made.ids)].tolist() == list(made.ids)
        assert float(log_p.amax(-1)[:n].mean().detach()) == pytest.approx(made.log_probability, abs=1e-5)


def wild(source: bool = True) -> AutoregressiveText:
    torch.manual_seed(2)
    sizes: dict[str, Any] = {"text_width": 16, "text_layers": 1}
    model = AutoregressiveText(VOCABULARY if source else None, VOCABULARY, 16, 2, 2, **sizes).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


@pytest.mark.parametrize("source", [True, False])
def test_how_likely_a_text_is_sums_what_it_was_written_with(source: bool) -> None:
    model = wild(source)
    asked = [TextRequest(w if source else None, i) for i, w in enumerate(WORDS[:9])]
    made = model.generate(asked, 0.8)
    rows = [(VOCABULARY.encode(WORDS[i]) if source else [], list(m.ids)) for i, m in enumerate(made)]
    log_p = model.log_probability(PairsDataset()[rows])
    whole = [m for m in made if len(m.ids) < VOCABULARY.longest]  # the others were cut, and their last place is no end
    assert len(whole) > 2
    for one, wanted in zip(made, log_p.tolist(), strict=True):
        if one in whole:
            assert one.log_probability * one.forwards == pytest.approx(wanted, abs=1e-4)


def test_what_is_drawn_one_after_the_other_is_drawn_as_often_as_it_is_likely() -> None:
    model = wild(False)
    first = [m.ids[:1] for m in model.generate([TextRequest(None, seed) for seed in range(2000)])]
    start = torch.tensor([[END]])
    p = model(start, torch.ones(1, 1, dtype=torch.bool), Cond()).softmax(-1)[0, 0].detach()
    for token in range(END + 1, len(VOCABULARY.symbols)):
        assert first.count((token,)) / 2000 == pytest.approx(float(p[token]), abs=0.04)
    assert len({m.ids for m in model.generate([TextRequest(None, seed) for seed in range(9)], 0.0)}) == 1


def test_samples_of_the_baseline_are_weighed_and_counted() -> None:
    model = wild()
    one, many = (model.generate([TextRequest("abc", 3)], 1.0, samples)[0] for samples in (1, 5))
    assert len(many.samples) == 5 and many.text in many.samples and many.samples[0] == one.text and many.forwards > one.forwards


def test_the_baseline_writes_freely_or_answers_never_both() -> None:
    with pytest.raises(FmAudioError, match="give a text"):
        wild().generate([TextRequest(None)])
    with pytest.raises(FmAudioError, match="answers nothing"):
        wild(False).generate([TextRequest("abc")])
    with pytest.raises(FmAudioError, match="temperature -1"):
        wild().generate([TextRequest("abc")], -1.0)
    with pytest.raises(FmAudioError, match="raise it"):
        wild().generate([TextRequest("abc")], 0.0, 2)


def test_a_token_does_not_see_later_ones() -> None:
    torch.manual_seed(1)
    model: Any = AutoregressiveText(VOCABULARY, VOCABULARY, 16, 2, 2, text_width=16, text_layers=1).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    source, mask = torch.tensor([[2, 3]]), torch.ones(1, 4, dtype=torch.bool)
    cond = model.encoder(source, torch.ones_like(source, dtype=torch.bool))
    one, other = (model(torch.tensor([[1, 2, 3, last]]), mask, cond) for last in (2, 4))
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])


def test_the_canvas_has_the_target_its_end_and_some_padding() -> None:
    model = make(pads=3)
    b = batch(WORDS)
    ids, mask, scored = model.writer.canvas(b.target, b.target_mask, torch.Generator().manual_seed(0))
    lengths = b.target_mask.sum(1)
    assert VOCABULARY.decode(ids[20].tolist()) == WORDS[20][::-1] and (ids == END).sum(1).eq(1).all()
    extra = mask.sum(1) - lengths - 1
    assert set(extra.tolist()) == {0, 1, 2, 3}
    assert scored.sum(1).equal(lengths + 1 + extra.clamp(max=1)) and (scored <= mask).all()
    plain, plain_mask, plain_scored = make(pads=0).writer.canvas(b.target, b.target_mask)
    assert plain_mask.equal(plain_scored) and plain_mask.sum(1).equal(lengths + 1) and plain.shape[1] == 4


def test_the_loss_of_an_item_does_not_know_its_batch() -> None:
    """But for chance: with nothing drawn at random beside t and noise, a pad more in the batch changes nothing."""
    model = make(pads=0, condition_drop=0.0).eval()
    model.writer.head.time_law.stratified = False  # type: ignore[attr-defined]
    b = batch(["ab", "c"])
    losses = model.loss(b, torch.Generator().manual_seed(1))
    wider = TextBatch(*[nn.functional.pad(x, (0, 3)) for x in (b.target, b.target_mask, b.source, b.source_mask)])  # type: ignore[arg-type]
    for name, value in model.loss(wider, torch.Generator().manual_seed(1)).items():
        torch.testing.assert_close(value, losses[name])
    assert set(losses) == {"loss", "flow", "length"}


def test_free_writing_is_drawn_by_the_seed() -> None:
    requests = [TextRequest(None, i) for i in range(60)]
    made = free().generate(requests)
    texts = [m.text for m in made]
    assert texts == [m.text for m in free().generate(requests)] and len(set(texts)) > 10
    assert {len(t) for t in texts} >= {1, 2, 3}
    assert [m.text for m in free().generate([TextRequest(None, i + 100) for i in range(60)])] != texts
    assert free().generate([]) == []
    conditional = learnt().generate([TextRequest(None, 1), TextRequest("ab", 1)], Sampling(8), TextDecoding("drawn"))
    assert conditional[1].text and conditional[0].ids


def test_candidates_and_samples_cost_what_they_cost() -> None:
    one = TextRequest("abc", 3)
    sampling = Sampling(3, grid="quantile")

    def forwards(**how: Any) -> int:
        return learnt().generate([one], sampling, TextDecoding(**{"patience": None} | how))[0].forwards

    assert [forwards(), forwards(candidates=2), forwards(samples=4), forwards(candidates=2, samples=2)] == [3, 6, 12, 12]
    assert learnt().generate([one], Sampling(3, guidance=2.0), TextDecoding(patience=None))[0].forwards == 6
    assert learnt().generate([one], Sampling(40), TextDecoding())[0].forwards < 40
    made = learnt().generate([one], sampling, TextDecoding(samples=4))[0]
    assert len(made.samples) == 4 and made.text in made.samples
    assert forwards(candidates=99) == 3 * VOCABULARY.longest


def test_progress_is_told_and_ends_at_one() -> None:
    heard: list[float] = []
    learnt().generate([TextRequest("ab"), TextRequest("c")], progress=heard.append)
    assert heard[-1] == 1.0


def test_a_sample_of_one_is_the_requests_own() -> None:
    assert seeds_of(7, 1) == [7] and seeds_of(7, 3)[:1] == [7]
    assert len(set(seeds_of(7, 8))) == 8
    assert sorted(sum(groups([5, 1, 9000, 3], 4096), [])) == [0, 1, 2, 3] and max(map(len, groups([4] * 10, 16))) == 4


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("", (), "empty"),
        ("abx", (), "'x' is none of the characters"),
        ("a" * 10_000, (), "at most 4 are allowed"),
        ("a", (Sampling(4, temperature=0.0), TextDecoding(samples=3)), "raise the temperature"),
    ],
)
def test_requests_that_cannot_be_met(text: str, how: tuple[Any, ...], message: str) -> None:
    with pytest.raises(FmAudioError, match=message):
        learnt().generate([TextRequest(text)], *how)


def test_what_a_model_was_not_trained_for_is_refused() -> None:
    always = make(condition_drop=0.0)
    with pytest.raises(FmAudioError, match="leave guidance at 1"):
        always.generate([TextRequest("a")], Sampling(guidance=2.0))
    with pytest.raises(FmAudioError, match="always had a source"):
        always.generate([TextRequest()])
    with pytest.raises(FmAudioError, match="writes freely"):
        free().generate([TextRequest("a")])
    with pytest.raises(FmAudioError, match="2 pairs have none"):
        make().loss(batch(["a", "b"], source=False))
    baseline: Any = AutoregressiveText(VOCABULARY, VOCABULARY, 16, 1, 2, text_width=16, text_layers=1)
    with pytest.raises(FmAudioError, match="cannot write freely"):
        baseline.generate([TextRequest()])
    with pytest.raises(FmAudioError, match="1 pairs have none"):
        baseline.loss(batch(["a"], source=False))


@pytest.mark.parametrize(
    "given",
    [{"length": "long"}, {"candidates": 0}, {"samples": 0}, {"patience": 0}, {"length": "end", "candidates": 2}],
    ids=str,
)
def test_bad_decodings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(FmAudioError, match="decoding: "):
        TextDecoding(**given)


@pytest.mark.parametrize(
    "given", [{"condition_drop": 1.0}, {"pads": -1}, {"prediction": "noise"}, {"label_smoothing": 1.0}], ids=str
)
def test_bad_sizes_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(FmAudioError):
        make(**given)
    with pytest.raises(FmAudioError, match="seed"):
        TextRequest("a", -1)
    with pytest.raises(FmAudioError, match="label_smoothing"):
        AutoregressiveText(VOCABULARY, VOCABULARY, label_smoothing=2.0)


def test_a_model_folder_answers_the_same(tmp_path: Path) -> None:
    letters = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abc", "longest": 4}}
    net = {"width": 32, "layers": 2, "heads": 2, "tokens_width": 32, "feedforward": 2.0, "position_kernel": 0}
    node = {
        "class_path": "fm_audio.tasks.text_to_text.TextToText",
        "init_args": {
            "source": letters, "target": letters, "channels": 16, "text_width": 32, "text_layers": 1, "text_heads": 2,
            "self_conditioning": 0.5, "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net},
        },
    }  # fmt: skip
    assert type(instantiate(node)) is TextToText
    save_model(tmp_path / "model", node, learnt().state_dict())
    loaded: Any = load_model(tmp_path / "model")
    assert right(loaded, Sampling(4, grid="quantile", temperature=0.0)) > 0.95
