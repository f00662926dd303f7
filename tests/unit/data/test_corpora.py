"""Tiny trees in the published layouts become the clips they hold; what is missing is counted; a teacher goes on after a kill."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse.recipes.emilia import prepare_emilia

from data_prep import asterisk_prompts, emilia, librispeech, libritts, ljspeech, vctk
from data_prep.shar import export
from data_prep.taught import Plan, teach
from data_prep.teachers import Spoken
from data_prep.teachers.kokoro import IDS, misaki
from fm_audio.audio import AudioSpec
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.preparation.layouts import Naming, read_folder
from fm_audio.data.speech import SpeechDataModule
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.types import FmAudioError


def speech(path: Path, rate: int = 16_000, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(rate) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * (200 + 7 * seed + sum(path.stem.encode()) % 300) * time), rate)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def ljspeech_tree(raw: Path) -> None:
    write(raw / "metadata.csv", "LJ001-0001|In 1455.|In fourteen fifty-five.\nLJ001-0002|Second.|Second.\n")
    speech(raw / "wavs" / "LJ001-0001.wav", 22_050)


def vctk_tree(raw: Path) -> None:
    write(raw / "txt" / "p225" / "p225_001.txt", "Please call Stella.\n")
    write(raw / "txt" / "p225" / "p225_002.txt", "Ask her.\n")
    speech(raw / "wav48_silence_trimmed" / "p225" / "p225_001_mic1.flac", 48_000)
    speech(raw / "wav48_silence_trimmed" / "p225" / "p225_001_mic2.flac", 48_000, seed=1)


def libritts_tree(raw: Path) -> None:
    folder = raw / "train-clean-100" / "84" / "121123"
    write(folder / "84_121123_000007_000001.normalized.txt", "Maximilian.")
    write(folder / "84_121123_000008_000000.normalized.txt", "Villefort rose.")
    speech(folder / "84_121123_000007_000001.wav", 24_000)


def librispeech_tree(raw: Path) -> None:
    folder = raw / "dev-clean" / "121" / "121726"
    write(folder / "121-121726.trans.txt", "121-121726-0000 ALSO A POPULAR CONTRIVANCE\n121-121726-0001 HARANGUE\n")
    speech(folder / "121-121726-0000.flac")


def asterisk_tree(raw: Path) -> None:
    text = "; Core Asterisk Sounds\n\nactivated: Activated.\nbeep: [a tone]\ndigits/1: One.\ngone: Not there.\n"
    (raw / "doc").mkdir(parents=True)
    (raw / "doc" / "core-sounds-en.txt.gz").write_bytes(gzip.compress(text.encode()))
    sounds = raw / "sounds" / "en_US_f_Allison"
    speech(sounds / "activated.wav")
    (sounds / "digits").mkdir()
    raw_samples = (0.3 * 32767 * np.sin(np.arange(16_000) * 0.1)).astype("<i2")
    (sounds / "digits" / "1.sln16").write_bytes(raw_samples.tobytes())


def emilia_entry(name: str, **more: object) -> str:
    folder = "EN_B00000/EN_B00000_S00001/mp3"
    entry = {"id": name, "wav": f"{folder}/{name}.mp3", "text": f" Said in {name}.", "speaker": "EN_B00000_S00001"}
    return json.dumps(entry | {"language": "en", "dnsmos": 3.3} | more)


def emilia_tree(raw: Path) -> None:
    """As Lhotse's recipe reads it: lists of lines."""
    here, gone = "EN_B00000_S00001_W000001", "EN_B00000_S00001_W000002"
    write(raw / "raw" / "EN" / "EN_B00000.jsonl", f"{emilia_entry(here)}\n{emilia_entry(gone)}\n")
    speech(raw / "raw" / "EN" / "EN_B00000/EN_B00000_S00001/mp3" / f"{here}.mp3", 24_000)


def emilia_unpacked(raw: Path) -> None:
    """As its tar files unpack: a file beside each recording."""
    here, gone = "EN_B00000_S00001_W000001", "EN_B00000_S00001_W000002"
    for name in (here, gone):
        write(raw / "EN" / "EN-B000000" / f"{name}.json", emilia_entry(name))
    speech(raw / "EN" / "EN-B000000" / f"{here}.mp3", 24_000)


