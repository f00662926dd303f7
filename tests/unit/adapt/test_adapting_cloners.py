"""Models that clone learn one person: ours, and those of every published layout, their numbers drawn at random."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from fm_audio.audio import Audio, load_audio
from fm_audio.checkpoint import CONFIG, WEIGHTS, instantiate, load_model, read_config, save_model
from fm_audio.cli import main
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_requests import InfillRequest
from fm_audio.types import FmAudioError
from fm_audio.voices.adapter import TENSORS, read_adapter
from fm_audio.voices.cloner import Cloner, load_cloner
from tests.parity.zipvoice_published import folder_with
from tests.unit.conftest import published
from tests.unit.converted import convert, drawn, e2_published

QUICK = ["--judge", "none", "--precision", "32-true", "--batch-seconds", "8", "--sentences", "1", "--rank", "4"]
BRIEF = ["--steps", "8", "--look-every", "8", "--learning-rate", "0.01"]
PINYIN = ["ni3", "hao3", "wo3", "shang4", "a1", "zhe5", "lv4"]
FAMILIES = ("ours", "f5-v1", "e2", "zipvoice", "zipvoice-distill")


def our_cloner(root: Path) -> Path:
    """Text laid by durations, a vector of the voice, a learned length."""
    node: dict[str, Any] = {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": {"mean": -4.0, "std": 3.0},
            "frontend": {"class_path": "fm_audio.data.text.arpabet.Arpabet"},
            "backbone": {
                "class_path": "fm_audio.backbones.dit.DiT",
                "init_args": {"width": 32, "layers": 2, "heads": 2, "feedforward": 2.0, "vector_width": 8},
            },
            "text_width": 16, "text_layers": 1, "text_heads": 2, "fill": "aligned", "voice_width": 8, "frames_per_token": 2,
            "learned_length": True, "perturb": {"class_path": "fm_audio.data.perturb.VoicePerturbation"},
        },
    }  # fmt: skip
    vocoder = {"class_path": "fm_audio.decoders.harmonic.HarmonicPlusNoise", "init_args": {"spec": node["init_args"]["spec"]}}
    extra = {"kind": "infill_tts", "vocoder": vocoder, "sampling": {"steps": 2, "guidance": 2.0}}
    return save_model(root / "ours", node, drawn(node), extra)


def cloner_of(family: str, root: Path) -> Path:
    """The folder of a model of the family, in its published layout first where it has one; in two steps, to be quick."""
    if family == "ours":
        return our_cloner(root)
    if family.startswith("zipvoice"):
        folder_with(root / "published", distilled=family == "zipvoice-distill")
        assert convert(family, root / "published", root / family) == 0
    else:
        published(root)
        e2_published(root)
        file = "e2.safetensors" if family == "e2" else "model.safetensors"
        assert convert(family, root / file, root / family, "--vocabulary", str(root / "vocab.txt")) == 0
    config = read_config(root / family)
    config["sampling"]["steps"] = 2
    (root / family / CONFIG).write_text(json.dumps(config))
    return root / family


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cloner_of(request.param, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def pinyin(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tones with texts that need no eSpeak."""
    folder = shutil.copytree(recordings, tmp_path_factory.mktemp("pinyin") / "carl")
    for i, path in enumerate(sorted(folder.glob("0*.txt"))):
        path.write_text(f"{PINYIN[i % 7]} {PINYIN[(i + i // 7 + 1) % 7]}.")
    return folder


def adapt(voice: Path, data: Path, out: Path, *more: str) -> int:
    return main(["adapt", "--voice", str(voice), "--data", str(data), "-o", str(out), *QUICK, *more])


