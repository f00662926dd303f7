"""Fine-tuning by low rank through the recipe that trained a model: little moves, runs go on, an export is a plain model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.checkpoint import load_model
from fm_audio.data.text.vocabulary import Letters
from fm_audio.encoders.predictor import Predictor
from fm_audio.tasks.text_requests import TextRequest
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.training.low_rank import USUAL_TARGETS, LowRank, target_layers, usual_targets, whole_weights
from fm_audio.training.module import FlowModule
from fm_audio.types import FmAudioError, length_mask
from tests.recipes.commands import ROOT, command, recipe_with


def model() -> TextToText:
    torch.manual_seed(0)
    letters = Letters("abc", longest=4)
    return TextToText(letters, letters, DiT(16, 1, 2, tokens_width=16, position_kernel=0), 8, 16, 1, 2, dropout=0.0)


def test_nothing_moves_at_first_and_little_later() -> None:
    plain, bent = model().eval(), model().eval()
    LowRank(rank=2, whole=["writer.lengths"]).bend(bent)
    layers = set(target_layers(plain, ("attention", "adaln", "conditioning")))
    assert "writer.head.ports.text.into" in layers and any("attention" in name for name in layers)
    learning = {name for name, p in bent.named_parameters() if p.requires_grad}
    assert all(".lora_" in name or name.startswith("writer.lengths.") for name in learning)
    assert {name.split(".lora_")[0] for name in learning if ".lora_" in name} == layers
    ask = [TextRequest("abc")]
    assert plain.generate(ask)[0].log_probability == bent.generate(ask)[0].log_probability
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in bent.named_parameters():
            if ".lora_" in name:
                p.normal_(0, 0.3, generator=draw)
    whole = whole_weights(bent.state_dict())
    assert set(whole) == set(plain.state_dict())
    plain.load_state_dict(whole)
    a, b = (m.generate(ask)[0].log_probability for m in (plain, bent))
    assert a == pytest.approx(b, abs=1e-5)
    assert whole_weights(plain.state_dict()).keys() == plain.state_dict().keys()


def test_convolutions_of_what_predicts_bend_and_become_whole() -> None:
    torch.manual_seed(0)
    plain = Predictor(6, 4, hidden=8, kernel=3, dropout=0.0).eval()
    bent = Predictor(6, 4, hidden=8, kernel=3, dropout=0.0).eval()
    bent.load_state_dict(plain.state_dict())
    both = nn.ModuleList([bent])
    LowRank(rank=2, targets=["predictors"]).bend(both)
    assert set(target_layers(nn.ModuleList([plain]), ["predictors"])) == {"0.convs.0.conv", "0.convs.1.conv", "0.out"}
    x, speaker, mask = torch.randn(2, 7, 6), torch.randn(2, 4), length_mask(torch.tensor([7, 5]))
    assert torch.allclose(bent(x, speaker, mask), plain(x, speaker, mask), atol=1e-6)
    with torch.no_grad():
        for name, p in bent.named_parameters():
            assert p.requires_grad == (".lora_" in name)
            if ".lora_" in name:
                p.normal_(0, 0.3)
    plain.load_state_dict({name.removeprefix("0."): w for name, w in whole_weights(both.state_dict()).items()})
    said = bent(x, speaker, mask)
    assert torch.allclose(said, plain(x, speaker, mask), atol=1e-5)
    assert torch.allclose(said[1, :5], bent(x[1:, :5], speaker[1:], mask[1:, :5])[0], atol=1e-5), "company changes nothing"


def test_another_language_bends_all_that_there_is() -> None:
    text = model()  # it has no predictors of its own
    assert usual_targets(text, language=False) == USUAL_TARGETS
    assert usual_targets(text, language=True) == (*USUAL_TARGETS, "feedforward")
    assert "predictors" in usual_targets(nn.ModuleList([Predictor(6, 4, 8, 3, 0.0), text]), language=True)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(FmAudioError, match="rank is 0"):
        LowRank(rank=0)
    with pytest.raises(FmAudioError, match=r"no part 'writer\.nose' to train whole; the model has encoder, writer"):
        LowRank(whole=["writer.nose"]).bend(model())
    with pytest.raises(FmAudioError, match="targets toes: give some of attention"):
        LowRank(targets=["toes"]).bend(model())
    with pytest.raises(FmAudioError, match="targets attention: this base has no such layers"):
        LowRank(targets=["attention"]).bend(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(FmAudioError, match="low_rank: bends a model that was trained"):
        FlowModule(model(), 10, low_rank=LowRank())


@pytest.mark.slow
def test_a_text_recipe_fine_tunes_by_low_rank_goes_on_and_is_exported_whole(tmp_path: Path) -> None:
    from data_prep.pronunciations import main as prepare

    smoke = ROOT / "recipes/text_to_text/smoke.yaml"
    prepare([str(tmp_path / "data/short_words"), "--max-letters", "4", "--max-phones", "4"])
    assert command(["fit", "--config", str(smoke), "--trainer.max_steps", "20"], tmp_path) == 0
    assert command(["export", "runs/text_smoke", "base", "--full"], tmp_path) == 0

    def change(recipe: dict[str, Any]) -> None:
        low_rank = {"class_path": "fm_audio.training.low_rank.LowRank", "init_args": {"rank": 2}}
        recipe["model"]["init_args"] |= {"start_from": "base", "low_rank": low_rank}
        recipe["trainer"]["logger"]["init_args"]["save_dir"] = "runs/tuned"
        assert recipe["trainer"]["precision"] == "bf16-mixed" and "RunningMean" in str(recipe["trainer"]["callbacks"])

    recipe = recipe_with(tmp_path / "tune.yaml", change, smoke)
    for until in ("20", "40"):
        arguments = ["fit", "--config", str(recipe), "--trainer.max_steps", until, "--ckpt_path", "last"]
        assert command(arguments, tmp_path) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    assert command(["export", "runs/tuned", "tuned", "--full"], tmp_path) == 0
    before, after = (load_model(tmp_path / name).state_dict() for name in ("base", "tuned"))
    bends = {f"{name}.weight" for name in target_layers(load_model(tmp_path / "base"), ("attention", "adaln", "conditioning"))}
    moved = {key for key in before if (before[key] - after[key]).abs().max() > 1e-6}  # a running mean rounds what stands still
    assert moved == bends
    assert command(["text", "cat", "--model", "tuned"], tmp_path) == 0