@pytest.mark.parametrize(
    "script, tree, speaker, text, licence",
    [
        (ljspeech, ljspeech_tree, "ljspeech", "In fourteen fifty-five.", "public domain"),
        (vctk, vctk_tree, "p225", "Please call Stella.", "CC-BY-4.0"),
        (libritts, libritts_tree, "84", "Maximilian.", "CC-BY-4.0"),
        (librispeech, librispeech_tree, "121", "also a popular contrivance", "CC-BY-4.0"),
        (asterisk_prompts, asterisk_tree, "allison", "Activated.", "CC-BY-SA-3.0"),
        (emilia, emilia_tree, "EN_B00000_S00001", "Said in EN_B00000_S00001_W000001.", "CC-BY-NC-4.0"),
        (emilia, emilia_unpacked, "EN_B00000_S00001", "Said in EN_B00000_S00001_W000001.", "CC-BY-NC-4.0"),
    ],
)
def test_published_layouts(tmp_path, script, tree, speaker, text, licence):
    raw, out = tmp_path / "raw", tmp_path / "out"
    tree(raw)
    script.main([str(raw), str(out)])
    report = json.loads((out / "report.json").read_text())
    cuts = list(load_cuts(out / "cuts.jsonl.gz"))
    assert cuts[0].supervisions[0].speaker == speaker and cuts[0].supervisions[0].text == text
    assert report["licence"] == cuts[0].supervisions[0].custom["licence"] == licence
    assert not report["synthetic"] and report["found"] == len(cuts) + 1  # one entry has no audio
    assert sum(map(len, report["dropped"].values())) == 1
    assert len(wave_of_cut(cuts[0], 24_000)) == pytest.approx(24_000, abs=1)


def test_lhotse_reads_the_same_of_emilia(tmp_path):
    emilia_tree(tmp_path / "raw")
    emilia.main([str(tmp_path / "raw"), str(tmp_path / "out")])
    [theirs] = prepare_emilia(tmp_path / "raw", "en", 1)
    [ours] = load_cuts(tmp_path / "out" / "cuts.jsonl.gz")
    assert ours.id == theirs.id and ours.supervisions[0].speaker == theirs.supervisions[0].speaker
    assert ours.supervisions[0].text == theirs.supervisions[0].text.strip()
    assert ours.duration == pytest.approx(theirs.duration, abs=0.06)


def test_emilia_is_sieved_by_its_own_scores_and_bad_lines_are_counted(tmp_path):
    raw, names = tmp_path / "raw", [f"EN_B00000_S00001_W00000{i}" for i in range(4)]
    rows = [emilia_entry(names[0], dnsmos=2.9), emilia_entry(names[1]), "{", json.dumps({"id": names[3]})]
    write(raw / "EN" / "EN_B00000.jsonl", "\n".join(rows))
    for name in names[:2]:
        speech(raw / "EN" / "EN_B00000/EN_B00000_S00001/mp3" / f"{name}.mp3", 24_000)
    emilia.main([str(raw), str(tmp_path / "out"), "--min-dnsmos", "3"])
    assert [c.id for c in load_cuts(tmp_path / "out" / "cuts.jsonl.gz")] == [names[1]]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["found"] == 4 and set(report["dropped"]) == {
        "bad entry: quality below --min-dnsmos", "bad entry: not JSON", "bad entry: no id, text and speaker"
    }  # fmt: skip
    with pytest.raises(FmAudioError, match="no folder DE"):
        emilia.main([str(raw), str(tmp_path / "de"), "--language", "de"])


def test_prompts_in_folders_are_found(tmp_path):
    asterisk_tree(tmp_path / "raw")
    asterisk_prompts.main([str(tmp_path / "raw"), str(tmp_path / "out")])
    assert [c.id for c in load_cuts(tmp_path / "out" / "cuts.jsonl.gz")] == ["activated", "digits-1"]


def test_g722_without_ffmpeg_says_what_to_install(tmp_path, monkeypatch):
    asterisk_tree(tmp_path / "raw")
    (tmp_path / "raw" / "sounds" / "en_US_f_Allison" / "gone.g722").write_bytes(b"\0" * 800)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FmAudioError, match="ffmpeg"):
        asterisk_prompts.main([str(tmp_path / "raw"), str(tmp_path / "out")])


