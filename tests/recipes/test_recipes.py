"""Every recipe is complete and builds; the smoke recipe trains, goes on, is exported and speaks, all by the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import fm_audio
from fm_audio.checkpoint import load_into, load_model
from fm_audio.training.cli import RecipeCLI
from fm_audio.types import FmAudioError
from tests.recipes.commands import ROOT, SMOKE, command, recipe_with, steps_logged

pytestmark = pytest.mark.timeout(600)  # several whole runs

RECIPES = sorted((ROOT / "recipes").glob("**/*.yaml"))
NAMES = [path.relative_to(ROOT / "recipes").as_posix() for path in RECIPES]


def parsed(*arguments: str) -> RecipeCLI:
    """The recipe parsed in full, nothing built."""

    class Parsed(RecipeCLI):
        def instantiate_classes(self) -> None:
            self.trainer = self.model = self.datamodule = None  # type: ignore[assignment]

    return Parsed(arguments, run=False)


def nodes(part: Any) -> list[dict[str, Any]]:
    """Every class_path node of a recipe."""
    if isinstance(part, dict):
        return ([part] if "class_path" in part else []) + [node for value in part.values() for node in nodes(value)]
    return [node for value in part for node in nodes(value)] if isinstance(part, list) else []


def test_there_are_recipes() -> None:
    wanted = {f"aligned_tts/{name}.yaml" for name in ("smoke", "ljspeech", "vctk", "taught", "asterisk", "diffusion")}
    wanted |= {f"infill_tts/{name}.yaml" for name in ("smoke", *INFILLING)}
    wanted |= {f"speech_to_text/{name}.yaml" for name in ("smoke", *LISTENING)}
    wanted |= {f"text_to_text/{name}.yaml" for name in ("smoke", *WRITING)}
    wanted |= {f"joint/{name}.yaml" for name in ("smoke", "taught")}
    assert wanted <= set(NAMES)


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_a_recipe_parses_and_builds(path: Path) -> None:
    """Unknown keys and classes are refused by the parser; the model it names can be made and trained."""
    recipe = yaml.safe_load(path.read_text())
    config = parsed("--config", str(path)).config
    for node in nodes(recipe):
        assert node["class_path"].split(".")[0] in ("fm_audio", "lightning"), node
    model = config.model.init_args
    held = model.get("task") or model.get("decoder")
    for name in ("source", "target") if path.parent.name == "text_to_text" else ("spec",):
        assert held.init_args[name] == config[name] == config.data.init_args[name]
    steps, shown = recipe["model"]["init_args"]["total_steps"], recipe["trainer"].get("max_steps")
    assert shown in (None, steps), "the schedule ends when the training ends"


@pytest.mark.parametrize("path", RECIPES, ids=NAMES)
def test_a_recipe_says_how_to_run_it_and_its_sample_rate_once(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ") and "fm-audio fit --config recipes/" in re.split("\n(?!#)", text)[0]
    assert path.relative_to(ROOT).as_posix() in text
    settings = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert len(re.findall(r"sample_rate", settings)) == (path.parent.name != "text_to_text")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("total_steps:", "total_stepz:"), "FlowModule takes no 'total_stepz' (did you mean total_steps?)"),
        (("text_width:", "text_widht:"), "AlignedTTS takes no 'text_widht' (did you mean text_width?)"),
        (("feedforward:", "feedfoward:"), "DiT takes no 'feedfoward' (did you mean feedforward?)"),
        (("batch_seconds:", "batch_second:"), "SpeechDataModule takes no 'batch_second' (did you mean batch_seconds?)"),
        (("trainer:", "trainerr:"), "there is no key 'trainerr' (did you mean trainer?)"),
        (("spec: {", "specs: {"), "there is no key 'specs' (did you mean spec?)"),
        (("max_steps:", "max_stepz:"), "did you mean trainer.max_steps?"),
    ],
    ids=lambda value: value[1].strip(": {") if isinstance(value, tuple) else None,
)
def test_an_unknown_key_names_the_nearest(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(SMOKE.read_text().replace(*change))
    with pytest.raises(FmAudioError, match=re.escape(message)) as caught:
        parsed("--config", str(bad))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", str(SMOKE), "--trainer.max_stepz", "3"], "did you mean trainer.max_steps?"),
        (["--config", str(SMOKE), "--trainer.max_steps", "many"], "trainer.max_steps"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--config", str(SMOKE), "--model.init_args.task.init_args.frames_per_token", "0"], "frames_per_token is 0"),
        ([], "required: fit.data, fit.model"),
    ],
    ids=["key", "value", "file", "part", "nothing"],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    from fm_audio.cli import main

    assert main(["fit", *arguments]) == 2
    err = [line for line in capfd.readouterr().err.splitlines() if line.startswith("fm-audio: error:")]
    assert len(err) == 1 and message in err[0]


@pytest.fixture(scope="module")
def trained(smoke_data: Path) -> Path:
    """The smoke recipe by its own commands: the real command line, then on from where it stopped."""
    fit = [sys.executable, "-W", "ignore", "-m", "fm_audio.cli", "fit", "--config", str(SMOKE), "--trainer.max_steps", "40"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": str(smoke_data)}
    done = subprocess.run(fit, cwd=smoke_data, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "peak memory:" in done.stdout + done.stderr and "minutes_left" in done.stdout + done.stderr
    assert (smoke_data / "runs/smoke/checkpoints/last.ckpt").is_file()
    again = command(["fit", "--config", str(SMOKE), "--trainer.max_steps", "50", "--ckpt_path", "last"], smoke_data)
    assert again == 0, (smoke_data / "output.txt").read_text()[-3000:]
    return smoke_data


def test_smoke_trains_goes_on_and_speaks(trained: Path, tmp_path: Path) -> None:
    from fm_audio.cli import main
    from fm_audio.decoders.griffin_lim import GriffinLim
    from fm_audio.flow.sampling import Sampling
    from fm_audio.tasks.speech_requests import SpeechRequest

    assert main(["export", str(trained / "runs/smoke"), str(tmp_path / "voice")]) == 0
    task: Any = load_model(tmp_path / "voice")
    spoken = task.generate([SpeechRequest("red moon", "tone1")], Sampling(steps=2))[0]
    wave = GriffinLim(task.spec, iterations=2).decode(spoken.mel[None], torch.ones(1, len(spoken.mel), dtype=torch.bool))
    assert wave.shape == (1, task.spec.samples_of_frames(len(spoken.mel))) and torch.isfinite(wave).all()
    assert [word.text for word in spoken.words] == ["red", "moon"]
    load_into(task, tmp_path / "voice")
    assert fm_audio.load(tmp_path / "voice" / "tone1").say("red moon", steps=2).seconds > 0


def test_the_event_file_holds_losses_a_picture_with_alignment_and_sound(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "runs/smoke"), size_guidance={"images": 0, "audio": 0, "scalars": 0}).Reload()
    wanted = {"train/loss", "train/prior", "train/duration", "train/flow", "validation/loss", "lr-AdamW/pg1"}
    assert wanted <= set(events.Tags()["scalars"])
    steps = steps_logged(trained / "runs/smoke")
    assert steps == sorted(set(steps)) and steps[-1] > 40, "the second run went on from the first, not from the start"
    picture = events.Images("mel/sentence0")[0]
    assert (picture.width, picture.height) == (1200, 600) and picture.encoded_image_string.startswith(b"\x89PNG")
    sound = events.Audio("audio/sentence0")[0]
    assert sound.sample_rate == 24000 and sound.encoded_audio_string.startswith(b"RIFF") and sound.length_frames > 1000


def test_the_picture_draws_the_borders_of_the_symbols() -> None:
    import numpy as np

    from fm_audio.training.callbacks import draw

    figure = draw(np.zeros((9, 4)), np.zeros((7, 4)), np.array([2, 3, 4]), "text")
    borders = figure.axes[0].collections[0].get_segments()
    assert [segment[0][0] for segment in borders] == [2, 5]


def test_pictures_and_sound_go_to_every_logger_that_can_show_them(tmp_path: Path) -> None:
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import CSVLogger, WandbLogger

    from fm_audio.training.callbacks import SpokenSentences

    class Offline(WandbLogger):
        """W&B without the package: what it is asked to log."""

        def __init__(self) -> None:
            self.asked: list[tuple[str, str, Any]] = []

        def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
            self.asked.append((key, "image", step))

        def log_audio(self, key: str, audios: list[Any], step: int | None = None, **kwargs: Any) -> None:
            self.asked.append((key, "audio", kwargs["sample_rate"]))

    wandb = Offline()
    loggers = [CSVLogger(tmp_path), wandb]
    trainer = Trainer(accelerator="cpu", logger=loggers, enable_checkpointing=False, default_root_dir=tmp_path)
    SpokenSentences()._log(trainer, "sentence0", None, torch.zeros(10).numpy(), 24000)
    assert wandb.asked == [("mel/sentence0", "image", 0), ("audio/sentence0", "audio", [24000])]


@pytest.mark.gpu
def test_smoke_trains_on_a_gpu(smoke_data: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    (tmp_path / "data").symlink_to(smoke_data / "data")
    recipe = recipe_with(tmp_path / "gpu.yaml", lambda r: r["trainer"].update(accelerator="gpu", precision="bf16-mixed"))
    fit = [sys.executable, "-W", "ignore", "-m", "fm_audio.cli", "fit", "--config", str(recipe)]
    done = subprocess.run(fit, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "GPU" in done.stdout + done.stderr
    weights = torch.load(tmp_path / "runs/smoke/checkpoints/last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_the_smoke_recipe_of_infilling_trains_and_clones(smoke_data: Path, tmp_path: Path) -> None:
    from fm_audio.audio import Audio
    from fm_audio.voices.cloner import load_cloner

    recipe = ROOT / "recipes/infill_tts/smoke.yaml"
    arguments = ["fit", "--config", str(recipe), "--trainer.max_steps", "20", "--trainer.val_check_interval", "20"]
    assert command(arguments, smoke_data) == 0, (smoke_data / "output.txt").read_text()[-3000:]
    assert command(["export", "runs/infill", str(tmp_path / "model")], smoke_data) == 0
    cloner = load_cloner(tmp_path / "model")
    tone = Audio(torch.linspace(0, 2000, 36_000).sin().numpy(), 24_000)
    assert cloner.say("red moon", tone, "blue sun", steps=1).seconds > 0.5


@pytest.mark.parametrize("until", [["20"], pytest.param(["20", "40"], marks=pytest.mark.slow)], ids="-".join)
def test_the_smoke_recipe_of_text_trains_goes_on_and_writes(until: list[str], tmp_path: Path) -> None:
    """Every command of its first comment; that a run goes on, in the slow tests."""
    from data_prep.pronunciations import main as prepare
    from fm_audio.evaluation.text import main as measure
    from fm_audio.tasks.text_requests import TextRequest

    recipe = ROOT / "recipes/text_to_text/smoke.yaml"
    prepare([str(tmp_path / "data/short_words"), "--max-letters", "4", "--max-phones", "4"])
    for steps in until:
        arguments = ["fit", "--config", str(recipe), "--trainer.max_steps", steps, "--trainer.val_check_interval", "20"]
        assert command([*arguments, "--ckpt_path", "last"], tmp_path) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    assert command(["export", "runs/text_smoke", "runs/text_smoke/model"], tmp_path) == 0
    model: Any = load_model(tmp_path / "runs/text_smoke/model")
    answer = model.generate([TextRequest("cat")])[0]
    assert answer.forwards <= 4 and set(answer.text.split()) <= set(model.target.symbols)
    pairs, report = tmp_path / "data/short_words/test.tsv", tmp_path / "report.json"
    asked = [str(tmp_path / "runs/text_smoke/model"), str(pairs), "--steps", "2", "--limit", "20", "--json", str(report)]
    assert measure(asked) == 0
    assert report.is_file()


@pytest.mark.parametrize("until", [["20"], pytest.param(["20", "40"], marks=pytest.mark.slow)], ids="-".join)
def test_the_smoke_recipe_of_listening_trains_goes_on_and_writes(until: list[str], smoke_data: Path, tmp_path: Path) -> None:
    """Every command of its first comment; that a run goes on, in the slow tests."""
    recipe = ROOT / "recipes/speech_to_text/smoke.yaml"
    (tmp_path / "data").symlink_to(smoke_data / "data")
    for steps in until:
        arguments = ["fit", "--config", str(recipe), "--trainer.max_steps", steps]
        assert command([*arguments, "--ckpt_path", "last"], tmp_path) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    assert command(["export", "runs/listening_smoke", "runs/listening_smoke/model"], tmp_path) == 0
    clip = next((tmp_path / "data/smoke/wavs").glob("*.wav"))
    assert command(["transcribe", str(clip), "--model", "runs/listening_smoke/model"], tmp_path) == 0
    written = (tmp_path / "output.txt").read_text().splitlines()[-1]
    assert set(written) <= set("abcdefghijklmnopqrstuvwxyz' ")


LISTENING = ("taught", "librispeech")


@pytest.mark.parametrize("name", LISTENING)
def test_a_listening_recipe_builds_at_its_size_and_learns_at_a_small_one(name: str, smoke_data: Path) -> None:
    from fm_audio.checkpoint import instantiate
    from fm_audio.data.speech import SpeechDataModule

    text = (ROOT / f"recipes/speech_to_text/{name}.yaml").read_text()
    recipe = yaml.safe_load(text)
    node = recipe["model"]["init_args"]["task"]
    shared = {"spec": recipe["spec"], "frontend": recipe["frontend"]}
    node["init_args"] |= shared
    with torch.device("meta"):
        millions = sum(p.numel() for p in instantiate(node).parameters()) / 1e6
    told = re.search(r"(\d+(?:\.\d)?) M parameters", text)
    assert told is not None and abs(millions - float(told[1])) <= (0.05 if "." in told[1] else 0.5), millions
    small = {"speech_width": 16, "speech_layers": 1, "speech_heads": 2, "channels": 8}
    node["init_args"] |= small
    node["init_args"]["backbone"]["init_args"] |= {"width": 16, "layers": 1, "heads": 2}
    task: Any = instantiate(node)
    cuts = str(smoke_data / "data/smoke/cuts.jsonl.gz")
    data = SpeechDataModule([cuts], [], task.spec, task.frontend, 8)
    data.setup()
    optimizer = torch.optim.AdamW(task.parameters(), 3e-3)
    losses = []
    batch = next(iter(data.train_dataloader()))
    assert not batch.has_durations.any(), "what is written down has no durations"
    for _ in range(8):
        losses.append(task.loss(batch, torch.Generator().manual_seed(0))["loss"])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


WRITING = (
    "pronunciation", "pronunciation_in_place", "pronunciation_autoregressive", "modernising", "modernising_autoregressive",
    "phrases", "phrases_autoregressive",
)  # fmt: skip


@pytest.mark.parametrize("name", WRITING)
def test_a_text_recipe_builds_at_its_size_and_learns_at_a_small_one(name: str, tmp_path: Path) -> None:
    from sentencepiece import SentencePieceTrainer

    from fm_audio.checkpoint import instantiate
    from fm_audio.data.pairs import PairsDataModule
    from fm_audio.data.text.pairs import Pair, write_pairs

    SentencePieceTrainer.train(
        sentence_iterator=iter(["and it came to pass that he begat sons"] * 50), model_prefix=str(tmp_path / "pieces"),
        vocab_size=30, minloglevel=2, model_type="bpe",
    )  # fmt: skip
    text = (ROOT / f"recipes/text_to_text/{name}.yaml").read_text()
    recipe = yaml.safe_load(text.replace("data/verses/pieces.model", str(tmp_path / "pieces.model")))
    node = recipe["model"]["init_args"]["task"]
    node["init_args"] |= {"source": recipe["source"], "target": recipe["target"]}
    millions = sum(p.numel() for p in instantiate(node).parameters()) / 1e6
    told = re.search(r"(\d\.\d) M parameters", text)
    assert told is not None and abs(millions - float(told[1])) < (
        0.6 if name.startswith("modernising") else 0.06
    )  # its pieces are fewer here
    small: Any = instantiate(shrunk(node))
    spoken = name.startswith("pronunciation")
    pair = Pair("abc" if spoken else "and it" if recipe["source"] else None, "EY1 B IY2" if spoken else "it came to pass")
    write_pairs(tmp_path / "pairs.tsv", [pair] * 9)
    data = PairsDataModule([str(tmp_path / "pairs.tsv")], [], small.source, small.target)
    data.setup()
    parts = small.loss(next(iter(data.train_dataloader())), torch.Generator().manual_seed(0))
    parts["loss"].backward()
    assert all(v.isfinite() for v in parts.values())


INFILLING = ("libritts_dit", "libritts_multirate", "emilia_dit", "taught")
SMALL = {"text_width": 16, "text_layers": 1, "text_heads": 2, "width": 32, "heads": 2, "position_groups": 4, "tokens_width": 16}


def shrunk(part: Any) -> Any:
    """The same model with numbers that a test can afford; a list of layers keeps its length."""
    if isinstance(part, dict):
        layers = {"layers": [1] * len(part["layers"]) if isinstance(part["layers"], list) else 2} if "layers" in part else {}
        return {k: SMALL.get(k, shrunk(v)) for k, v in part.items()} | layers
    return part


@pytest.mark.parametrize("name", INFILLING)
def test_an_infilling_recipe_builds_at_its_size_and_learns_at_a_small_one(name: str, smoke_data: Path) -> None:
    from fm_audio.audio import AudioSpec
    from fm_audio.checkpoint import instantiate
    from fm_audio.data.speech import SpeechDataModule

    text = (ROOT / f"recipes/infill_tts/{name}.yaml").read_text()
    recipe = yaml.safe_load(text)
    node = recipe["model"]["init_args"]["task"]
    node["init_args"] |= {"spec": recipe["spec"], "frontend": recipe["frontend"]}
    with torch.device("meta"):
        millions = sum(p.numel() for p in instantiate(node).parameters()) / 1e6
    told = re.search(r"(\d+) M parameters", text)
    assert told is None or round(millions) == int(told[1])
    small: Any = instantiate(shrunk(node))
    cuts = [str(smoke_data / "data/smoke/cuts.jsonl.gz")]
    data = SpeechDataModule(cuts, [], AudioSpec(**recipe["spec"]), small.frontend, batch_seconds=8.0, buckets=2)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    parts = small.loss(batch, torch.Generator().manual_seed(0))
    parts["loss"].backward()
    assert {"flow", "length"} <= set(parts) and all(v.isfinite() for v in parts.values())


@pytest.mark.slow
def test_aligned_infilling_trains_draws_goes_on_and_clones(smoke_data: Path, tmp_path: Path) -> None:
    """The recipe for two cores, small, by the command line: pictures at validation, averaged weights, and speech in the end."""
    from fm_audio.audio import Audio
    from fm_audio.voices.cloner import load_cloner

    def change(recipe: dict[str, Any]) -> None:
        arguments = recipe["model"]["init_args"]
        arguments["task"] = shrunk(arguments["task"])
        arguments["total_steps"] = recipe["trainer"]["max_steps"] = 20
        recipe["trainer"]["val_check_interval"] = recipe["trainer"]["callbacks"][1]["init_args"]["every_n_train_steps"] = 10
        data = {"cuts": ["data/smoke/cuts.jsonl.gz"], "validation_cuts": ["data/smoke/validation.jsonl.gz"], "batch_seconds": 8}
        recipe["data"]["init_args"] |= data

    recipe = recipe_with(tmp_path / "taught.yaml", change, ROOT / "recipes/infill_tts/taught.yaml")
    for steps in ("10", "20"):
        arguments = ["fit", "--config", str(recipe), "--trainer.max_steps", steps, "--ckpt_path", "last"]
        assert command(arguments, smoke_data) == 0, (smoke_data / "output.txt").read_text()[-3000:]
    assert command(["export", "runs/infill_taught", str(tmp_path / "model")], smoke_data) == 0
    cloner = load_cloner(tmp_path / "model")
    tone = Audio(torch.linspace(0, 2000, 36_000).sin().numpy(), 24_000)
    assert cloner.model.length_rule(None) == "learned"
    assert cloner.say("red moon", tone, "blue sun", steps=1).seconds > 0.2
