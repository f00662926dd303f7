"""`fm-audio distill`: students of voices, adapters, sounds and texts, which begin as their teachers and then take other steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fm_audio.audio import Audio
from fm_audio.checkpoint import CONFIG, instantiate, load_model, read_config, save_model
from fm_audio.cli import main
from fm_audio.commands.distill import whole_teacher
from fm_audio.data.cuts import load_cuts
from fm_audio.data.preparation.prepare import write_cuts
from fm_audio.training.distill import Distill
from fm_audio.training.export import _speaking
from fm_audio.types import FmAudioError
from fm_audio.voices import load
from fm_audio.voices.cloner import load_cloner
from fm_audio.voices.find import SHIPPED
from fm_audio.voices.reference import Reference
from fm_audio.voices.sounds import load_sounds
from tests.unit.adapt.test_adapting_cloners import our_cloner
from tests.unit.test_sounds import NODE as SOUNDS

QUICK = ["--steps", "3", "--precision", "32-true", "--batch", "5"]


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> str:
    from data_prep.synthetic import main as make

    raw = tmp_path_factory.mktemp("speech")
    make([str(raw), "--clips", "8", "--speakers", "1"])
    clips = list(load_cuts(raw / "cuts.jsonl.gz"))
    for cut in clips:
        cut.supervisions[0].speaker = "anna"
    write_cuts(clips, raw / "annas.jsonl.gz")
    return str(raw / "annas.jsonl.gz")


@pytest.mark.slow
def test_a_student_of_a_voice_speaks(tiny_voice: Path, cuts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher, out = tmp_path / "teacher", tmp_path / "student"
    shutil.copytree(tiny_voice, teacher)
    shutil.copytree(tiny_voice.parent / "tiny_vocoder", tmp_path / "tiny_vocoder")
    assert main(["distill", "--teacher", str(teacher), "--data", cuts, "-o", str(out), *QUICK]) == 0
    assert "by flow_map, guidance 2 baked in" in capsys.readouterr().err
    config = read_config(out)
    assert config["distilled"] == "flow_map" and config["sampling"]["steps"] == 2
    assert config["model"]["init_args"]["backbone"]["class_path"].endswith("TwoTimes")
    student = load(out)
    assert list(student.speakers) == list(load(teacher).speakers) and student.sampling.steps == 2
    assert len(student.say("Hello.").samples) > 0
    kept = load_model(teacher).state_dict()
    mine: Any = load_model(out).state_dict()
    frozen = [k for k in kept if not k.startswith("head.")]
    assert frozen and all(torch.allclose(kept[k], mine[k], atol=1e-3) for k in frozen), "what is no part of the head stays"
    assert main(["distill", "--teacher", str(teacher), "--data", cuts, "-o", str(out), *QUICK]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_student_of_sounds_has_guidance_baked_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from data_prep.procedural_sounds import main as prepare

    prepare([str(tmp_path / "sounds"), "--clips", "6", "--hold-out", "0"])
    node = {**SOUNDS, "init_args": {**SOUNDS["init_args"], "retrieval": True}}
    letters = {"alphabet": "abcdefghijklmnopqrstuvwxyz' ", "longest": 200}
    reads = {"target": {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": letters}}
    node["init_args"]["frontend"] = {"class_path": "fm_audio.data.text.spelled.Spelled", "init_args": reads}
    teacher = save_model(tmp_path / "teacher", node, instantiate(node).state_dict(), _speaking(node))
    data, out = str(tmp_path / "sounds/cuts.jsonl.gz"), tmp_path / "student"
    assert main(["distill", "--teacher", str(teacher), "--data", data, "-o", str(out), *QUICK]) == 0
    assert "guidance 3 baked in" in capsys.readouterr().err, "the weight that such models sample with"
    task: Any = load_model(teacher)
    Distill(str(teacher), guidance=3.0).begin(task)
    assert task.head.objective.followed.guidance_rescale == load_sounds(teacher).sampling.guidance_rescale > 0
    assert load_sounds(out).sampling.guidance == 1.0
    assert main(["sound", "rain", "--seconds", "0.3", "-o", str(tmp_path / "a.wav"), "--model", str(out), "--steps", "1"]) == 0


@pytest.mark.slow
def test_a_student_of_an_adapter_is_a_whole_voice(
    tiny_voice: Path, make_adapter: Callable[..., Path], cuts: str, tmp_path: Path
) -> None:
    carl = make_adapter("carl", rank=3)
    assert main(["distill", "--teacher", str(carl), "--data", cuts, "-o", str(tmp_path / "student"), *QUICK]) == 0
    student, worn = load(tmp_path / "student"), load(tiny_voice, adapter=carl)
    assert student.name == "carl" and student.cards["carl"]["consent"] == "asked"
    ours, theirs = (v.model.state_dict() for v in (student, worn))
    texts = [k for k in theirs if k in ours and not k.startswith("head.") and ours[k].shape == theirs[k].shape]
    assert texts and all(torch.allclose(ours[k], theirs[k], atol=1e-2) for k in texts), "what is not taught is the adapter's"
    assert len(student.say("Hello.").samples) > 0


@pytest.mark.slow
def test_a_student_of_a_cloner_hears_what_its_teacher_heard(cuts: str, tmp_path: Path) -> None:
    """The recording that an adapted cloner speaks from by itself, and what a converted one is shown, go on to the student."""
    teacher, out = our_cloner(tmp_path), tmp_path / "student"
    own = Reference(Audio(np.sin(np.arange(48_000, dtype=np.float32) / 30) / 2, 24_000), "a tone")
    config = read_config(teacher)
    config |= {"reference": own.beside(teacher), "converted_from": "f5-v1", "facts": {"consent": "asked"}}
    (teacher / CONFIG).write_text(json.dumps(config))
    assert main(["distill", "--teacher", str(teacher), "--data", cuts, "-o", str(out), "--objective", "ways", *QUICK]) == 0
    kept, student = read_config(out), load_cloner(out)
    assert all(kept[k] == config[k] for k in ("reference", "converted_from", "facts", "kind", "vocoder"))
    assert student.reference().text == "a tone" and not student.fills_bands
    assert student.sampling.guidance == 1.0 and len(student.say("Say it.").samples) > 0
    assert main(["clone", "Say it.", "--model", str(out), "-o", str(tmp_path / "a.wav"), "--solver", "midpoint"]) == 2
    assert main(["clone", "Say it.", "--model", str(out), "-o", str(tmp_path / "a.wav"), "--steps", "9"]) == 2
    assert main(["clone", "Say it.", "--model", str(out), "-o", str(tmp_path / "a.wav"), "--steps", "8"]) == 0


@pytest.mark.slow
def test_steps_keeps_the_network_as_it_is_and_texts_are_distilled_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = {
        "class_path": "fm_audio.tasks.text_to_text.TextToText",
        "init_args": {
            "source": {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"longest": 12}},
            "target": {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"longest": 12}},
            "channels": 8, "text_width": 12, "text_layers": 1, "text_heads": 2, "condition_drop": 0.0,
            "backbone": {
                "class_path": "fm_audio.backbones.dit.DiT",
                "init_args": {"width": 16, "layers": 1, "heads": 2, "tokens_width": 12, "position_kernel": 0},
            },
        },
    }  # fmt: skip
    teacher = save_model(tmp_path / "teacher", node, instantiate(node).state_dict(), _speaking(node))
    (tmp_path / "pairs.tsv").write_text("".join(f"{w}\t{w[::-1]}\n" for w in ("cat", "dog", "bird", "fish") * 8))
    data = str(tmp_path / "pairs.tsv")
    for objective in ("flow_map", "reflow"):
        out = tmp_path / objective
        assert main(["distill", "--teacher", str(teacher), "--data", data, "-o", str(out), "--objective", objective, *QUICK]) == 0
        assert main(["text", "cat", "--model", str(out), "--steps", "1"]) == 0
    asked = ["distill", "--teacher", str(teacher), "--data", data, "-o", str(tmp_path / "a"), *QUICK]
    assert main([*asked, "--guidance", "2"]) == 2 and "not trained without its source" in capsys.readouterr().err
    node["init_args"]["self_conditioning"] = 0.5
    told = save_model(tmp_path / "told", node, instantiate(node).state_dict(), _speaking(node))
    asked[2] = str(told)
    assert main(asked) == 2 and "students are told no estimate" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    wrapped = [read_config(tmp_path / o)["model"]["init_args"]["backbone"]["class_path"] for o in ("flow_map", "reflow")]
    assert wrapped[0].endswith("TwoTimes") and wrapped[1].endswith("DiT")


def test_what_cannot_be_distilled_is_refused(tiny_voice: Path, cuts: str, tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="objective is 'magic'; there are flow_map, steps, reflow, ways"):
        Distill("x", "magic")
    with pytest.raises(FmAudioError, match="give the least and the most"):
        Distill("x", temperatures=(0.7, 0.6))
    with pytest.raises(FmAudioError, match="give the least and the most"):
        Distill("x", temperatures=(0.7, float("inf")))
    task = load_model(tiny_voice)
    Distill(str(tiny_voice), "ways").begin(task)
    dropping = [m.p for m in task.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropping and not any(dropping), "what is not taught is asked as it will be"
    model = load_model(tiny_voice.parent / "tiny_vocoder")
    with pytest.raises(FmAudioError):
        Distill(str(tiny_voice)).begin(model)
    assert main(["distill", "--teacher", str(tmp_path), "--data", cuts, "-o", str(tmp_path / "a"), *QUICK]) == 2
    assert main(["distill", "--teacher", str(tiny_voice), "--data", cuts, "-o", str(tmp_path / "a"), "--steps", "0"]) == 2
    asked = ["distill", "--teacher", str(tiny_voice), "--data", cuts, "-o", str(tmp_path / "a"), *QUICK]
    for wrong in (["--learning-rate", "-1"], ["--learning-rate", "nan"], ["--minutes", "nan"], ["--batch", "nan"]):
        assert main([*asked, *wrong]) == 2
    assert main(["distill", "--teacher", "nobody", *asked[3:]]) == 2
    assert whole_teacher(Path("heart"), tmp_path) == SHIPPED / "english" and whole_teacher(Path("g2p"), tmp_path).name == "g2p"
    assert torch.cuda.is_available() or main([*asked, "--device", "cuda"]) == 2
    assert not (tmp_path / "a").exists() and not list(tmp_path.glob(".a*"))