class Parrot:
    """Says a tone as long as the text; stops the program when told to."""

    licence = "CC0-1.0"

    def __init__(self, dies_at: str = "") -> None:
        self.dies_at = dies_at
        self.said: list[str] = []

    def voices(self) -> list[str]:
        return ["polly", "jack"]

    def say(self, text: str, voice: str, speed: float) -> Spoken:
        if text == self.dies_at:
            raise KeyboardInterrupt
        if "~" in text:
            raise FmAudioError("cannot say ~")
        self.said.append(text)
        units = [4] * (len(text) + 2)
        wave = np.sin(np.arange(600 * sum(units)) * 0.05 * speed).astype(np.float32) * 0.3
        return Spoken(wave, 24_000, ("^", *text, "^"), tuple(units))


def test_a_killed_teacher_goes_on_and_makes_the_same_corpus(tmp_path):
    sentences, plan = ["one", "two", "th~ree", "four", "five"], Plan(("polly", "jack"), seed=3)
    made, failed = teach(sentences, tmp_path / "whole", Parrot(), plan)
    assert made == 4 and len(failed) == 1 and "line 3" in failed[0]
    with pytest.raises(KeyboardInterrupt):
        teach(sentences, tmp_path / "cut", Parrot(dies_at="four"), plan)
    manifest = tmp_path / "cut" / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + '{"id": "000003", "aud')  # a line that the kill cut short
    second = Parrot()
    made, _ = teach(sentences, tmp_path / "cut", second, plan)
    assert made == 2 and second.said == ["four", "five"]
    assert manifest.read_text() == (tmp_path / "whole" / "manifest.jsonl").read_text()
    for name in ("000000.flac", "000004.flac"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    clips = read_folder(tmp_path / "cut", Naming("x", "en"))
    assert [c.text for c in clips] == ["one", "two", "four", "five"] and all(c.extra["synthetic"] for c in clips)
    assert len(clips[0].phones) == len(clips[0].durations_units) == 5
    with pytest.raises(FmAudioError, match="is not line 1"):
        teach(["other"], tmp_path / "cut", Parrot(), plan)


def test_espeak_becomes_misaki():
    assert misaki("hɐlˈo^ʊ wˈɜːld", british=False) == "həlˈO wˈɜɹld"
    assert misaki("t^ʃˈe^əz", british=True) == "ʧˈɛːz"
    assert set(misaki("ʃˈʌt^ʃ‿☃", british=False)) <= set(IDS)


def test_shar_streams_the_same_clips(tones, tmp_path):
    assert export(tones / "cuts.jsonl.gz", tmp_path / "shar", shard_clips=8) == len(load_cuts(tones / "cuts.jsonl.gz"))
    spec = AudioSpec(bands=8)
    data = SpeechDataModule([str(tmp_path / "shar")], [], spec, Arpabet(), batch_seconds=6.0, buckets=2)
    data.setup()
    plain = SpeechDataModule([str(tones / "cuts.jsonl.gz")], [], spec, Arpabet(), batch_seconds=6.0, buckets=2)
    plain.setup()

    def clips(module: SpeechDataModule) -> dict[str, tuple]:
        return {
            name: (b.texts[i], b.mel[i][b.mask[i]], b.durations_frames[i][b.symbols_mask[i]])
            for b in module.train_dataloader()
            for i, name in enumerate(b.ids)
        }

    streamed, eager = clips(data), clips(plain)
    assert streamed.keys() == eager.keys()
    for name, (text, mel, durations) in eager.items():
        assert streamed[name][0] == text
        assert (streamed[name][1] == mel).all() and (streamed[name][2] == durations).all()
    order = [b.ids for b in data.train_dataloader()]
    data._position = lambda: (0, 2)  # type: ignore[method-assign]
    assert [b.ids for b in data.train_dataloader()] == order[2:]
    with pytest.raises(FmAudioError, match="not empty"):
        export(tones / "cuts.jsonl.gz", tmp_path / "shar")
