"""Distillation as a flag of a recipe: a run begins as its teacher, goes on from its checkpoint, and is exported as a student."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fm_audio.checkpoint import load_model, read_config
from fm_audio.voices import load
from tests.recipes.commands import ROOT, SMOKE, command

FLAG = "--model.init_args.distill"
TEXT = ROOT / "recipes/text_to_text/smoke.yaml"


def done(arguments: list[str], folder: Path) -> None:
    assert command(arguments, folder) == 0, (folder / "output.txt").read_text()[-3000:]


def student_of_a_recipe(recipe: Path, run: str, folder: Path) -> Path:
    """A teacher of 20 steps, its student of 20 and then 20 more, exported to a folder `student`."""
    fit = ["fit", "--config", str(recipe), "--trainer.max_steps"]
    done([*fit, "20"], folder)
    done(["export", run, "teacher", "--full"], folder)
    flag = [FLAG, "fm_audio.training.distill.Distill", f"{FLAG}.init_args.teacher", "teacher"]
    save = ["--trainer.logger.init_args.save_dir", "runs/fast"]
    for until in ("20", "40"):
        done([*fit, until, *flag, *save, "--ckpt_path", "last"], folder)
    done(["export", "runs/fast", "student", "--full"], folder)
    return folder / "student"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_speech_recipe_makes_a_student(smoke_data: Path, tmp_path: Path) -> None:
    shutil.copytree(smoke_data / "data", tmp_path / "data")
    student = student_of_a_recipe(SMOKE, "runs/smoke", tmp_path)
    config = read_config(student)
    assert config["distilled"] == "flow_map" and config["sampling"]["steps"] == 2 and config["sampling"]["guidance"] == 1.0
    kept, mine = (load_model(folder).state_dict() for folder in (tmp_path / "teacher", student))
    assert all((kept[k] - mine[k]).abs().max() < 1e-6 for k in kept if not k.startswith("head.")), "only the head is taught"
    assert any(k.startswith("head.backbone.gap.") for k in mine)
    assert len(load(student).say("hello", steps=1).samples) > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_text_recipe_makes_a_student(tmp_path: Path) -> None:
    from data_prep.pronunciations import main as prepare

    prepare([str(tmp_path / "data/short_words"), "--max-letters", "4", "--max-phones", "4"])
    student = student_of_a_recipe(TEXT, "runs/text_smoke", tmp_path)
    assert read_config(student)["distilled"] == "flow_map"
    done(["text", "cat", "--model", "student", "--steps", "1"], tmp_path)
