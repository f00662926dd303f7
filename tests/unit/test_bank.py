"""The voice bank: what is added is kept as it was, checked as a reference is, never over another; and is cloned from by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import fm_audio
from fm_audio.audio import load_audio
from fm_audio.cli import main
from fm_audio.evaluation.likeness import nearest
from fm_audio.evaluation.speaker import load_speaker_encoder, speaker_vector
from fm_audio.types import FmAudioError
from fm_audio.voices import list_voices
from fm_audio.voices.bank import NOBODY, Card, VoiceBank, reference_of
from tests.unit.evaluation.test_judges import needs

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"
OTHER = RECORDING.with_name("001.opus")
TERMS = ["--text", SAID, "--licence", "CC0-1.0", "--consent", "released"]
CARD = Card("kathleen", SAID, "CC0-1.0", "released")


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VoiceBank:
    monkeypatch.setenv("FM_AUDIO_BANK", str(tmp_path / "bank"))
    return VoiceBank()


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    capsys.readouterr()
    assert main(["voices", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_added_is_listed_with_its_card_and_kept_as_it_was(
    bank: VoiceBank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "clip.wav", np.random.default_rng(0).normal(0, 0.1, (66_150, 2)), 44_100, subtype="PCM_24")
    noise = ["noise", str(tmp_path / "clip.wav"), "--text", "Sh.", "--licence", "private", "--synthetic"]
    assert main(["voices", "add", *noise]) == 0
    assert main(["voices", "add", "kathleen", str(RECORDING), *TERMS, "--language", "en"]) == 0
    installed = len(list_voices())
    rows = listed(capsys)[installed:]
    assert [(r["name"], r["model"], r["recorded"], r["consent"]) for r in rows] == [
        ("kathleen", None, True, "released"),
        ("noise", None, False, NOBODY),
    ]
    assert bank.find("noise").path.read_bytes() == (tmp_path / "clip.wav").read_bytes()
    assert bank.find("kathleen").path.read_bytes() == RECORDING.read_bytes()
    assert bank.find("noise").recording(24_000).seconds == pytest.approx(1.5)
    assert main(["voices"]) == 0
    lines = capsys.readouterr().out.splitlines()[installed:]
    assert lines[0].split()[:2] == ["kathleen", "reference"] and "licence: CC0-1.0, consent: released" in lines[0]
    assert sorted(p.name for p in bank.folder.iterdir()) == ["kathleen", "noise"], "nothing half made lies about"


def test_another_bank_may_be_named_before_or_after_the_action(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert main(["voices", "--bank", one, "add", "a", str(RECORDING), *TERMS]) == 0
    assert main(["voices", "add", "b", str(RECORDING), *TERMS, "--bank", two]) == 0
    assert [v.card.name for folder in (one, two) for v in VoiceBank(folder).voices()] == ["a", "b"]
    assert [r["name"] for r in listed(capsys, "--bank", two) if r["model"] is None] == ["b"]


@pytest.mark.parametrize(
    ("name", "seconds", "terms", "says"),
    [
        ("a", 0.2, TERMS, "0.20 s long; give 1 to 20 s"),
        ("a", 300.0, TERMS, "300.00 s long"),
        ("a", 0.0, TERMS, "0.00 s long"),
        ("a", -2.0, TERMS, "silent"),
        ("a", None, TERMS, "cannot be read as audio"),
        ("../a", 2.0, TERMS, "letters, digits"),
        ("a", 2.0, [*TERMS[:4], "--consent", " "], "its consent is empty"),
        ("a", 2.0, TERMS[:4], "its consent is empty"),
        ("a", 2.0, ["--text", "", *TERMS[2:]], "its transcript is empty"),
        ("a", 2.0, ["--text", "Hm.", "--licence", "", "--synthetic"], "its licence is empty"),
    ],
)
def test_what_cannot_serve_is_one_line_and_leaves_nothing(
    name: str, seconds: float | None, terms: list[str], says: str, bank: VoiceBank, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    clip = tmp_path / "clip.wav"
    if seconds is None:
        clip.write_text("not audio")
    else:  # a negative length is that much silence
        wave = np.random.default_rng(0).normal(0, 0.1, int(abs(seconds) * 8000)) * (seconds > 0)
        soundfile.write(clip, wave, 8000)
    assert main(["voices", "add", name, str(clip), *terms]) == 2
    printed = capsys.readouterr().err
    assert says in printed and printed.count("\n") == 1
    assert not bank.folder.exists() or not list(bank.folder.iterdir())


def test_nothing_is_overwritten(bank: VoiceBank, capsys: pytest.CaptureFixture[str]) -> None:
    before = bank.add(CARD, RECORDING).path.read_bytes()
    assert main(["voices", "add", "kathleen", str(OTHER), *TERMS]) == 2
    assert "already; choose another name" in capsys.readouterr().err
    assert bank.find("kathleen").path.read_bytes() == before and len(list(bank.folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [({"format": 2}, "format 1"), ({"consent": None}, "a card has consent"), ({"name": "other"}, "make them the same")],
)
def test_a_damaged_card_is_named(change: dict, says: str, bank: VoiceBank, capsys: pytest.CaptureFixture[str]) -> None:
    path = bank.add(CARD, RECORDING).folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert main(["voices"]) == 2
    printed = capsys.readouterr().err
    assert says in printed and str(path) in printed


def test_a_voice_of_the_bank_is_cloned_by_its_name(
    model: Path, bank: VoiceBank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank.add(CARD, RECORDING)
    how = ["clone", "No.", "--model", str(model), "--steps", "1", "--json"]
    by_name, by_file = tmp_path / "name.wav", tmp_path / "file.wav"
    assert main([*how, "--reference", "kathleen", "-o", str(by_name)]) == 0
    assert json.loads(capsys.readouterr().out)["reference"]["consent"] == "released"
    assert main([*how, "--reference", str(RECORDING), "--reference-text", SAID, "-o", str(by_file)]) == 0
    assert by_name.read_bytes() == by_file.read_bytes()
    capsys.readouterr()
    for given, says in (("katleen", "did you mean kathleen"), (str(OTHER), "--reference-text"), ("gone.wav", "no such file")):
        assert main([*how, "--reference", given, "-o", str(tmp_path / "none.wav")]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "none.wav").exists()


class ByLoudness:
    """An encoder of a world in which loud and quiet people live."""

    def embed(self, audio: fm_audio.Audio) -> np.ndarray:
        loud = float(np.sqrt(np.mean(audio.samples**2)))
        return np.array([1.0, 40 * loud]) if loud else np.zeros(2)


def test_the_nearest_voices_come_first(bank: VoiceBank, tiny_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fm_audio.voices.find.SHIPPED", tiny_voice.parent)
    bank.add(CARD, RECORDING)
    soundfile.write(bank.folder.parent / "quiet.wav", 0.02 * load_audio(RECORDING, 24_000).samples, 24_000)
    bank.add(Card("quiet", SAID, "CC0-1.0", "released"), bank.folder.parent / "quiet.wav")
    shares: list[float] = []
    found = nearest(load_audio(RECORDING, 16_000), ByLoudness(), bank, shares.append)
    assert {(f.name, f.model) for f in found} == {("kathleen", None), ("quiet", None), ("anna", "tiny"), ("bernard", "tiny")}
    assert found[0].name == "kathleen" and found[0].similarity > 0.999
    assert [f.similarity for f in found] == sorted((f.similarity for f in found), reverse=True)
    assert shares[-1] == 1 and shares == sorted(shares)
    with pytest.raises(FmAudioError, match="no speech was found"):
        nearest(fm_audio.Audio(np.zeros(16_000, np.float32), 16_000), ByLoudness(), bank)


@needs("transformers")
def test_a_vector_comes_from_an_xvector_model_of_transformers(
    bank: VoiceBank, tiny_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import transformers

    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=[8] * 7, xvector_output_dim=6,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, tdnn_dim=[8] * 5,
    )  # fmt: skip
    transformers.WavLMForXVector(config).save_pretrained(tmp_path / "wavlm")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "wavlm")
    name = f"transformers:{tmp_path / 'wavlm'}"
    vector = speaker_vector(RECORDING, name)
    assert vector.shape == (6,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert speaker_vector(load_audio(RECORDING, 24_000), load_speaker_encoder(name)) @ vector > 0.99
    capsys.readouterr()
    assert main(["voices", "vector", str(RECORDING), "--encoder", name]) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(vector.tolist(), abs=1e-5)
    monkeypatch.setattr("fm_audio.voices.find.SHIPPED", tiny_voice.parent)
    bank.add(CARD, RECORDING)
    rows = listed(capsys, "--like", str(RECORDING), "--encoder", name)
    assert (rows[0]["name"], rows[0]["similarity"]) == ("kathleen", pytest.approx(1, abs=1e-3)) and len(rows) == 3
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    assert main(["voices", "vector", str(tmp_path / "silent.wav"), "--encoder", name]) == 2
    assert "no speech" in capsys.readouterr().err


def test_encoders_that_are_not_there_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resemblyzer", None)
    with pytest.raises(FmAudioError, match="pip install --no-deps Resemblyzer"):
        speaker_vector(RECORDING)
    with pytest.raises(FmAudioError, match="use resemblyzer or transformers:NAME"):
        load_speaker_encoder("ears")


@pytest.mark.slow
@needs("resemblyzer")
def test_a_person_is_nearest_to_herself(bank: VoiceBank, tiny_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fm_audio.voices.find.SHIPPED", tiny_voice.parent)
    bank.add(CARD, OTHER)
    found = nearest(load_audio(RECORDING, 24_000), load_speaker_encoder(), bank)
    assert found[0].name == "kathleen" and found[0].similarity > 0.7


def test_every_shipped_voice_states_licence_and_consent() -> None:
    """In its config, which `load` and `fm-audio voices` show, and on its card."""
    for entry in list_voices():
        assert {"recorded", "licence", "consent"} <= set(entry.facts), f"{entry.folder}/config.json: {entry.name}"
        text = (entry.folder / "card.md").read_text(encoding="utf-8")
        assert "consent" in text.lower() and f"`{entry.name}`" in text


def test_a_loaded_voice_shows_its_card(tiny_voice: Path) -> None:
    voice = fm_audio.load(tiny_voice)
    assert voice.card == {"speaker": "anna", "recorded": False, "licence": "unstated", "consent": "unstated"}
    assert set(voice.cards) == set(voice.speakers)


def test_a_voice_is_found_by_its_description(bank: VoiceBank, capsys: pytest.CaptureFixture[str]) -> None:
    terms = [str(RECORDING), *TERMS]
    with pytest.raises(FmAudioError, match="no voice of .* has a description"):
        bank.described("calm")
    for name, told in (("kathleen", "a calm young woman"), ("george", "an elderly man who grumbles"), ("untold", "")):
        assert main(["voices", "add", name, *terms, "--description", told]) == 0
    assert bank.described("calm women").card.name == "kathleen"
    path, said, card = reference_of(None, None, bank, "grumbling old man")
    assert card is not None and card.name == "george" and said == SAID and path.is_file()
    with pytest.raises(FmAudioError, match="no voice of .* is described so; there are george: an elderly man who grumbles"):
        bank.described("xyz")
    assert main(["clone", "Hello.", "-o", "x.wav", "--voice-like", "xyz"]) == 2
    assert "is described so" in capsys.readouterr().err
    whose = bank.folder / "george/card.json"
    told_before = json.loads(whose.read_text())
    del told_before["description"]
    whose.write_text(json.dumps(told_before))
    assert bank.find("george").card.description == "", "cards of before had none"
