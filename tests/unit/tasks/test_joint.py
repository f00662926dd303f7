"""A joint model: one backbone and one token port for three directions, held once, learnt together, and each served by itself."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import fm_audio
from fm_audio.audio import Audio, AudioSpec
from fm_audio.checkpoint import WEIGHTS, instantiate, load_into, load_model, save_model
from fm_audio.cli import main
from fm_audio.commands.adapt import merge
from fm_audio.data.batches import JointBatch, SpeechBatch, TextBatch
from fm_audio.evaluation import cycle, text, transcripts
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.joint import DIRECTIONS, LARGEST_SCALE, Joint, part_of
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.tasks.text_requests import TextRequest
from fm_audio.tasks.transcription import TranscriptRequest
from fm_audio.training.export import _speaking
from fm_audio.types import Cond, FmAudioError
from fm_audio.voices.adapter import Adapter, fingerprint, write_adapter

RATE = 8_000
SPEC = {"sample_rate": RATE, "n_fft": 256, "hop_samples": 128, "window_samples": 256, "bands": 16, "mean": -1.7, "std": 2.6}
NODE: dict[str, Any] = {
    "class_path": "fm_audio.tasks.joint.Joint",
    "init_args": {
        "spec": SPEC,
        "frontend": {"class_path": "fm_audio.data.text.arpabet.Arpabet"},
        "source": {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abcdenot", "longest": 6}},
        "target": {
            "class_path": "fm_audio.data.text.vocabulary.LettersAndPhones",
            "init_args": {"longest": 20, "dealt": ["_", "AA1", "AE1", "B", "D", "EH1", "K", "N", "OW1", "T"]},
        },
        "backbone": {
            "class_path": "fm_audio.backbones.dit.DiT",
            "init_args": {
                "width": 32, "layers": 1, "heads": 2, "vector_width": 8, "feedforward": 2.0,
                "position_kernel": 0,
            },
        },
        "speakers": ["anna", "bert"], "speaker_width": 8, "states_width": 16, "channels": 12, "text_width": 16, "text_layers": 1,
        "text_heads": 2, "frames_width": 8, "speech_layers": 1, "speech_heads": 2, "source_layers": 1, "source_heads": 2,
        "dropout": 0.0,
    },
}  # fmt: skip
WORDS = {"bad": "B AE1 D", "cat": "K AE1 T", "dot": "D AA1 T", "ten": "T EH1 N", "note": "N OW1 T _", "boat": "B OW1 _ T"}
HZ = dict(zip("abcdenot", np.geomspace(250, 3000, 8), strict=True))


def make(**arguments: Any) -> Joint:
    torch.manual_seed(0)
    return instantiate({**NODE, "init_args": NODE["init_args"] | arguments})


def sound(word: str) -> Audio:
    """A tone for each letter, quiet before and after it."""
    t = np.arange(round(0.1 * RATE)) / RATE
    gap = np.zeros(round(0.02 * RATE))
    tones = [np.concatenate([gap, 0.3 * np.sin(2 * np.pi * HZ[c] * t), gap]) for c in word]
    return Audio(np.concatenate(tones).astype(np.float32), RATE)


def padded(rows: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = nn.utils.rnn.pad_sequence([torch.as_tensor(row) for row in rows], batch_first=True)
    return ids, torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]


def spoken(model: Joint, ids: list[list[int]]) -> SpeechBatch:
    """Each word's sound with those symbols, which share its frames evenly."""
    spec, names = AudioSpec(**SPEC), list(WORDS)
    mels = [spec.log_mel(torch.from_numpy(sound(w).samples)[None])[0] for w in names]
    mel = nn.utils.rnn.pad_sequence(mels, batch_first=True, padding_value=spec.floor)
    _, mask = padded([torch.zeros(len(m)) for m in mels])
    edges = [torch.linspace(0, len(m), len(row) + 1).round().long() for m, row in zip(mels, ids, strict=True)]
    durations, _ = padded([e.diff() for e in edges])
    speakers = [["anna", "bert"][i % 2] for i in range(len(names))]
    symbols, symbols_mask = padded(ids)
    return SpeechBatch(names, names, speakers, symbols, symbols_mask, mel, mask, durations, torch.ones(len(names)).bool())


