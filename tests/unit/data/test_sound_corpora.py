"""Tiny trees of sound corpora in their published layouts become captioned clips, each with its licence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep import audiocaps, clotho, esc50, fsd50k, musiccaps, sound_folder
from data_prep.captions import licence_named, listed, said
from fm_audio.data.cuts import load_cuts
from fm_audio.data.preparation.clip import words_of
from fm_audio.types import FmAudioError

ZERO, BY, NC = (f"http://creativecommons.org/{x}/" for x in ("publicdomain/zero/1.0", "licenses/by/3.0", "licenses/by-nc/3.0"))


def sound(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(8000), 8000)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def esc50_tree(raw: Path) -> None:
    rows = "1-100032-A-0.wav,1,0,dog,True,100032,A\n1-9-A-3.wav,2,3,vacuum_cleaner,False,9,A\n1-gone-A-4.wav,2,3,cow,False,9,A\n"
    write(raw / "meta/esc50.csv", "filename,fold,target,category,esc10,src_file,take\n" + rows)
    sound(raw / "audio/1-100032-A-0.wav", 1)
    sound(raw / "audio/1-9-A-3.wav", 2)


def clotho_tree(raw: Path) -> None:
    write(raw / "clotho_captions_development.csv", "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
          'a b.wav,Rain falls.,"Heavy rain, and wind",Water pours,Drops fall,It rains\ngone.wav,a,b,c,d,e\n')  # fmt: skip
    write(raw / "clotho_metadata_development.csv", f"file_name,keywords,license\na b.wav,rain;wind,{BY}\n")
    sound(raw / "development/a b.wav")


def fsd50k_tree(raw: Path) -> None:
    rows = '64760,"Bark,Dog,Domestic_animals_and_pets,Animal",x,train\n16399,"Electric_guitar,Guitar",x,val\n99,Rain,x,val\n'
    write(raw / "FSD50K.ground_truth/dev.csv", "fname,labels,mids,split\n" + rows)
    write(raw / "FSD50K.metadata/dev_clips_info_FSD50K.json", json.dumps({"64760": {"license": ZERO}, "16399": {"license": NC}}))
    sound(raw / "FSD50K.dev_audio/64760.wav", 1)
    sound(raw / "FSD50K.dev_audio/16399.wav", 2)


def audiocaps_tree(raw: Path) -> None:
    write(raw / "train.csv", "audiocap_id,youtube_id,start_time,caption\n1,abc,130,A dog barks\n2,def,0,Rain\n3,gone,0,Wind\n")
    write(raw / "test.csv", "audiocap_id,youtube_id,start_time,caption\n9,abc,130,A dog is barking\n")
    sound(raw / "wavs/abc_130.wav", 1)
    sound(raw / "wavs/def.wav", 2)


def musiccaps_tree(raw: Path) -> None:
    write(raw / "musiccaps-public.csv", "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id,"
          "is_balanced_subset,is_audioset_eval\nq1,30,40,x,x,A slow waltz.,4,False,True\nq2,0,10,x,x,Drums.,4,False,False\n"
          "q3,0,10,x,x,Gone.,4,False,False\n")  # fmt: skip
    sound(raw / "[q1]-[30-40].wav", 1)
    sound(raw / "q2.wav", 2)


def folder_tree(raw: Path) -> None:
    sound(raw / "Animals/DogBark_02.wav", 1)
    sound(raw / "Bells/01.wav", 2)
    sound(raw / "07.wav", 3)


CORPORA: dict[str, tuple[Callable[[Path], None], Callable[[Sequence[str]], None], dict[str, tuple[str, str]], int]] = {
    # tree, script, a word of the caption and the licence of each clip, how many entries are refused
    "esc50": (
        esc50_tree, esc50.main, {"1-100032-A-0": ("dog", "CC-BY-3.0"), "1-9-A-3": ("vacuum cleaner", "CC-BY-NC-3.0")}, 1,
    ),
    "clotho": (
        clotho_tree, clotho.main,
        {f"development-a b-{i}": (w, "CC-BY-3.0") for i, w in enumerate(("falls", "Heavy", "pours", "Drops", "rains"), 1)}, 1,
    ),
    "fsd50k": (
        fsd50k_tree, fsd50k.main,
        {"dev-64760": ("bark and dog", "CC0-1.0"), "dev-16399": ("electric guitar and guitar", "CC-BY-NC-3.0")}, 1,
    ),
    "audiocaps": (
        audiocaps_tree, audiocaps.main,
        {"train-1": ("A dog barks", "unstated"), "train-2": ("Rain", "unstated"), "test-9": ("is barking", "unstated")}, 1,
    ),
    "musiccaps": (musiccaps_tree, musiccaps.main, {"q1": ("waltz", "unstated"), "q2": ("Drums", "unstated")}, 1),
    "sound_folder": (
        folder_tree, sound_folder.main, {"Animals-DogBark_02": ("dog bark", "CC0-1.0"), "Bells-01": ("bells", "CC0-1.0")}, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CORPORA)
def test_the_published_layout_becomes_captioned_clips(name: str, tmp_path: Path) -> None:
    tree, main, wanted, refused = CORPORA[name]
    tree(tmp_path / "raw")
    more = ["--licence", "CC0-1.0"] if name == "sound_folder" else []
    main([str(tmp_path / "raw"), str(tmp_path / "out"), *more])
    cuts = {c.id: c.supervisions[0] for c in load_cuts(str(tmp_path / "out/cuts.jsonl.gz"))}
    assert set(cuts) == set(wanted)
    for key, (word, licence) in wanted.items():
        assert word in (cuts[key].text or "") and cuts[key].custom is not None and cuts[key].custom["licence"] == licence
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["found"] - report["kept"] == refused
    with pytest.raises(FmAudioError, match="give the|no clips of|names say"):
        main([str(tmp_path / "out"), str(tmp_path / "again")])


def test_only_allowed_licences_go_in(tmp_path: Path) -> None:
    fsd50k_tree(tmp_path / "raw")
    fsd50k.main([str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-licence", "CC0-*", "--allow-licence", "CC-BY-[0-9]*"])
    assert [c.id for c in load_cuts(str(tmp_path / "out/cuts.jsonl.gz"))] == ["dev-64760"]
    assert "licence CC-BY-NC-3.0 not allowed" in (tmp_path / "out/report.json").read_text()


def test_parts_are_chosen_by_name(tmp_path: Path) -> None:
    audiocaps_tree(tmp_path / "raw")
    audiocaps.main([str(tmp_path / "raw"), str(tmp_path / "out"), "--select", "part=test"])
    assert [c.id for c in load_cuts(str(tmp_path / "out/cuts.jsonl.gz"))] == ["test-9"]


def test_words_for_sounds() -> None:
    assert words_of("Effects/DoorCreak_02.wav") == "door creak" and words_of("a_cat-03") == "a cat" and words_of("2024-01") == ""
    assert words_of("FMRadio") == "fm radio"
    assert listed(["rain"]) == "rain" and listed(["rain", "wind", "a dog"]) == "rain, wind and a dog"
    ways = {said("rain", str(i)) for i in range(40)}
    assert len(ways) == 4 and said("rain", "7") == said("rain", "7") and said("rain", "7", plain=True) == "rain"
    assert [licence_named(x) for x in (ZERO, BY, NC, "", "Apache-2.0")] == [
        "CC0-1.0", "CC-BY-3.0", "CC-BY-NC-3.0", "unstated", "Apache-2.0",
    ]  # fmt: skip
    assert licence_named("http://creativecommons.org/licenses/sampling+/1.0/") == "CC-Sampling-Plus-1.0"
