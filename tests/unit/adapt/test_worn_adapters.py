"""What is true of any adapter: it is heard in its own voice alone, in any company, merged or worn, and only on its own base."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import fm_audio
from fm_audio.checkpoint import CONFIG, WEIGHTS, load_model
from fm_audio.cli import main
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.characters import Characters
from fm_audio.data.text.extended import Extended, Moved
from fm_audio.evaluation.acoustics import acoustics_of
from fm_audio.evaluation.doubt import ACOUSTIC
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.types import FmAudioError
from fm_audio.voices import Voice
from fm_audio.voices.adapted import Wardrobe
from fm_audio.voices.adapter import TENSORS, fingerprint, read_adapter

Make = Callable[..., Path]
REQUESTS = [
    SpeechRequest("Hello there.", "carl", seed=1),
    SpeechRequest("The birch canoe slid on the smooth planks.", "anna", seed=2),
    SpeechRequest("Schöne Grüße.", "dora", seed=3),
    SpeechRequest("Ganz andere Wörter!", "emil", seed=4),
]


@pytest.fixture
def folders(make_adapter: Make) -> dict[str, Path]:
    return {"carl": make_adapter("carl"), "dora": make_adapter("dora", 3, True), "emil": make_adapter("emil", 4, True)}


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_item_of_a_mixed_batch_is_as_if_alone_with_its_adapter(
    tiny_voice: Path, folders: dict[str, Path], guidance: float
) -> None:
    sampling = Sampling(steps=2, guidance=guidance)
    company = fm_audio.load(adapter=list(folders.values())).model
    together = company.generate(REQUESTS, sampling, batch_frames=10_000)
    backwards = company.generate(REQUESTS[::-1], sampling, batch_frames=10_000)[::-1]
    for request, a, b in zip(REQUESTS, together, backwards, strict=True):
        own = [folders[request.speaker]] if request.speaker in folders else None
        [alone] = fm_audio.load(tiny_voice, adapter=own).model.generate([request], sampling)
        assert relative(a.mel, alone.mel) <= 1e-5 and relative(b.mel, alone.mel) <= 1e-5
        assert a.words == alone.words


def test_adapters_are_worn_in_bfloat16_too(
    tiny_voice: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put on before or after, and taken off again."""
    monkeypatch.setattr("fm_audio.flow.runner._capabilities", lambda: {"bf16"})
    sampling, plain = Sampling(steps=2), fm_audio.load(tiny_voice, adapter=folders["carl"])
    before, after = (fm_audio.load(tiny_voice, adapter=worn, precision="bf16") for worn in (folders["carl"], None))
    alone = after.model.generate([REQUESTS[1]], sampling)[0].mel
    after.add_adapter(folders["carl"])
    [wanted] = plain.model.generate([REQUESTS[0]], sampling)
    for voice in (before, after):
        [got] = voice.model.generate([REQUESTS[0]], sampling)
        assert got.words == wanted.words and 0 < relative(got.mel, wanted.mel) < 0.1
    after.remove_adapter("carl")
    assert torch.equal(after.model.generate([REQUESTS[1]], sampling)[0].mel, alone)


def test_the_base_voice_is_the_same_to_the_last_bit_with_adapters_on_and_after(
    tiny_voice: Path, folders: dict[str, Path]
) -> None:
    voice = fm_audio.load(tiny_voice)
    modules = dict(voice.model.named_modules())
    before = voice.say("Hello there.", seed=3).samples
    for folder in folders.values():
        voice.add_adapter(folder)
    assert voice.cards["carl"]["consent"] == "asked" and set(voice.cards) == set(voice.speakers)
    assert np.array_equal(voice.say("Hello there.", seed=3).samples, before)
    assert not np.array_equal(voice.say("Hello there.", seed=3, voice="carl").samples, before)
    for name in folders:
        voice.remove_adapter(name)
    assert dict(voice.model.named_modules()) == modules and voice.name == "anna"
    assert np.array_equal(voice.say("Hello there.", seed=3).samples, before)


def test_adapters_are_swapped_while_the_voice_lives(tiny_voice: Path, folders: dict[str, Path]) -> None:
    voice = fm_audio.load(tiny_voice, adapter=[folders["carl"], folders["dora"]])
    assert voice.name == "carl"
    said = voice.say("Schöne Grüße.", voice="dora").samples
    voice.remove_adapter("carl")
    voice.add_adapter(folders["emil"])
    again = voice.say("Schöne Grüße.", voice="dora").samples
    assert np.abs(again - said).max() <= 1e-5 * np.abs(said).max()
    with pytest.raises(FmAudioError, match="unknown voice 'carl'"):
        voice.say("Hello.", voice="carl")
    with pytest.raises(FmAudioError, match="no adapter 'carl' is on; there are dora, emil"):
        voice.remove_adapter("carl")
    with pytest.raises(FmAudioError, match="there is a voice 'dora' already"):
        voice.add_adapter(folders["dora"])


