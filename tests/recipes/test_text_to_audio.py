"""The smoke recipe of sounds by every command of its first comment, and the real one at its size and at a small one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fm_audio.checkpoint import instantiate
from fm_audio.data.speech import SpeechDataModule
from tests.recipes.commands import ROOT, command, recipe_with, steps_logged
from tests.tiny_hub import t5, words_tokenizer

pytestmark = pytest.mark.timeout(600)
RECIPES = ROOT / "recipes/text_to_audio"


@pytest.fixture(scope="module")
def few_sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from data_prep.procedural_sounds import main as prepare

    folder = tmp_path_factory.mktemp("sounds")
    prepare([str(folder / "data/few_sounds"), "--clips", "24", "--hold-out", "6"])
    return folder


@pytest.mark.slow
def test_the_smoke_recipe_trains_goes_on_and_sounds(few_sounds: Path) -> None:
    for steps in ("20", "40"):
        arguments = ["fit", "--config", str(RECIPES / "smoke.yaml"), "--trainer.max_steps", steps, "--ckpt_path", "last"]
        assert command(arguments, few_sounds) == 0, (few_sounds / "output.txt").read_text()[-3000:]
    seen = steps_logged(few_sounds / "runs/sound_smoke")
    assert seen == sorted(set(seen)) and seen[-1] > 30, "the second run went on from the first"
    assert command(["export", "runs/sound_smoke", "runs/sound_smoke/model"], few_sounds) == 0
    model = str(few_sounds / "runs/sound_smoke/model")
    made = ["sound", "two low beeps", "--seconds", "1.5", "-o", "beeps.wav", "--model", model]
    assert command(made, few_sounds) == 0, (few_sounds / "output.txt").read_text()[-3000:]
    assert (few_sounds / "beeps.wav").stat().st_size > 1000


@pytest.mark.parametrize("name", ["made", "audiocaps"])
def test_a_real_recipe_builds_at_its_size_and_learns_at_a_small_one(name: str, few_sounds: Path, tmp_path: Path) -> None:
    text = (RECIPES / f"{name}.yaml").read_text()
    if "google/flan-t5-base" in text:
        pytest.importorskip("transformers")
        words_tokenizer().save_pretrained(tmp_path)
        t5(768).save_pretrained(tmp_path)  # as wide as it, with random weights
        text = text.replace("google/flan-t5-base", str(tmp_path))
    recipe: dict[str, Any] = yaml.safe_load(text)
    node = recipe["model"]["init_args"]["task"]
    node["init_args"] |= {name: recipe[name] for name in ("spec", "frontend")}
    with torch.device("meta"):
        task: Any = instantiate(node)
    told = re.search(r"(\d+\.\d) M parameters", text)
    millions = sum(p.numel() for p in task.parameters()) / 1e6
    assert told is not None and abs(millions - float(told[1])) <= 0.05, millions
    net = node["init_args"]["backbone"]["init_args"]
    assert net["width"] > node["init_args"]["frames_per_token"] * recipe["spec"]["bands"], "a patch must fit through it"
    node["init_args"] |= {"caption_width": 16, "caption_layers": 1, "vector_width": 8}
    net |= {"width": 32, "layers": 2, "heads": 2, "vector_width": 8, "tokens_width": 16}
    task = instantiate(node)
    how = {k: v for k, v in recipe["data"]["init_args"].items() if k in ("captions", "retrieve")}
    cuts = [str(few_sounds / "data/few_sounds/cuts.jsonl.gz")]
    data = SpeechDataModule(cuts, [], task.spec, task.frontend, 12, buckets=2, **how)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.AdamW(task.parameters(), 3e-3)
    losses = []
    for _ in range(6):
        losses.append(task.loss(batch, torch.Generator().manual_seed(0))["loss"])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def shortened(recipe: dict[str, Any]) -> None:
    data, model, trainer = recipe["data"]["init_args"], recipe["model"]["init_args"], recipe["trainer"]
    data |= {"cuts": ["data/few_sounds/cuts.jsonl.gz"], "validation_cuts": ["data/few_sounds/validation.jsonl.gz"]}
    data |= {"batch_seconds": 15, "buckets": 2}
    model |= {"total_steps": 4, "warmup_steps": 1}
    trainer |= {"max_steps": 4, "val_check_interval": 2, "log_every_n_steps": 1}
    for callback in trainer["callbacks"]:
        if "every_n_train_steps" in callback.get("init_args", {}):
            callback["init_args"]["every_n_train_steps"] = 2


@pytest.mark.slow
def test_a_codec_is_learnt_and_sounds_are_learnt_as_its_latents(few_sounds: Path) -> None:
    """Both recipes at their size, on a small corpus and for four steps, by the commands of their first comments."""
    for name in ("mel_codec", "latent"):
        recipe = recipe_with(few_sounds / f"{name}.yaml", shortened, RECIPES / f"{name}.yaml")
        for asked in (["fit", "--config", str(recipe)], ["export", f"runs/{name}", f"runs/{name}/model"]):
            assert command(asked, few_sounds) == 0, (few_sounds / "output.txt").read_text()[-3000:]
    sound = ["sound", "rain", "--seconds", "2", "-o", "latent.wav", "--model", "runs/latent/model", "--steps", "2"]
    assert command(sound, few_sounds) == 0, (few_sounds / "output.txt").read_text()[-3000:]
    assert (few_sounds / "latent.wav").stat().st_size > 1000
