"""The report tells the truth about bad folders; trimming never touches sound and alignments follow it; texts split cleanly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep import custom
from fm_audio.data.cuts import load_cuts, wave_of_cut
from fm_audio.data.preparation.clip import normal_text


def run(raw: Path, out: Path, *more: str) -> dict:
    custom.main([str(raw), str(out), "--licence", "CC0-1.0", *more])
    return json.loads((out / "report.json").read_text())


@pytest.fixture
def bad(tmp_path: Path, write_wave) -> Path:
    """Seven clips with something wrong and two that are fine."""
    raw = tmp_path / "raw"
    write_wave(raw / "good.wav")
    write_wave(raw / "again.wav")
    (raw / "twin.wav").write_bytes((raw / "good.wav").read_bytes())
    (raw / "empty.wav").write_bytes(b"")
    write_wave(raw / "nothing.wav", 0.0)
    write_wave(raw / "flac.flac", 2.0)
    whole = (raw / "flac.flac").read_bytes()
    (raw / "flac.flac").write_bytes(whole[: len(whole) // 2])
    write_wave(raw / "silent.wav", 1.0, loud=1e-5)
    write_wave(raw / "short.wav", 0.1)
    write_wave(raw / "long.wav", 4.0)
    write_wave(raw / "loud.wav", 1.0, loud=4.0)
    for audio in list(raw.iterdir()):
        audio.with_suffix(".txt").write_text("Same words." if audio.stem in ("good", "again") else f"Words of {audio.stem} ~")
    return raw


def test_everything_wrong_is_counted_and_named(bad, tmp_path, capsys):
    report = run(bad, tmp_path / "out", "--max-seconds", "3")
    dropped = {name: why for why, names in report["dropped"].items() for name in names}
    expected = {
        "twin": "same audio as good",
        "empty": "the file is empty (0 bytes)",
        "nothing": "holds no samples",
        "silent": "silent throughout",
        "short": "shorter than 0.3 s",
        "long": "longer than 3 s",
    }
    assert "cut short" in dropped["flac"] or "cannot be read" in dropped.pop("flac")
    dropped.pop("flac", None)
    assert dropped == expected and report["found"] == 10 and report["kept"] == 3
    assert report["noted"]["clipped at full scale"] == ["loud"]
    assert report["noted"]["same text and speaker as an earlier clip"] == ["good"]
    assert report["unusual_characters"]["~"]["count"] == 1
    assert report["hours"] == pytest.approx(3 / 3600, rel=1e-2)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("flac", *expected))


def test_a_corpus_of_rubbish_is_one_clear_error(tmp_path, capsys):
    from data_prep.prepare import run as finish

    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.wav").write_bytes(b"no sound")
    (raw / "a.txt").write_text("hello")
    with pytest.raises(SystemExit) as e:
        finish(custom.main, [str(raw), str(tmp_path / "out"), "--licence", "CC0-1.0"])
    assert e.value.code == 2 and capsys.readouterr().err.startswith("error: no clip is left")
    assert not (tmp_path / "out" / "cuts.jsonl.gz").exists()


def test_trimming_keeps_all_sound_and_at_most_the_margin(tmp_path, write_wave):
    raw, out = tmp_path / "raw", tmp_path / "out"
    wave = write_wave(raw / "a.wav", 1.0, before=0.5, after=0.7)
    units = [20, 25, 20, 20, 3]  # 25 ms each: 0.5 s, then 1 s and 0.7 s of silence, of which the phone before the stop has a part
    row = {"audio": "a.wav", "text": "hi", "phones": "ab.", "durations": units}
    (raw / "manifest.jsonl").write_text(json.dumps(row))
    assert sum(units) * 600 == len(wave)
    run(raw, out, "--trim-seconds", "0.1")
    [cut] = load_cuts(out / "cuts.jsonl.gz")
    assert cut.duration == pytest.approx(1.2, abs=0.011)
    kept = wave_of_cut(cut, 24_000)
    assert np.square(kept).sum() == pytest.approx(np.square(soundfile.read(raw / "a.wav")[0]).sum(), rel=1e-4)
    items = cut.supervisions[0].alignment["phone"]
    assert [i.symbol for i in items] == ["^", "a", "b", ".", "^"]
    assert sum(i.duration for i in items) == pytest.approx(cut.duration, abs=1e-6)
    assert items[1].duration == pytest.approx(25 * 0.025) and items[1].start == pytest.approx(0.1, abs=0.006)


def test_alignments_sum_to_the_clip(tones):
    for cut in load_cuts(tones / "cuts.jsonl.gz"):
        assert sum(i.duration for i in cut.supervisions[0].alignment["phone"]) == pytest.approx(cut.duration, abs=1e-6)


def test_durations_of_other_audio_are_left_out_and_noted(tmp_path, write_wave):
    raw = tmp_path / "raw"
    write_wave(raw / "a.wav", 1.0)
    (raw / "manifest.jsonl").write_text(json.dumps({"audio": "a.wav", "text": "hi", "phones": "ab", "durations": [9, 9, 9, 9]}))
    report = run(raw, tmp_path / "out")
    assert report["with_alignment"] == 0 and list(report["noted"].values()) == [["a"]]
    [cut] = load_cuts(tmp_path / "out" / "cuts.jsonl.gz")
    assert not cut.supervisions[0].alignment


def test_held_out_texts_are_in_no_training_clip_and_stay_held_out(tones, tmp_path):
    run(tones, tmp_path / "one", "--hold-out", "3")
    run(tones, tmp_path / "two", "--hold-out", "3", "--exclude-speaker", "tone1")
    train, held = ({normal_text(c.supervisions[0].text) for c in load_cuts(tmp_path / "one" / f)} for f in
                   ("cuts.jsonl.gz", "validation.jsonl.gz"))  # fmt: skip
    fewer = {normal_text(c.supervisions[0].text) for c in load_cuts(tmp_path / "two" / "validation.jsonl.gz")}
    assert held and not held & train and fewer <= held


def test_select_and_exclude(tones, tmp_path):
    texts = [json.loads(line)["text"] for line in (tones / "manifest.jsonl").read_text().splitlines()]
    listed = tmp_path / "never.txt"
    listed.write_text(texts[0].upper().replace(".", " !") + "\n")
    report = run(tones, tmp_path / "out", "--exclude-texts", str(listed), "--exclude-speaker", "*1")
    assert report["kept"] == 11 and list(report["speakers"]) == ["tone0"]
    assert report["dropped"]["text excluded"] == ["0000"]


@pytest.mark.parametrize("how", ["--copy", "--relative"])
def test_a_moved_corpus_still_finds_its_audio(tmp_path, write_wave, how):
    raw = tmp_path / "here" / "raw"
    wave = write_wave(raw / "a.wav")
    (raw / "a.txt").write_text("hello")
    run(raw, tmp_path / "here" / "out", how)
    (tmp_path / "here").rename(tmp_path / "there")
    [cut] = load_cuts(tmp_path / "there" / "out" / "cuts.jsonl.gz")
    assert len(wave_of_cut(cut, 24_000)) == len(wave)


def test_two_workers_give_the_same_cuts(tones, tmp_path):
    run(tones, tmp_path / "one")
    run(tones, tmp_path / "two", "--workers", "2")
    one, two = (load_cuts(tmp_path / n / "cuts.jsonl.gz") for n in ("one", "two"))
    assert [c.to_dict() for c in one] == [c.to_dict() for c in two]


def test_synthetic_gives_the_same_bytes(tones, tmp_path):
    from data_prep.synthetic import make
    from fm_audio.data.text.arpabet import Arpabet

    make(tmp_path, clips=3, speakers=2, frontend=Arpabet(), hold_out=0)
    for name in ("0000.wav", "0001.wav", "0002.wav"):
        assert (tmp_path / "wavs" / name).read_bytes() == (tones / "wavs" / name).read_bytes()