@pytest.mark.parametrize("name", ["carl", "dora"])
def test_merged_is_adapted(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    assert main(["adapt", "merge", str(folders[name]), "-o", str(tmp_path / "whole")]) == 0
    whole, worn = fm_audio.load(tmp_path / "whole"), fm_audio.load(adapter=folders[name])
    assert whole.name == name and list(whole.speakers) == [name]
    a, b = whole.say("Hello there.", seed=5).samples, worn.say("Hello there.", seed=5).samples
    assert a.shape == b.shape and np.abs(a - b).max() <= 1e-5 * np.abs(b).max()
    assert main(["adapt", "merge", str(folders[name]), "-o", str(tmp_path / "whole")]) == 2


def test_our_layers_are_pefts(tiny_voice: Path) -> None:
    from fm_audio.adapt.growth import bend, collect, grow
    from fm_audio.training.low_rank import USUAL_TARGETS, target_layers

    trained, worn = load_model(tiny_voice), load_model(tiny_voice)
    layers = target_layers(trained, USUAL_TARGETS)  # type: ignore[arg-type]
    assert any("attention" in n for n in layers) and any("modulation" in n for n in layers) and "head.ports.mel.into" in layers
    grow(trained, "carl", Characters(), seed=0)  # type: ignore[arg-type]
    bend(trained, list(layers), rank=3, seed=0)  # type: ignore[arg-type]
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            assert parameter.requires_grad == ("lora_" in name or name.endswith(".new"))
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    reads = {"class_path": "fm_audio.data.text.characters.Characters"}
    adapter = collect(trained, "carl", "tiny", fingerprint(tiny_voice), {}, reads)
    assert set(adapter.down) == set(layers)
    Wardrobe(worn).put_on(adapter)  # type: ignore[arg-type]
    request = SpeechRequest("Hello there.", "carl", seed=1)
    [a], [b] = (model.generate([request], Sampling(steps=2)) for model in (trained.eval(), worn))  # type: ignore[operator]
    assert relative(a.mel, b.mel) <= 1e-5


def test_new_symbols_stand_behind_the_old_ones() -> None:
    base, letters = Arpabet(), Characters("abcäöü", english=False)
    both = Extended(base, letters)
    assert both.symbols[: len(base.symbols)] == base.symbols and both.new_symbols == tuple("abcäöü")
    encoded, moved = both.encode("Ab, äöü."), Moved(both, len(base.symbols), 7).encode("Ab, äöü.")
    assert [both.symbols[i] for i in encoded.ids] == encoded.symbols == letters.encode("Ab, äöü.").symbols
    assert [j - i for i, j in zip(encoded.ids, moved.ids, strict=True)] == [7 * (i >= len(base.symbols)) for i in encoded.ids]
    assert Extended(letters, Characters("abcde", english=False)).new_symbols == ("d", "e")


class Say:
    """`fm-audio say "Hi." --adapter …` that must be refused with one line and write nothing."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture[str]):
        self.out, self.capsys = out, capsys

    def refused(self, adapter: Path, *more: str) -> str:
        assert main(["say", "Hi.", "-o", str(self.out / "x.wav"), "--adapter", str(adapter), *more]) == 2
        line = self.capsys.readouterr().err
        assert line.count("\n") == 1 and not (self.out / "x.wav").exists()
        return line


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    return Say(tmp_path, capsys)


def test_say_speaks_as_an_adapter(make_adapter: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "Hi.", "-o", str(tmp_path / "x.wav"), "--adapter", str(make_adapter("carl")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["voice"] == "carl"


def test_other_weights_are_refused(say: Say, make_adapter: Make, tiny_voice: Path, tmp_path: Path) -> None:
    other = tmp_path / "tiny"
    other.mkdir()
    (other / CONFIG).write_bytes((tiny_voice / CONFIG).read_bytes())
    state = load_file(tiny_voice / WEIGHTS)
    state["text.mean.bias"] += 1e-3
    save_file(state, other / WEIGHTS)
    adapter = make_adapter("carl")
    line = say.refused(adapter, "--voice", str(other))
    assert fingerprint(tiny_voice) in line and fingerprint(other) in line and "adapt again" in line


def test_damaged_adapters_are_refused(say: Say, make_adapter: Make, tiny_voice: Path, tmp_path: Path) -> None:
    assert "no adapter there" in say.refused(tmp_path / "nowhere")
    assert "of kind 'aligned_tts', no adapter" in say.refused(tiny_voice)
    adapter = make_adapter("carl")
    (adapter / TENSORS).write_bytes((adapter / TENSORS).read_bytes()[:-9])
    assert "truncated" in say.refused(adapter)
    tensors = {"speaker": torch.zeros(1, 8), "elsewhere.down": torch.zeros(2, 4), "elsewhere.up": torch.zeros(4, 2)}
    save_file(tensors, adapter / TENSORS)
    assert "layer elsewhere" in say.refused(adapter)
    save_file({"speaker": torch.zeros(1, 9)}, adapter / TENSORS)
    assert "do not fit" in say.refused(adapter)


def test_an_adapter_that_does_not_fit_leaves_the_others_on(tiny_voice: Path, folders: dict[str, Path]) -> None:
    voice: Voice = fm_audio.load(tiny_voice, adapter=folders["carl"])
    said = voice.say("Hello.").samples
    bad = read_adapter(folders["dora"])
    object.__setattr__(bad, "rows", {**bad.rows, "speaker": torch.zeros(1, 3)})
    with pytest.raises(FmAudioError, match="do not fit"):
        voice.wardrobe.put_on(bad)
    assert np.array_equal(voice.say("Hello.").samples, said)


def test_a_judge_expects_what_the_adapter_says(tiny_voice: Path, make_adapter: Make) -> None:
    voice = fm_audio.load(tiny_voice, adapter=make_adapter("carl", letters=True))
    its, base = (acoustics_of(voice, name) for name in ("carl", "bernard"))
    assert its.expected.frontend is voice.model.front_ends["carl"]
    assert its.sounds.shape[1] == base.sounds.shape[1] and its.sounds.shape != base.sounds.shape
    heard = its.hear(voice.say("hello there", voice="carl"), "hello there")
    assert heard.values.keys() <= {*ACOUSTIC}
