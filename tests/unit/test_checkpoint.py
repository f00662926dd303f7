"""A model folder gives back what went in, appears whole or not at all, and refuses what it cannot trust."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fm_audio import checkpoint
from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import (
    CONFIG,
    WEIGHTS,
    instantiate,
    load_into,
    load_lightning_weights,
    load_model,
    load_parts,
    read_config,
    save_model,
)
from fm_audio.training.module import FlowModule
from fm_audio.types import FmAudioError

NODE = {
    "class_path": "fm_audio.decoders.vocos.Vocos",
    "init_args": {
        "spec": {"bands": 8, "n_fft": 64, "hop_samples": 16, "window_samples": 64},
        "width": 8,
        "layers": 1,
        "hidden": 8,
    },
}


@pytest.fixture
def model() -> torch.nn.Module:
    return instantiate(NODE)


@pytest.fixture
def folder(model: torch.nn.Module, tmp_path: Path) -> Path:
    return save_model(tmp_path / "deep" / "vocoder", NODE, model.state_dict(), {"kind": "vocoder"})


def test_what_was_saved_comes_back(model: torch.nn.Module, folder: Path) -> None:
    again = load_model(folder)
    assert not again.training
    assert again.spec == AudioSpec(bands=8, n_fft=64, hop_samples=16, window_samples=64)
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert read_config(folder)["kind"] == "vocoder"


def test_half_floats_halve_the_file_and_come_back_as_float32(model: torch.nn.Module, folder: Path, tmp_path: Path) -> None:
    half = save_model(tmp_path / "half", NODE, model.state_dict(), half=True)
    assert (half / WEIGHTS).stat().st_size < 0.7 * (folder / WEIGHTS).stat().st_size
    for key, value in load_model(half).state_dict().items():
        assert value.dtype == model.state_dict()[key].dtype
        torch.testing.assert_close(value, model.state_dict()[key], rtol=2e-3, atol=1e-6)


def test_half_keeps_numbers_that_do_not_fit(tmp_path: Path, model: torch.nn.Module) -> None:
    state = {key: value.clone() for key, value in model.state_dict().items()}
    key = next(iter(state))
    state[key].fill_(1e6)
    assert (load_model(save_model(tmp_path, NODE, state, half=True)).state_dict()[key] == 1e6).all()


def test_tied_weights_are_stored_each(tmp_path: Path, model: torch.nn.Module) -> None:
    state = dict(model.state_dict())
    a, b = [k for k in state if state[k].shape == state[next(k for k in state if "gamma" in k)].shape][:2]
    state[b] = state[a]
    again = load_model(save_model(tmp_path, NODE, state)).state_dict()
    assert torch.equal(again[a], again[b])


def test_loading_leaves_the_random_state_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load_model(folder)
    assert torch.equal(before, torch.get_rng_state())


def test_a_failed_save_leaves_the_old_model(folder: Path, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(FmAudioError, match="No space left"):
        save_model(folder, NODE, model.state_dict())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_config_comes_last(tmp_path: Path, model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write = checkpoint._write_whole
    monkeypatch.setattr(checkpoint, "_write_whole", lambda path, how: (order.append(path.name), write(path, how)))
    save_model(tmp_path, NODE, model.state_dict())
    assert order == [WEIGHTS, CONFIG]


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_named(folder: Path, kept: int) -> None:
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(FmAudioError, match=rf"{WEIGHTS}: truncated.*fetch the file again"):
        load_model(folder)


def test_missing_and_broken_files_are_named(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(FmAudioError, match="weights are missing"):
        load_model(folder)
    (folder / CONFIG).write_text('{"format": 1')
    with pytest.raises(FmAudioError, match="is not JSON"):
        load_model(folder)
    (folder / CONFIG).write_text('{"format": 99}')
    with pytest.raises(FmAudioError, match="format 99"):
        load_model(folder)
    (folder / CONFIG).unlink()
    with pytest.raises(FmAudioError, match="no model there"):
        load_model(folder)


def test_weights_of_another_model_are_refused(folder: Path, model: torch.nn.Module) -> None:
    wider = json.loads((folder / CONFIG).read_text())
    wider["model"]["init_args"]["width"] = 16
    (folder / CONFIG).write_text(json.dumps(wider))
    with pytest.raises(FmAudioError, match=r"does not fit.*backbone.*\(8, 8, 7\), not \(16, 8, 7\)"):
        load_model(folder)
    state = dict(model.state_dict())
    state["stranger"] = state.pop("head.out.weight")
    with pytest.raises(FmAudioError, match="head.out.weight is missing; stranger is unknown"):
        load_model(save_model(folder, NODE, state))


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"class_path": "os.system", "init_args": {}}, "outside fm_audio"),
        ({"class_path": "fm_audio_evil.Thing"}, "outside fm_audio"),
        ({"class_path": "fm_audio.checkpoint.Path", "init_args": {}}, "no class Path"),
        ({"class_path": "fm_audio.audio.os", "init_args": {}}, "no class os"),
        ({"class_path": "fm_audio.audio.load_audio", "init_args": {}}, "no class load_audio"),
        ({"class_path": "fm_audio.audio.AudioSpek"}, "did you mean AudioSpec"),
        ({"class_path": "fm_audio.nowhere.Thing"}, "no module fm_audio.nowhere"),
        ({"class_path": "fm_audio.audio.AudioSpec", "init_args": {"bnds": 80}}, "did you mean bands"),
        ({"class_path": "fm_audio.audio.Audio", "init_args": {"sample_rate": 1}}, "needs samples"),
        ({"class_path": "fm_audio.audio.AudioSpec", "args": {}}, "unknown keys"),
        ({"class_path": "fm_audio.decoders.vocos.Vocos", "init_args": {"spec": {"bans": 80}}}, "did you mean bands"),
        ({"init_args": {}}, "needs a class_path"),
    ],
)
def test_what_a_file_may_not_name(node: dict, words: str) -> None:
    with pytest.raises(FmAudioError, match=words):
        instantiate(node)


def test_training_goes_on_with_new_speakers(tiny_voice: Path) -> None:
    node = read_config(tiny_voice)["model"]
    node["init_args"]["speakers"] = ["anna", "bert", "clara"]
    model, old = instantiate(node), load_model(tiny_voice).state_dict()
    clara = model.speaker.weight[2].detach().clone()
    load_into(model, tiny_voice)
    new = model.state_dict()
    assert torch.equal(new["speaker.weight"], torch.cat([old["speaker.weight"], clara[None]]))
    assert all(torch.equal(new[key], old[key]) for key in old if key != "speaker.weight")
    node["init_args"]["speakers"] = ["anna"]
    with pytest.raises(FmAudioError, match="its speakers bert are not in the new list"):
        load_into(instantiate(node), tiny_voice)


def test_speakers_are_matched_by_name_and_the_rest_must_be_the_same(tiny_voice: Path) -> None:
    node = copy.deepcopy(read_config(tiny_voice)["model"])
    old = load_model(tiny_voice)
    node["init_args"]["speakers"] = ["clara", "bert", "anna"]
    model = instantiate(node)
    load_into(model, tiny_voice)
    for name in ("anna", "bert"):
        rows = model.speaker.weight[model.speakers[name]], old.speaker.weight[old.speakers[name]]
        assert torch.equal(*rows), name
    for key, value, message in (
        ("frontend", {"class_path": "fm_audio.data.text.characters.Characters"}, "its frontend is fm_audio.data.text.arpabet"),
        ("spec", {"bands": 8, "mean": -1.0}, "its spec is AudioSpec"),
        ("text_width", 32, "does not fit the model"),
    ):
        with pytest.raises(FmAudioError, match=message):
            load_into(instantiate({**node, "init_args": {**node["init_args"], key: value}}), tiny_voice)


def test_a_part_may_begin_with_what_another_task_learnt(tmp_path: Path) -> None:
    spec = {"sample_rate": 8000, "n_fft": 256, "hop_samples": 128, "window_samples": 256, "bands": 10}
    letters = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "ab", "longest": 5}}
    net = {"width": 8, "layers": 1, "heads": 2, "tokens_width": 12, "position_kernel": 0}
    listens = {
        "class_path": "fm_audio.tasks.speech_to_text.SpeechToText",
        "init_args": {
            "spec": spec, "frontend": {"class_path": "fm_audio.data.text.spelled.Spelled", "init_args": {"target": letters}},
            "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net},
            "channels": 4, "speech_width": 12, "speech_layers": 1, "speech_heads": 2, "frames_per_token": 2,
        },
    }  # fmt: skip
    reads = {
        "class_path": "fm_audio.tasks.phone_reader.PhoneReader",
        "init_args": {
            "spec": spec, "frontend": {"class_path": "fm_audio.data.text.arpabet.Arpabet"},
            "width": 12, "layers": 1, "heads": 2, "frames_per_token": 2,
        },
    }  # fmt: skip
    reader = instantiate(reads)
    save_model(tmp_path, reads, reader.state_dict())
    model = instantiate(listens)
    before = copy.deepcopy(model.writer.state_dict())
    module = FlowModule(model, 10, start_parts={"encoder": f"{tmp_path}:encoder"})
    assert all(torch.equal(value, reader.encoder.state_dict()[key]) for key, value in module.task.encoder.state_dict().items())
    assert all(torch.equal(value, before[key]) for key, value in model.writer.state_dict().items())

    for key, value, message in (
        ("speech_layers", 2, "does not fit the model"),
        ("spec", {**spec, "mean": 1.0}, "its spec is AudioSpec"),
    ):
        with pytest.raises(FmAudioError, match=message):
            other = instantiate({**listens, "init_args": {**listens["init_args"], key: value}})
            load_parts(other, {"encoder": f"{tmp_path}:encoder"})
    with pytest.raises(FmAudioError, match="has no part 'writer' to begin with; it has encoder, out"):
        load_parts(model, {"writer": f"{tmp_path}:writer"})
    with pytest.raises(FmAudioError, match="its out is a Linear, here writer is a TextWriter"):
        load_parts(model, {"writer": f"{tmp_path}:out"})
    with pytest.raises(FmAudioError, match="FOLDER:PART"):
        FlowModule(model, 10, start_parts={"encoder": "encoder"})


def test_parts_that_speak_know_their_speakers_and_symbols(tmp_path: Path) -> None:
    """A model of more speakers, in another order, begins with the speakers of a folder; another front-end is refused."""
    from fm_audio.tasks.aligned_tts import AlignedTTS

    def speaks(speakers: list[str], frontend: str = "arpabet.Arpabet") -> dict[str, Any]:
        net = {"width": 8, "layers": 1, "heads": 2, "vector_width": 4, "position_kernel": 0}
        return {
            "class_path": "fm_audio.tasks.aligned_tts.AlignedTTS",
            "init_args": {
                "spec": {"sample_rate": 8000, "n_fft": 256, "hop_samples": 128, "window_samples": 256, "bands": 10},
                "frontend": {"class_path": f"fm_audio.data.text.{frontend}"},
                "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net},
                "speakers": speakers, "speaker_width": 4, "text_width": 8, "text_layers": 1, "text_heads": 2, "frames_width": 4,
            },
        }  # fmt: skip

    old: AlignedTTS = instantiate(speaks(["anna", "bert"]))
    save_model(tmp_path, speaks(["anna", "bert"]), old.state_dict())
    new: AlignedTTS = instantiate(speaks(["carl", "bert", "anna"]))
    carl = new.speaker.weight[0].clone()
    load_parts(new, {"speaker": f"{tmp_path}:speaker", "head.backbone": f"{tmp_path}:head.backbone"})
    assert torch.equal(new.speaker.weight, torch.stack([carl, old.speaker.weight[1], old.speaker.weight[0]]))
    assert torch.equal(new.head.backbone.last.linear.weight, old.head.backbone.last.linear.weight)  # type: ignore[union-attr]
    with pytest.raises(FmAudioError, match="its speakers bert are not in the new list"):
        load_parts(instantiate(speaks(["anna", "carl"])), {"speaker": f"{tmp_path}:speaker"})
    with pytest.raises(FmAudioError, match="its frontend is Arpabet, here it is Characters; use the same"):
        load_parts(instantiate(speaks(["anna"], "characters.Characters")), {"text": f"{tmp_path}:text"})


def test_a_lightning_checkpoint_gives_its_weights_and_runs_no_code(tmp_path: Path, model: torch.nn.Module) -> None:
    torch.save({"state_dict": model.state_dict(), "global_step": 3}, tmp_path / "last.ckpt")
    weights = load_lightning_weights(tmp_path / "last.ckpt")
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())

    torch.save({"state_dict": {}, "code": Run()}, tmp_path / "evil.ckpt")
    with pytest.raises(FmAudioError, match="cannot be read as a checkpoint"):
        load_lightning_weights(tmp_path / "evil.ckpt")
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:500])
    with pytest.raises(FmAudioError, match="cut.ckpt: cannot be read"):
        load_lightning_weights(tmp_path / "cut.ckpt")


class Run:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("code in a checkpoint was run",)
