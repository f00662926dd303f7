"""Like captions and like sounds are found, never the item itself; a bank that is broken says where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep.sound_sources import SOURCES
from fm_audio.audio import Audio
from fm_audio.cli import main
from fm_audio.data.frozen_captions import FrozenCaptions
from fm_audio.data.neighbours import Neighbours
from fm_audio.data.sound_bank import BankedSound, SoundBank, make_bank
from fm_audio.types import FmAudioError
from tests.tiny_hub import t5, words_tokenizer

RATE = 24_000
CAPTIONS = {"rain": "heavy rain", "siren": "a siren rising", "bell": "a bell ringing twice"}


def sound(kind: str, seed: int = 0) -> Audio:
    wave = SOURCES[kind](np.random.default_rng(seed), 1.5, RATE)[1]
    return Audio((0.3 * wave / np.abs(wave).max()).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("banks") / "bank"
    clips = [(sound(k, i), BankedSound("", c, "CC0-1.0", f"{k}{i}.wav", 0.0)) for k, c in CAPTIONS.items() for i in range(2)]
    make_bank(out, clips, RATE)
    return out


def test_like_captions_are_found_by_their_words_and_their_forms() -> None:
    among = Neighbours(["a dog barking", "rain on a roof", "dogs bark", "a violin"], ["a", "b", "c", "d"])
    assert [i for i, _ in among.nearest(["dog barks"], 3)[0]] in ([0, 2], [2, 0]), "what shares nothing is not found"
    (row,) = among.nearest(["a violin"], 1)
    assert row[0][0] == 3 and row[0][1] == pytest.approx(1, abs=1e-5)
    assert among.nearest(["a dog barking", "rain"], 1, [{"a"}, set()]) != among.nearest(["a dog barking", "rain"], 1)
    assert among.nearest(["a dog barking"], 1, [{"a"}])[0][0][0] == 2
    with pytest.raises(FmAudioError, match="ask for 1 or more"):
        among.nearest(["rain"], 0)
    with pytest.raises(FmAudioError, match="0 captions, 0 sources"):
        Neighbours([], [])


def test_states_of_an_encoder_compare_captions_too(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    words_tokenizer().save_pretrained(tmp_path / "t5")
    t5().save_pretrained(tmp_path / "t5")
    by = FrozenCaptions(str(tmp_path / "t5"))
    among = Neighbours(["rain", "a bell", "wind"], ["a", "b", "c"], by)
    assert among.nearest(["a bell"], 1)[0][0][0] == 1
    clips = [(sound(k), BankedSound("", k, "CC0-1.0", k, 0.0)) for k in ("rain", "bell")]
    bank = make_bank(tmp_path / "bank", clips, RATE, str(tmp_path / "t5"))
    assert bank.nearest("bell", 1)[0].clip.caption == "bell" and bank.compared_by is not None


def test_a_bank_finds_by_caption_and_by_sound(folder: Path) -> None:
    bank = SoundBank(folder)
    assert len(bank) == 6 and bank.clips[0].licence == "CC0-1.0"
    found = bank.nearest("the bell rings", 2)
    assert [f.clip.caption for f in found] == [CAPTIONS["bell"]] * 2
    assert bank.like(sound("siren", 5), 1)[0].clip.caption == CAPTIONS["siren"]
    itself = bank.like(sound("rain", 1), 1)[0]
    assert itself.clip.source == "rain1.wav" and itself.near > -0.05
    assert np.abs(bank.sound(itself.index, RATE).samples - sound("rain", 1).samples).max() < 1e-3
    assert len(bank.sound(0, 12_000).samples) == len(sound("rain").samples) // 2


def test_the_item_itself_is_never_found(folder: Path) -> None:
    bank = SoundBank(folder)
    assert {f.clip.source for f in bank.nearest("heavy rain", 5)} == {"rain0.wav", "rain1.wav"}
    assert [f.clip.source for f in bank.nearest("heavy rain", 5, without=["rain0.wav"])] == ["rain1.wav"]
    louder = Audio(2 * sound("rain", 1).samples, RATE)
    assert [f.clip.source for f in bank.nearest("heavy rain", 5, unlike=louder)] == ["rain0.wav"]
    with pytest.raises(FmAudioError, match="no clip of .* has a word of it; there are a bell ringing twice"):
        bank.nearest("xylophone", 1)


def test_broken_banks_say_where(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FmAudioError, match="is no sound bank .*make one: fm-audio bank make"):
        SoundBank(tmp_path)
    with pytest.raises(FmAudioError, match="has a bank already"):
        make_bank(folder, [], RATE)
    with pytest.raises(FmAudioError, match="no clips were given"):
        make_bank(tmp_path / "none", [], RATE)
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    soundfile.write(broken / "clips/000000.flac", np.zeros(8000), 16_000)
    with pytest.raises(FmAudioError, match="000000.flac: is at 16000 Hz, all clips of this bank are at 24000"):
        SoundBank(broken).sound(0, RATE)
    (broken / "clips/000001.flac").write_bytes(b"no sound")
    with pytest.raises(FmAudioError, match="cannot be read as audio"):
        SoundBank(broken).sound(1, RATE)
    told = json.loads((broken / "bank.json").read_text())
    (broken / "bank.json").write_text(json.dumps({**told, "clips": told["clips"][:2]}))
    with pytest.raises(FmAudioError, match="are of 6 clips, the list has 2"):
        SoundBank(broken)
    (broken / "bank.json").write_text(json.dumps({**told, "clips": [{"file": "a"}]}))
    with pytest.raises(FmAudioError, match="clip 0 does not have caption, file"):
        SoundBank(broken)
    (broken / "bank.json").write_text("{")
    with pytest.raises(FmAudioError, match="is not JSON .* make the sound bank again"):
        SoundBank(broken)


def test_the_command_makes_and_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from data_prep.procedural_sounds import main as prepare

    prepare([str(tmp_path / "made"), "--clips", "6", "--mixed", "0", "--hold-out", "0"])
    cuts, bank = str(tmp_path / "made/cuts.jsonl.gz"), str(tmp_path / "bank")
    capsys.readouterr()
    assert main(["bank", "make", cuts, "-o", bank, "--allow-licence", "MIT"]) == 2
    assert "none of 6 cuts is under MIT; they are under CC0-1.0" in capsys.readouterr().err
    assert main(["bank", "make", cuts, "-o", bank]) == 0 and "6 clips" in capsys.readouterr().out
    caption = SoundBank(bank).clips[2].caption
    assert main(["bank", "find", bank, caption, "--count", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["caption"] == caption and row["near"] == pytest.approx(1, abs=1e-4) and Path(row["file"]).is_file()
    assert main(["bank", "find", bank, "--like", row["file"], "--count", "1"]) == 0
    assert caption in capsys.readouterr().out
    assert main(["bank", "find", bank]) == 2 and "give a prompt, or --like FILE" in capsys.readouterr().err
