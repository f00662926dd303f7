"""A copy is like its speaker, something deaf to its reference is not, and the command tells which of the two a cloner is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fm_audio import cli
from fm_audio.audio import Audio
from fm_audio.checkpoint import instantiate, save_model
from fm_audio.commands import evaluate as evaluation
from fm_audio.evaluation.cloning import likeness, speakers
from fm_audio.evaluation.few_steps import rows_of
from fm_audio.evaluation.metrics import Interval, grouped_interval
from fm_audio.types import FmAudioError
from tests.conftest import TINY_SPEC, TINY_VOCODER

NONE_WRONG = Interval(0.0, 0.0, 0.0)
HZ = {"anna": 300.0, "bert": 900.0, "carl": 2000.0}


class Pitch:
    """Tells speakers by the loudest frequency."""

    def embed(self, audio: Audio) -> np.ndarray:
        spectrum = np.abs(np.fft.rfft(audio.samples))
        bands = np.array([part.sum() for part in np.array_split(spectrum[: len(spectrum) // 3], 16)])
        return (bands / np.linalg.norm(bands)).astype(np.float32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three speakers with three recordings of 1 to 3 s each."""
    folder, rows = tmp_path_factory.mktemp("references"), []
    for name, hz in HZ.items():
        for i in range(3):
            time = np.arange(24_000 * (1 + i)) / 24_000
            soundfile.write(folder / f"{name}{i}.wav", 0.3 * np.sin(2 * np.pi * hz * time), 24_000)
            rows.append({"audio": f"{name}{i}.wav", "text": "one two three", "speaker": name})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def cloner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cloner")
    node = {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": TINY_SPEC,
            "frontend": {"class_path": "fm_audio.data.text.arpabet.Arpabet"},
            "backbone": {
                "class_path": "fm_audio.backbones.dit.DiT",
                "init_args": {"width": 16, "layers": 1, "heads": 2, "vector_width": 8, "position_kernel": 0},
            },
            "fill": "aligned", "text_width": 16, "text_layers": 1, "text_heads": 2, "voice_width": 8, "learned_length": True,
        },
    }  # fmt: skip
    vocoder = {"vocoder": TINY_VOCODER, "kind": "infill_tts", "sampling": {"steps": 1}}
    return save_model(root / "tiny", node, instantiate(node).state_dict(), vocoder)


def test_the_recording_of_the_best_length_is_imitated_and_others_are_compared_with(manifest: Path) -> None:
    found = speakers([manifest], ["b*", "carl"], 1)
    assert [who.name for who in found] == ["bert", "carl"]
    assert found[0].reference.name == "bert2.wav" and [p.name for p in found[0].compared] == ["bert0.wav"]
    with pytest.raises(FmAudioError, match="'dora'.*they have anna, bert, carl"):
        speakers([manifest], ["dora"], 1)


def test_a_copy_is_like_its_speaker_and_the_deaf_are_not() -> None:
    rng = np.random.default_rng(0)

    def near(place: np.ndarray) -> np.ndarray:
        v = place + 0.3 * rng.normal(size=8)
        return v / np.linalg.norm(v)

    places = dict(zip("abcd", np.eye(8), strict=False))
    voices = {name: np.stack([near(p) for _ in range(4)]) for name, p in places.items()}
    copied = likeness("copies", NONE_WRONG, {n: [near(p) for _ in range(6)] for n, p in places.items()}, voices)
    deaf = likeness("deaf", NONE_WRONG, {n: [near(np.ones(8)) for _ in range(6)] for n in places}, voices)
    assert copied.above.low > 0.3 and copied.nearest.value == 1 and copied.speakers == 4
    assert deaf.above.low < 0 < deaf.above.high and abs(deaf.above.value) < 0.1
    assert copied.moved is not None and copied.moved.low > 0.3 and deaf.moved is not None and abs(deaf.moved.value) < 0.1
    far = {n: v + 2 for n, v in voices.items()}  # all of them elsewhere, and still followed
    assert likeness("far", NONE_WRONG, {n: [near(places[n])] for n in places}, far, ["a"]).moved.value > 0.3  # type: ignore[union-attr]
    assert copied.recorded == pytest.approx(copied.own.value, abs=0.15)
    with pytest.raises(FmAudioError, match="--among"):
        likeness("alone", NONE_WRONG, {"a": [near(places["a"])]}, {"a": voices["a"]})


def test_values_of_one_group_are_no_news_of_others() -> None:
    groups = [[x] * 50 for x in (0.1, 0.5, 0.9)]
    together = grouped_interval(groups)
    assert together.value == pytest.approx(0.5) and together.low < 0.25 and together.high > 0.75
    assert grouped_interval([[0.5, 0.5], [0.5]]).low == grouped_interval([[0.5, 0.5], [0.5]]).high == 0.5


def test_the_command_judges_a_cloner(
    cloner: Path, manifest: Path, tiny_recogniser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(evaluation, "SpeakerJudge", Pitch)
    asked = ["eval", "--clone", str(cloner), "--references", str(manifest), "--imitate", "anna", "--imitate", "bert"]
    asked += ["--among", "*", "--limit", "2", "--judge", f"transformers:{tiny_recogniser}", "--threads", "1", "--json"]
    assert cli.main([*asked, "--out", str(tmp_path / "out"), "--length", "learned"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [s["label"] for s in report["settings"]] == ["anna", "bert"] and report["source"]["length"] == "learned"
    assert len({s["forwards"] for s in report["settings"]}) == 1 and report["settings"][0]["forwards"] > 0
    assert [len(row.told) for row in rows_of("tiny", tmp_path / "out/results.json")] == [2], "both speakers in one row"
    found, *each = report["likeness"]
    assert [x["label"].split(", ")[-1] for x in each] == ["anna", "bert"]
    assert np.mean([x["own"]["value"] for x in each]) == pytest.approx(found["own"]["value"])
    assert found["speakers"] == 3 and found["recorded"] > 0.9 and -1 <= found["above"]["low"] <= found["above"]["high"] <= 1
    own = [s["similarity"]["value"] for s in report["settings"]]
    assert found["own"]["value"] == pytest.approx(np.mean(own), abs=1e-5)
    words = [s["words"] for setting in report["settings"] for s in setting["sentences"]]
    wrong = sum(w["substitutions"] + w["deletions"] + w["insertions"] for w in words) / sum(w["units"] for w in words)
    assert found["word_error_rate"]["value"] == pytest.approx(wrong)
    assert (tmp_path / "out/wavs/bert/001.wav").is_file()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--clone", "x"], "give --references"),
        (["--references", "{manifest}"], "belong to --clone"),
        (["--clone", "x", "--references", "{manifest}", "--similarity", "self"], "leave --similarity"),
        (["--clone", "{cloner}", "--references", "{manifest}", "--imitate", "anna"], "nobody to tell them from"),
        (["--clone", "{cloner}", "--references", "{manifest}", "--imitate", "dora"], "'dora'"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(
    more: list[str], says: str, cloner: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", *(a.format(cloner=cloner, manifest=manifest) for a in more)]) == 2
    printed = capsys.readouterr().err
    assert says in printed and printed.count("\n") == 1