@pytest.fixture(scope="module")
def carl(base: Path, recordings: Path, pinyin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter after a dozen steps."""
    out = tmp_path_factory.mktemp("adapted") / "carl"
    facts = ["--consent", "Carl, in writing", "--licence", "CC0-1.0"]
    if base.name.startswith("zipvoice"):  # English sentences would need eSpeak
        assert adapt(base, pinyin, out, *BRIEF, *facts, "--language", "zh") == 0
    else:
        assert adapt(base, recordings, out, *BRIEF, *facts) == 0
    return out


def text_for(base: Path) -> str:
    return "wo3 hao3, ni3 shang4." if base.name.startswith("zipvoice") else "Say it again."


each = pytest.mark.parametrize("base", FAMILIES, indirect=True)
f5 = pytest.mark.parametrize("base", ["f5-v1"], indirect=True)
ours = pytest.mark.parametrize("base", ["ours"], indirect=True)


@each
def test_the_loss_falls_and_the_base_stays(base: Path, carl: Path) -> None:
    card = (carl / "card.md").read_text()
    start = re.search(r"held-out loss of ([\d.]+\d)", card)
    after = re.findall(r"weights (?:averaged|as trained) \| ([\d.]+)", card)
    assert start is not None and len(after) == 2 and max(map(float, after)) < float(start[1])
    files = ["adapter.safetensors", "card.md", CONFIG, "held_out.txt", "listen.html", "mels.png", "reference.flac"]
    assert sorted(p.name for p in carl.iterdir()) == files
    assert "Carl, in writing" in card and "CC0-1.0" in card and "The base itself lost nothing" in card
    page = (carl / "listen.html").read_text()
    assert page.count("<audio") == 3 and f"base ({base.name})" in page
    learned = read_adapter(carl)
    assert learned.reference is not None and learned.reference.text in card and not learned.rows and learned.down
    plain, worn = load_cloner(base), load_cloner(adapter=carl)
    assert worn.voice == "carl" and worn.voices == [base.name, "carl"]
    reference, text = learned.reference, text_for(base)
    sound = reference.recording(24_000)
    said = plain.say(text, sound, reference.text).samples
    assert np.array_equal(worn.say(text, sound, reference.text, steps=2, voice=base.name).samples, said)
    assert not np.array_equal(worn.say(text).samples, said), "the adapter is heard"


@each
def test_the_command_clones_with_an_adapter_alone_and_merged_is_adapted(base: Path, carl: Path, tmp_path: Path) -> None:
    text = text_for(base)
    assert main(["clone", text, "--adapter", str(carl), "-o", str(tmp_path / "worn.wav")]) == 0
    assert main(["adapt", "merge", str(carl), "-o", str(tmp_path / "whole")]) == 0
    assert main(["clone", text, "--model", str(tmp_path / "whole"), "-o", str(tmp_path / "whole.wav")]) == 0
    sounds = [soundfile.read(tmp_path / name)[0] for name in ("worn.wav", "whole.wav")]
    assert len(sounds[0]) == len(sounds[1]) and all(s.any() and np.isfinite(s).all() for s in sounds)
    worn, whole = load_cloner(adapter=carl), load_cloner(tmp_path / "whole")
    known = whole.reference()
    seen = whole.seen(known.recording(24_000).samples)
    mels = [c.model.generate([InfillRequest(text, seen, known.text, 3, voice=c.voice)], c.sampling)[0] for c in (worn, whole)]
    assert float((mels[0] - mels[1]).abs().max() / mels[0].abs().max()) <= 1e-4
    config, before = read_config(tmp_path / "whole"), read_config(base)
    assert config["facts"]["consent"] == "Carl, in writing" and config.get("converted_from") == before.get("converted_from")
    if before.get("converted_from"):
        back = tmp_path / ("back" if base.name.startswith("zipvoice") else "back.safetensors")
        assert convert(base.name, tmp_path / "whole", back) == 0 and back.exists()


@pytest.mark.slow
@f5
def test_eval_takes_an_adapter(
    base: Path, carl: Path, tiny_recogniser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("resemblyzer")
    lines = []
    for who, name in (("carl", "carl"), ("dora", "dora")):
        audio = tmp_path / f"{name}.wav"
        soundfile.write(audio, load_audio(carl / "reference.flac", 24_000).samples * (1 if who == "carl" else 0.5), 24_000)
        lines += [f'{{"audio": "{audio}", "text": "{read_adapter(carl).reference.text}", "speaker": "{who}"}}'] * 2  # type: ignore[union-attr]
    (tmp_path / "people.jsonl").write_text("\n".join(lines))
    (tmp_path / "said.txt").write_text("Say it again.")
    asked = ["eval", "--clone", str(base), "--adapter", str(carl), "--references", str(tmp_path / "people.jsonl")]
    asked += ["--imitate", "carl", "--among", "dora", "--sentences", str(tmp_path / "said.txt"), "--steps", "1"]
    assert main([*asked, "--judge", f"transformers:{tiny_recogniser}", "--threads", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"]["voice"] == "carl"


@pytest.fixture
def mixed(base: Path, carl: Path, recordings: Path, tmp_path: Path) -> dict[str, Path]:
    """Two adapters of one base, of other ranks, one of which reads letters that the base lacks."""
    other = tmp_path / "dora"
    more = ["--alphabet", "german", "--language", "de", "--rank", "2", "--targets", "attention,feedforward,conditioning"]
    assert adapt(base, recordings, other, *BRIEF, *more) == 0
    return {"carl": carl, "dora": other}


@pytest.mark.parametrize("base", ["ours", "f5-v1"], indirect=True)
def test_every_item_of_a_mixed_batch_is_as_if_alone(base: Path, mixed: dict[str, Path]) -> None:
    cloner = load_cloner(adapter=list(mixed.values()))
    seen = cloner.seen(load_audio(mixed["carl"] / "reference.flac", 24_000).samples)
    asked = [("carl", "Say it again."), (None, "And once more."), ("dora", "Schöne Grüße."), ("carl", "No.")]
    requests = [InfillRequest(t, seen, "blue sun red moon", seed=i, voice=v) for i, (v, t) in enumerate(asked)]
    sampling = Sampling(steps=2, guidance=2.0)
    together, backwards = cloner.model.generate(requests, sampling), cloner.model.generate(requests[::-1], sampling)[::-1]
    for request, a, b in zip(requests, together, backwards, strict=True):
        alone: Cloner = load_cloner(base, adapter=None if request.voice is None else mixed[request.voice])
        [own] = alone.model.generate([request], sampling)
        assert a.shape == own.shape and torch.equal(a, b)
        assert float((a - own).abs().max() / own.abs().max()) <= 1e-5
    modules = dict(load_cloner(base).model.named_modules())
    for name in mixed:
        cloner.remove_adapter(name)
    assert dict(cloner.model.named_modules()).keys() == modules.keys() and cloner.voice == cloner.name == base.name
    bare, plain = (c.model.generate([requests[1]], sampling)[0] for c in (cloner, load_cloner(base)))
    assert torch.equal(bare, plain)


@f5
def test_new_letters_stand_behind_the_old_ones_and_go_back_into_the_published_layout(
    base: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dora"
    assert adapt(base, recordings, out, "--steps", "2", "--full", "--alphabet", "german", "--language", "de") == 0
    before, after = (load_file(folder / WEIGHTS)["text.embedding.weight"] for folder in (base, out))
    assert torch.equal(after[: len(before)], before.half()) and len(after) == len(before) + 7  # ä ö ü Ä Ö Ü ß
    reads = load_model(out).frontend
    assert type(reads).__name__ == "F5Characters" and reads.encode("Grüße").symbols == list("Grüße")  # type: ignore[union-attr]
    assert main(["clone", "Schöne Grüße.", "--model", str(out), "--steps", "1", "-o", str(tmp_path / "x.wav")]) == 0
    assert convert("f5-v1", out, tmp_path / "back.safetensors") == 0
    assert len(load_file(tmp_path / "back.safetensors")["ema_model.transformer.text_embed.text_embed.weight"]) == len(after)


@pytest.mark.slow
@f5
def test_phones_are_nothing_for_a_base_that_reads_letters(
    base: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("phonemizer")
    assert adapt(base, recordings, tmp_path / "e", "--steps", "1", "--phonemes", "--language", "de") == 2
    assert "--phonemes: this base reads letters; give --alphabet" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("base", ["zipvoice"], indirect=True)
def test_another_language_is_read_by_espeaks_phones(
    base: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("phonemizer")
    assert adapt(base, recordings, tmp_path / "a", "--steps", "1", "--alphabet", "german") == 2
    assert "--alphabet: this base reads phones; give --phonemes" in capsys.readouterr().err
    assert adapt(base, recordings, tmp_path / "dora", *BRIEF, "--phonemes", "--language", "de") == 0
    learned = read_adapter(tmp_path / "dora")
    added = len(learned.frontend["init_args"]["tokens"]) - len(load_model(base).frontend.symbols)  # type: ignore[index, union-attr, arg-type]
    assert len(learned.rows["symbols"]) == added > 0
    cloner = load_cloner(adapter=tmp_path / "dora")
    assert "ø" in cloner.model.reads("dora").encode("schöne Größe").symbols
    assert cloner.say("Schöne Größe.", steps=1).seconds > 0.1


@ours
def test_a_learned_length_knows_new_symbols_too(base: Path, mixed: dict[str, Path]) -> None:
    cloner = load_cloner(adapter=mixed["dora"])
    seen = cloner.seen(load_audio(mixed["dora"] / "reference.flac", 24_000).samples)
    request = InfillRequest("Schöne Grüße.", seen, "blue sun", voice="dora")
    assert cloner.model.length_rule(None) == "learned" and cloner.model.length(request).frames > 10
    rows = load_file(mixed["dora"] / TENSORS)
    assert len(rows["symbols"]) == len(rows["length_symbols"]) > 20 and "voice.out.down" in rows


@ours
def test_an_adapter_is_worn_in_bfloat16_too(base: Path, carl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fm_audio.flow.runner._capabilities", lambda: {"bf16"})
    plain, quick = (load_cloner(adapter=carl, precision=p).say("Say it again.") for p in ("fp32", "bf16"))
    assert len(plain.samples) == len(quick.samples) and not np.array_equal(plain.samples, quick.samples)


@ours
def test_a_recording_is_edited_with_an_adapter(base: Path, carl: Path, tmp_path: Path) -> None:
    recorded = Path(__file__).parents[2] / "data/kathleen/000.opus"
    soundfile.write(tmp_path / "in.wav", load_audio(recorded, 24_000).samples, 24_000)
    said = "For the twentieth time that evening the two men shook hands."
    edit = ["edit", str(tmp_path / "in.wav"), "--text-before", said, "--text-after", said.replace("two", "three")]
    for name, more in (("base", ["--model", str(base)]), ("carl", ["--adapter", str(carl)])):
        assert main([*edit, *more, "--steps", "2", "-o", str(tmp_path / f"{name}.wav")]) == 0
    a, b = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("base", "carl"))
    assert len(a) == len(b) and not np.array_equal(a, b)
    same = np.flatnonzero(a != b)
    assert same[-1] - same[0] < 0.5 * len(a), "outside of the change both are the recording"


Refuse = Callable[..., str]


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Refuse:
    """A command that must end with one line and exit code 2."""

    def refused(*command: str) -> str:
        capsys.readouterr()
        assert main(list(command)) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("fm-audio: error: ")
        return line

    return refused


@ours
def test_what_does_not_go_together_is_refused(
    base: Path, carl: Path, recordings: Path, tiny_voice: Path, make_adapter: Callable[..., Path], tmp_path: Path, refuse: Refuse
) -> None:
    out = str(tmp_path / "x.wav")
    assert "there is none; give a recording" in refuse("clone", "Hi.", "--model", str(base), "-o", out)
    other = cloner_of("f5-v1", tmp_path)
    assert "with fingerprint" in refuse("clone", "Hi.", "--model", str(other), "--adapter", str(carl), "-o", out)
    assert "cannot clone" in refuse("clone", "Hi.", "--adapter", str(make_adapter("emil")), "-o", out)
    assert "infill_tts" in refuse("say", "Hi.", "--adapter", str(carl), "-o", out)
    shown = ["adapt", "--voice", str(base), "--data", str(recordings), *QUICK, "--steps", "1"]
    assert "so the base is called" in refuse(*shown, "-o", str(tmp_path / "c"), "--name", base.name)
    assert "give at most" in refuse(*shown, "-o", str(tmp_path / "c"), "--rank", "1000000")
    assert "targets predictors" in refuse(*shown, "-o", str(tmp_path / "c"), "--voice", str(other), "--targets", "predictors")
    assert not (tmp_path / "x.wav").exists() and not (tmp_path / "c").exists()
    broken = shutil.copytree(carl, tmp_path / "broken")
    (broken / "reference.flac").unlink()
    assert "the recording that config.json names is missing" in refuse("clone", "Hi.", "--adapter", str(broken), "-o", out)


@ours
def test_an_adapter_that_does_not_fit_leaves_the_others_on(base: Path, carl: Path) -> None:
    cloner = load_cloner(adapter=carl)
    said = cloner.say("Hello.", steps=1).samples
    bad = read_adapter(carl)
    object.__setattr__(bad, "voice", "emil")
    object.__setattr__(bad, "rows", {"symbols": torch.zeros(2, 3)})
    with pytest.raises(FmAudioError, match="do not fit the model's tables"):
        cloner.wardrobe.put_on(bad)
    with pytest.raises(FmAudioError, match="there is a voice 'carl' already"):
        cloner.add_adapter(carl)
    with pytest.raises(FmAudioError, match="unknown voice 'emil'; there are ours, carl"):
        cloner.say("Hello.", voice="emil")
    assert np.array_equal(cloner.say("Hello.", steps=1).samples, said)


@ours
def test_others_are_replayed_and_what_becomes_of_them_is_measured(
    base: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_prep.custom import main as prepare
    from fm_audio.adapt.ears import Ears
    from tests.unit.adapt.test_judged import HearsOnePerson, HearsTwoWords

    raw = shutil.copytree(recordings, tmp_path / "raw")
    prepare([str(raw), str(tmp_path / "others"), "--licence", "CC0-1.0", "--speaker", "zoe"])
    monkeypatch.setattr("fm_audio.commands.adapt.open_ears", lambda *_: Ears(HearsTwoWords(), HearsOnePerson()))
    monkeypatch.setattr("fm_audio.evaluation.agreement.WORST_CHARACTERS", 9.0)
    out = tmp_path / "carl"
    assert adapt(base, recordings, out, "--steps", "1", "--full", "--replay", str(tmp_path / "others")) == 0
    card = (out / "card.md").read_text()
    rows = [line.split("|")[1].strip() for line in card.splitlines() if line.startswith("| ") and "[" in line]
    who = "base ours, cloning somebody of --replay"
    assert rows[:3] == ["the recordings", "base ours, cloning the same recording", f"{who}, before"]
    assert rows[-1] == f"{who}, after"
    assert "the last row says" in card and load_cloner(out).say("Hello.", steps=1).seconds > 0


def test_the_rank_is_what_fits_where_nobody_says_one() -> None:
    from fm_audio.adapt.growth import fitting_rank, megabytes
    from fm_audio.training.low_rank import target_layers, usual_targets

    node = {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": {},
            "frontend": {"class_path": "fm_audio.data.text.f5.F5Characters", "init_args": {"vocabulary": [" ", "a"]}},
            "backbone": {
                "class_path": "fm_audio.backbones.dit.DiT",
                "init_args": {"width": 1024, "layers": 22, "heads": 16, "feedforward": 2.0, "head_norm": False},
            },
        },
    }
    with torch.device("meta"):
        layers = target_layers(instantiate(node), usual_targets(instantiate(node), False))
    rank = fitting_rank(layers, None)
    assert 8 < rank < 16 and megabytes(layers, rank) <= 20 < megabytes(layers, rank + 1)


def test_what_is_kept_to_clone_from_is_as_it_was(tmp_path: Path) -> None:
    from fm_audio.voices.reference import Reference, own_reference

    wave = (0.3 * np.sin(np.arange(30_000) / 20)).astype(np.float32)
    node = Reference(Audio(wave, 24_000), "la la").beside(tmp_path)
    found = own_reference(tmp_path, {"reference": node})
    assert found is not None and found.text == "la la"
    assert np.abs(found.recording(24_000).samples - wave).max() < 1e-4
    assert own_reference(tmp_path, {}) is None
    with pytest.raises(FmAudioError, match="names no file and text"):
        own_reference(tmp_path, {"reference": {"file": "x.flac"}})
