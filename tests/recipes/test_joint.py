"""The joint recipes: the smoke recipe by every command of its first comment, and the real one at its size and at a small one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fm_audio.checkpoint import instantiate, load_model
from fm_audio.data.joint import JointDataModule
from fm_audio.data.text.pairs import Pair, write_pairs
from fm_audio.tasks.joint import DIRECTIONS
from tests.recipes.commands import ROOT, command, steps_logged
from tests.recipes.test_recipes import parsed

pytestmark = pytest.mark.timeout(600)

SMOKE, TAUGHT = (ROOT / f"recipes/joint/{name}.yaml" for name in ("smoke", "taught"))


@pytest.mark.parametrize("path", [SMOKE, TAUGHT], ids=lambda p: p.stem)
def test_what_agrees_stands_once(path: Path) -> None:
    config = parsed("--config", str(path)).config
    for name in ("spec", "frontend", "source", "target"):
        assert config.model.init_args.task.init_args[name] == config[name] == config.data.init_args[name]


def fitted(folder: Path, smoke_data: Path, *steps: str) -> Path:
    """The smoke recipe by the command line, stopped at each number of steps and gone on with; its run."""
    from data_prep.pronunciations import main as prepare

    (folder / "data").mkdir(parents=True)
    (folder / "data/smoke").symlink_to(smoke_data / "data/smoke")
    prepare([str(folder / "data/short_words"), "--in-place", "--max-letters", "4"])
    for until in steps:
        arguments = ["fit", "--config", str(SMOKE), "--trainer.max_steps", until, "--ckpt_path", "last"]
        assert command(arguments, folder) == 0, (folder / "output.txt").read_text()[-3000:]
    return folder / "runs/joint_smoke"


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_where_an_uninterrupted_one_does(smoke_data: Path, tmp_path: Path) -> None:
    whole, parts = (
        torch.load(fitted(tmp_path / name, smoke_data, *steps) / "checkpoints/last.ckpt", weights_only=True)
        for name, steps in (("whole", ["40"]), ("parts", ["20", "40"]))
    )
    for kind in ("state_dict", "current_model_state"):
        assert whole[kind].keys() == parts[kind].keys()
        assert all(torch.equal(value, parts[kind][key]) for key, value in whole[kind].items()), kind


@pytest.mark.slow
def test_the_smoke_recipe_trains_goes_on_and_serves_three_commands(smoke_data: Path, tmp_path: Path) -> None:
    run = fitted(tmp_path, smoke_data, "20", "40")
    steps_seen = steps_logged(run)
    assert steps_seen == sorted(set(steps_seen)) and steps_seen[-1] > 30, "the second run went on from the first"
    assert_logged(run)
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    held = [key for key in saved["state_dict"] if key.endswith("backbone.blocks.0.attention.query.weight")]
    assert held == ["task.backbone.blocks.0.attention.query.weight"] and saved["global_step"] == 40
    assert any(not torch.equal(v, saved["current_model_state"][k]) for k, v in saved["state_dict"].items()), "no average"
    assert command(["export", "runs/joint_smoke", "runs/joint_smoke/model"], tmp_path) == 0
    model = str(run / "model")
    assert load_model(run / "model").state_dict().keys() == {key.removeprefix("task.") for key in saved["state_dict"]}
    clip = str(next((tmp_path / "data/smoke/wavs").glob("*.wav")))
    said = ["say", "red moon", "-o", "said.wav", "--voice", model]
    for asked in (said, ["transcribe", clip, "--model", model], ["text", "cat", "--model", model]):
        assert command(asked, tmp_path) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    assert (tmp_path / "said.wav").stat().st_size > 1000


def assert_logged(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"images": 0, "scalars": 0}).Reload()
    wanted = {f"{stage}/{name}" for stage in ("train", "validation") for name in DIRECTIONS}
    wanted |= {"train/speech_flow", "train/listening_ctc", "train/listening_scale", "validation/loss"}
    assert wanted <= set(events.Tags()["scalars"]) and "mel/sentence0" in events.Tags()["images"]


def test_the_real_recipe_builds_at_its_size_and_learns_at_a_small_one(smoke_data: Path, tmp_path: Path) -> None:
    text = TAUGHT.read_text()
    recipe: dict[str, Any] = yaml.safe_load(text)
    node = recipe["model"]["init_args"]["task"]
    node["init_args"] |= {name: recipe[name] for name in ("spec", "frontend", "source", "target")}
    with torch.device("meta"):
        millions = sum(p.numel() for p in instantiate(node).parameters()) / 1e6
    told = re.search(r"(\d+\.\d) M parameters", text)
    assert told is not None and abs(millions - float(told[1])) <= 0.05, millions
    node["init_args"] |= {"speakers": ["tone0", "tone1"], "states_width": 16, "text_width": 16, "text_layers": 1, "channels": 8}
    node["init_args"] |= {"speech_layers": 1, "source_layers": 1, "durations_width": 16, "frames_width": 16}
    node["init_args"]["backbone"]["init_args"] |= {"width": 16, "layers": 1, "heads": 2}
    task: Any = instantiate(node)
    write_pairs(tmp_path / "pairs.tsv", [Pair("cat", "K AE1 T"), Pair("dog", "D AO1 G")])
    cuts, pairs = [str(smoke_data / "data/smoke/cuts.jsonl.gz")], [str(tmp_path / "pairs.tsv")]
    data = JointDataModule(
        cuts, cuts, pairs, pairs, task.spec, task.speech.frontend, task.writing.source, task.writing.target, 8, 8,
        pitch=recipe["data"]["init_args"]["pitch"],
    )  # fmt: skip
    data.setup()
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.AdamW(task.parameters(), 3e-3)
    losses = []
    for _ in range(6):
        losses.append(task.loss(batch, torch.Generator().manual_seed(0)))
        optimizer.zero_grad()
        losses[-1]["loss"].backward()
        optimizer.step()
    assert all(losses[-1][name] < losses[0][name] for name in DIRECTIONS)