def batch(model: Joint) -> JointBatch:
    says = spoken(model, [model.speech.frontend.encode(w).ids for w in WORDS])
    hears = spoken(model, [model.listening.frontend.encode(w).ids for w in WORDS])
    assert model.writing.source is not None
    target = padded([model.writing.target.encode(phones) for phones in WORDS.values()])
    source = padded([model.writing.source.encode(word) for word in WORDS])
    return JointBatch(says, hears, TextBatch(*target, *source))


def trained(model: Joint, steps: int) -> list[dict[str, float]]:
    optimizer, g = torch.optim.AdamW(model.parameters(), 6e-3, betas=(0.9, 0.98)), torch.Generator().manual_seed(0)
    everything, told = batch(model), []
    for _ in range(steps):
        parts = model.loss(everything, g)
        optimizer.zero_grad()
        parts["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        told.append({name: float(value.detach()) for name, value in parts.items()})
    return told


@cache
def learnt() -> tuple[Joint, list[dict[str, float]]]:
    model = make()
    told = trained(model, 60)
    return model.eval(), told


def mean(told: list[dict[str, float]], name: str) -> float:
    return float(np.mean([t[name] for t in told]))


@pytest.mark.slow
def test_all_directions_learn() -> None:
    _, told = learnt()
    for name, share in (("speech", 0.7), ("listening", 0.5), ("writing", 0.5)):
        assert mean(told[-5:], name) < share * mean(told[:5], name), name


def test_a_task_is_each_of_its_parts() -> None:
    """Requests of all kinds at once; each is answered as its part alone answers it."""
    model, _ = learnt()
    requests = [TextRequest("cat"), SpeechRequest("cat", "anna", seed=1), TranscriptRequest(sound("dot")), TextRequest("ten")]
    heard: list[float] = []
    text1, speech, transcript, text2 = model.generate(requests, progress=heard.append)
    assert [text1, text2] == model.writing.generate([requests[0], requests[3]]) and heard[-1] == 1.0
    assert transcript == model.listening.generate([requests[2]])[0]
    assert torch.equal(speech.mel, model.speech.generate([requests[1]])[0].mel)
    with pytest.raises(FmAudioError, match="answers SpeechRequest, TranscriptRequest, TextRequest; given str"):
        model.generate(["cat"])


def test_what_is_shared_is_there_once() -> None:
    model = make()
    parts: list[Any] = [model.speech.head, model.listening.writer.head, model.writing.head]
    assert all(head.backbone.backbone is model.backbone for head in parts)
    assert parts[1].ports["text"] is parts[2].ports["text"] is model.port
    state = model.state_dict()
    assert len(state) == len(list(model.parameters()))
    assert sum("backbone.blocks.0.attention.query.weight" in key for key in state) == 1
    assert sum(v.numel() for v in state.values()) == sum(p.numel() for p in model.parameters())
    copy = deepcopy(model)
    assert copy.speech.head.backbone.backbone is copy.backbone is not model.backbone  # type: ignore[comparison-overlap]
    assert copy.state_dict().keys() == state.keys()
    nested = nn.ModuleDict({"task": copy})
    assert set(nested.state_dict()) == {f"task.{key}" for key in state}
    with torch.no_grad():
        for p in copy.parameters():
            p.add_(1.0)
    nested.load_state_dict({f"task.{key}": value for key, value in state.items()})
    assert all(torch.equal(value, state[key]) for key, value in copy.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key.*backbone.time.mlp.0.weight"):
        model.load_state_dict({k: v for k, v in state.items() if k != "backbone.time.mlp.0.weight"})
    assert copy.double().speech.head.backbone.backbone.time.mlp[0].weight.dtype == torch.float64  # type: ignore[union-attr, index]


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_direction_teaches_the_backbone(name: str) -> None:
    model = make()
    trained(model, 2)  # the last layers begin at zero
    model.zero_grad()
    model.loss(batch(model), torch.Generator().manual_seed(0))[name].backward()
    of_backbone = [p.grad for n, p in model.named_parameters() if n.startswith("backbone.blocks")]
    assert all(g is not None and g.abs().sum() > 0 for g in of_backbone)
    others = [p.grad for other in DIRECTIONS if other != name for p in own(model, other)]
    assert all(g is None or not g.any() for g in others) and all(p.grad is not None for p in own(model, name))
    assert (model.port.bias.grad is None) == (name == "speech")


def own(model: Joint, direction: str) -> list[nn.Parameter]:
    """What belongs to one direction alone."""
    shared = {id(p) for part in (model.backbone, model.port) for p in part.parameters()}
    return [p for p in getattr(model, direction).parameters() if id(p) not in shared]


def test_views_differ_by_their_vector() -> None:
    model, _ = learnt()
    hears, writes = model.listening.writer.head.backbone, model.writing.head.backbone
    told = Cond()
    h, t, mask = torch.randn(2, 5, 32), torch.rand(2), torch.ones(2, 5).bool()
    assert not torch.allclose(hears(h, t, mask, told), writes(h, t, mask, told), atol=1e-3)
    same = deepcopy(model)
    same.writing.head.backbone.modality.data = hears.modality  # type: ignore[union-attr]
    torch.testing.assert_close(same.writing.head.backbone(h, t, mask, told), hears(h, t, mask, told))
    says: Any = model.speech.head.backbone
    anna = torch.randn(2, 8)
    wanted = model.backbone(h, t, mask, Cond(vector=anna + says.modality))
    torch.testing.assert_close(says(h, t, mask, Cond(vector=anna)), wanted)


def test_scales_go_where_losses_are_even() -> None:
    """At its best s is log L: a loss of a tenth weighs ten times as much. Beyond the limit no weight goes."""
    model = make()
    assert model.scales().tolist() == pytest.approx([1.0, 1.0, 1.0]) and model.log_scales is not None
    losses = torch.tensor([0.2, 1.0, 4.0])
    optimizer = torch.optim.Adam([model.log_scales], 0.05)
    for factor, wanted in ((1.0, [5.0, 1.0, 0.25]), (1e-4, [np.exp(LARGEST_SCALE)] * 3)):
        for _ in range(400):
            s = model.scales()
            loss = (s * factor * losses - s.log()).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert model.scales().tolist() == pytest.approx(wanted, rel=0.05)
    _, told = learnt()
    assert told[-1]["writing"] < told[0]["writing"] and told[-1]["writing_scale"] > told[-1]["speech_scale"]


def test_scales_may_be_fixed() -> None:
    model = make(learned_scales=False, scales=[1.0, 2.0, 0.5])
    assert model.log_scales is None and not any("scales" in key for key in model.state_dict())
    parts = model.loss(batch(model), torch.Generator().manual_seed(0))
    total = parts["speech"] + 2 * parts["listening"] + 0.5 * parts["writing"]
    torch.testing.assert_close(parts["loss"], total)
    assert {"speech_flow", "speech_duration", "listening_ctc", "listening_flow", "listening_scale"} <= set(parts)
    begun = make(scales=[1.0, 2.0, 0.5])
    assert begun.scales().tolist() == pytest.approx([1.0, 2.0, 0.5])
    for wrong in ([1.0, 0.0, 1.0], [1.0, 1.0, 30.0]):
        with pytest.raises(FmAudioError, match="give three numbers above 0.05 and below 20"):
            make(scales=wrong)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_specialist_is_what_the_direction_needs(name: str) -> None:
    """As many weights as the joint model has for it, the same loss, and a clear word where another direction is asked for."""
    joint, alone = make(learned_scales=False), make(learned_scales=False, directions=[name])
    others = [id(p) for other in DIRECTIONS if other != name for p in own(joint, other)]
    others += [id(p) for p in joint.port.parameters()] if name == "speech" else []
    wanted = {key: value for key, value in joint.named_parameters() if id(value) not in others}
    assert set(alone.state_dict()) == set(wanted)
    alone.load_state_dict({key: value.detach() for key, value in wanted.items()})
    parts = alone.loss(batch(joint), torch.Generator().manual_seed(0))
    seen, g = getattr(batch(joint), name), torch.Generator().manual_seed(0)
    torch.testing.assert_close(parts["loss"], getattr(joint, name).loss(seen, g)["loss"])
    assert not any(key.startswith(other) for other in DIRECTIONS if other != name for key in parts)
    missing = next(other for other in DIRECTIONS if other != name)
    with pytest.raises(FmAudioError, match=f"no part '{missing}'; it has {name}"):
        part_of(alone, missing)
    kinds = {"speech": TranscriptRequest(sound("dot")), "listening": SpeechRequest("cat", "anna")}
    with pytest.raises(FmAudioError, match="has no part"):
        alone.generate([kinds.get(name, kinds["speech"])])


def test_adapters_of_peft_change_all_directions() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = make()
    trained(model, 2)
    config = LoraConfig(r=2, target_modules=r"backbone\.blocks\.\d+\.feedforward\.layers\.[02]")
    adapted: Any = inject_adapter_in_model(config, deepcopy(model))
    layer = adapted.speech.head.backbone.backbone.blocks[0].feedforward.layers[0]
    assert layer is adapted.writing.head.backbone.backbone.blocks[0].feedforward.layers[0]
    assert sum("lora_A" in key for key in adapted.state_dict()) == 2
    with torch.no_grad():
        layer.lora_B["default"].weight.add_(1.0)
    g = torch.Generator()
    before, after = (m.loss(batch(model), g.manual_seed(0)) for m in (model, adapted))
    assert all(before[name] != after[name] for name in DIRECTIONS)


def saved(folder: Path, model: Joint, **extra: Any) -> Path:
    return save_model(folder, NODE, model.state_dict(), _speaking(deepcopy(NODE)) | extra)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = deepcopy(learnt()[0])
    model.speech.text.durations.out.bias.data.fill_(2.0)
    return saved(tmp_path_factory.mktemp("joint") / "model", model, sampling={"steps": 2})


def test_a_folder_holds_it_all(folder: Path) -> None:
    from safetensors.torch import load_file

    model = learnt()[0]
    assert load_file(folder / WEIGHTS).keys() == model.state_dict().keys()
    again: Any = load_model(folder)
    assert again.backbone is again.speech.head.backbone.backbone
    requests = [TextRequest("cat"), TextRequest("note", 3)]
    assert part_of(again, "writing").generate(requests) == model.writing.generate(requests)  # type: ignore[operator]
    fresh = make()
    load_into(fresh, folder)
    assert all(torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), again.state_dict().values(), strict=True))


def test_training_goes_on_from_a_folder_with_more_speakers(folder: Path) -> None:
    model: Any = load_model(folder)
    more = make(speakers=["carl", "bert", "anna"])
    load_into(more, folder)
    for name, row in model.speech.speakers.items():
        assert torch.equal(more.speech.speaker.weight[more.speech.speakers[name]], model.speech.speaker.weight[row])
    assert torch.equal(more.backbone.last.linear.weight, model.backbone.last.linear.weight)
    with pytest.raises(FmAudioError, match="its speakers anna are not in the new list"):
        load_into(make(speakers=["bert", "carl"]), folder)
    letters = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {}}
    with pytest.raises(FmAudioError, match="its target is .*LettersAndPhones, here it is .*Letters; use the same"):
        load_into(make(target=letters), folder)


def test_one_folder_serves_three_commands(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, tones = tmp_path / "made.wav", tmp_path / "tones.wav"
    assert main(["say", "cat boat", "-o", str(made), "--voice", str(folder / "bert")]) == 0
    assert soundfile.info(made).duration > 0.2
    assert main(["say", "cat", "-o", str(tmp_path / "n.wav"), "--voice", str(folder / "nobody")]) == 2
    soundfile.write(tones, sound("dot").samples, RATE)
    capsys.readouterr()
    assert main(["transcribe", str(tones), "--model", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == learnt()[0].listening.generate([TranscriptRequest(sound("dot"))])[0].text
    assert main(["text", "cat", "--model", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["text"] == learnt()[0].writing.generate([TextRequest("cat")])[0].text


def test_a_voice_of_it_moves_as_one(folder: Path) -> None:
    """What a voice holds is a whole model: to another type, and to an adapter, with the backbone that it shares."""
    voice = fm_audio.load(folder)
    assert isinstance(voice.model, AlignedTTS) and set(voice.speakers) == {"anna", "bert"}
    assert "head.backbone.backbone.blocks.0.attention.query" in dict(voice.model.named_modules())
    assert all(p.dtype == torch.float64 for p in voice.model.double().parameters())
    voice.model.float()
    assert voice.say("cat", steps=1, seed=3).seconds == fm_audio.load(folder / "anna").say("cat", steps=1, seed=3).seconds


def test_an_adapter_speaks_through_it(folder: Path, tmp_path: Path) -> None:
    """Along the backbone that is shared; the voices of the model stay as they were."""
    layer = "head.backbone.backbone.blocks.0.feedforward.layers.0"
    down, up = {layer: torch.randn(2, 32)}, {layer: torch.randn(64, 2)}
    write_adapter(tmp_path, Adapter("carl", "joint", fingerprint(folder), down, up, rows={"speaker": torch.randn(1, 8)}))
    plain, adapted = fm_audio.load(folder), fm_audio.load(folder, adapter=tmp_path)
    assert adapted.name == "carl" and adapted.say("cat", seed=1).seconds > 0.1
    one, other = plain.say("cat", voice="anna", seed=1), adapted.say("cat", voice="anna", seed=1)
    np.testing.assert_array_equal(one.samples, other.samples)
    with pytest.raises(FmAudioError, match="is a joint model, of which no voice can be made whole"):
        merge([str(tmp_path), "-o", str(tmp_path / "whole"), "--voice", str(folder)])
    assert not (tmp_path / "whole").exists()


def test_parts_are_asked_for_by_name(tiny_voice: Path) -> None:
    model = make()
    assert part_of(model, "listening") is model.listening
    with pytest.raises(FmAudioError, match="no part 'singing'; it has speech, listening, writing"):
        part_of(model, "singing")
    with pytest.raises(FmAudioError, match="directions are \\['singing'\\]; give one or more of speech, listening, writing"):
        make(directions=["singing"])
    with pytest.raises(FmAudioError, match="ctc is 0.0; listening is in place here"):
        make(ctc=0.0)
    assert part_of(model.speech, "writing") is model.speech, "another model is what it is, and each command names it"


def test_its_measures_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cycle, and those of the specialists on its parts."""
    (tmp_path / "sentences.txt").write_text("cat\n\nnote boat\n", encoding="utf-8")
    report = tmp_path / "cycle.json"
    asked = [str(folder), str(tmp_path / "sentences.txt"), "--voice", "anna", "--voice", "bert", "--steps", "2"]
    assert cycle.main([*asked, "--json", str(report)]) == 0
    found = json.loads(report.read_text())["rows"]
    assert [row["voice"] for row in found] == ["anna", "bert"]
    assert [s["text"] for s in found[0]["sentences"]] == ["cat", "note boat"]
    for row in found:
        assert row["words"]["low"] <= row["words"]["value"] <= row["words"]["high"] and row["unheard"] in (0, 1, 2)
    shown = capsys.readouterr().out
    assert "2 sentences" in shown and "anna" in shown and "bert" in shown
    soundfile.write(tmp_path / "dot.wav", sound("dot").samples, RATE)
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"audio": "dot.wav", "text": "dot"}) + "\n")
    assert transcripts.main([str(folder), str(tmp_path / "manifest.jsonl"), "--steps", "1"]) == 0
    (tmp_path / "pairs.tsv").write_text("".join(f"{w}\t{p}\n" for w, p in WORDS.items()))
    assert text.main([str(folder), str(tmp_path / "pairs.tsv"), "--steps", "2", "--alone", "1"]) == 0


def test_silence_is_counted_as_unheard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = fm_audio.load(folder)
    joint: Any = load_model(folder)
    quiet = [Audio(np.zeros(RATE, np.float32), RATE), sound("cat")]
    monkeypatch.setattr(voice, "say", lambda texts, **how: quiet)
    row = cycle.cycle(voice, joint.listening, cycle.Protocol("two", ("note", "cat")), "anna")
    assert row.unheard == 1 and row.scores[0].heard == "" and row.scores[0].characters.deletions == 4


def test_mistakes_are_named(folder: Path, tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cycle.main([str(tiny_voice), "harvard40"]) == 2
    assert "holds a AlignedTTS, which cannot do both; give a joint model" in capsys.readouterr().err
    assert cycle.main([str(folder), str(tmp_path / "none.txt")]) == 2
    assert "none.txt" in capsys.readouterr().err
    assert cycle.main([str(folder), "harvard40", "--limit", "1", "--voice", "carl"]) == 2
    assert "unknown voice 'carl'" in capsys.readouterr().err
    assert main(["text", "abc", "--model", str(tiny_voice)]) == 2
    assert "writes no text" in capsys.readouterr().err
    mute = saved(tmp_path / "mute", make(), kind="text_to_text")
    assert main(["say", "abc", "-o", str(tmp_path / "x.wav"), "--voice", str(mute)]) == 2
    assert "of kind 'aligned_tts' or 'joint'" in capsys.readouterr().err


def test_sampling_is_for_all(folder: Path) -> None:
    model: Any = load_model(folder)
    assert model.generate([TextRequest("cat")], Sampling(steps=1, temperature=0.0))[0].forwards == 1
