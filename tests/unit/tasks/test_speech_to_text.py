"""Speech to text: a small task of tones is learnt whole, long recordings are cut where it is quiet, and silence is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from fm_audio.audio import Audio, AudioSpec, frame_levels_db
from fm_audio.backbones.dit import DiT
from fm_audio.checkpoint import save_model
from fm_audio.cli import main
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.vocabulary import Letters
from fm_audio.encoders.speech import SpeechEncoder
from fm_audio.evaluation import transcripts
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.text_requests import TextDecoding
from fm_audio.tasks.transcription import TranscriptRequest, pieces_of
from fm_audio.types import FmAudioError

RATE = 8_000
SPEC = AudioSpec(sample_rate=RATE, n_fft=256, hop_samples=128, window_samples=256, bands=20)
HZ = {"a": 300.0, "b": 900.0, "c": 2000.0}
WORDS = ["a", "b", "c", "ab", "ba", "ca", "cab", "abc", "bca", "cc", "abba", "bacc"]
ARGUMENTS: dict[str, Any] = {
    "channels": 16, "speech_width": 32, "speech_layers": 1, "speech_heads": 2, "frames_per_token": 2, "dropout": 0.0, "pads": 1,
}  # fmt: skip


def sound(word: str, seconds: float = 0.12) -> Audio:
    """A tone for each letter, quiet before and after it."""
    t = np.arange(round(seconds * RATE)) / RATE
    gap = np.zeros(round(0.03 * RATE))
    tones = [np.concatenate([gap, 0.3 * np.sin(2 * np.pi * HZ[c] * t), gap]) for c in word]
    return Audio(np.concatenate(tones).astype(np.float32), RATE)


def make() -> SpeechToText:
    torch.manual_seed(0)
    backbone = DiT(32, 1, 2, tokens_width=32, feedforward=2.0, position_kernel=0)
    return SpeechToText(SPEC, Spelled(Letters("abc", longest=6)), backbone, **ARGUMENTS)


def batch(words: list[str], model: SpeechToText) -> SpeechBatch:
    mels = [SPEC.log_mel(torch.from_numpy(sound(w).samples)[None])[0] for w in words]
    ids = [torch.tensor(model.frontend.target.encode(w)) for w in words]
    pad = nn.utils.rnn.pad_sequence
    symbols, mask = pad(ids, batch_first=True), pad([torch.ones(len(m), dtype=torch.bool) for m in mels], batch_first=True)
    none = torch.zeros(len(words), dtype=torch.bool)
    mel = pad(mels, batch_first=True, padding_value=SPEC.floor)
    return SpeechBatch(words, words, words, symbols, symbols > 0, mel, mask, torch.zeros_like(symbols), none)


@cache
def learnt() -> SpeechToText:
    """A plain loop over all words."""
    model = make()
    optimizer, g = torch.optim.AdamW(model.parameters(), 4e-3, betas=(0.9, 0.98)), torch.Generator().manual_seed(0)
    everything = batch(WORDS, model)
    steps = 160
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min(1.0, (k + 1) / 20, 2 * (1 - k / steps))
        loss = model.loss(everything, g)["loss"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def test_it_learns_to_write_down_tones() -> None:
    heard = learnt().generate([TranscriptRequest(sound(w)) for w in WORDS])
    assert [t.text for t in heard] == WORDS
    assert all(t.forwards > 0 and len(t.passages) == 1 and t.passages[0].log_probability > -0.5 for t in heard)


@cache
def learnt_in_place() -> SpeechToText:
    torch.manual_seed(0)
    net = DiT(32, 1, 2, feedforward=2.0, position_kernel=0)
    model = SpeechToText(SPEC, Spelled(Letters("abc", longest=6)), net, **ARGUMENTS, ctc=0.5)
    optimizer, everything = torch.optim.AdamW(model.parameters(), 5e-3), batch(WORDS, model)
    draw = torch.Generator().manual_seed(0)
    for _ in range(120):
        optimizer.zero_grad()
        model.loss(everything, draw)["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def test_a_letter_or_none_is_written_for_each_state() -> None:
    model = learnt_in_place()
    requests = [TranscriptRequest(sound(w)) for w in WORDS]
    assert [t.text for t in model.generate(requests)] == WORDS, "doubled letters too"
    assert [t.text for t in model.greedy(requests)] == WORDS
    assert [t.text for t in model.generate(requests, Sampling(steps=8, temperature=1.0), TextDecoding(samples=3))] == WORDS
    few = batch(["a", "bacc"], model)
    losses = model.loss(few, torch.Generator().manual_seed(0))
    assert float(losses["loss"].detach()) == pytest.approx(float((losses["flow"] + 0.5 * losses["ctc"]).detach()), rel=1e-5)
    sixty, mask = torch.full((2, 60), 2), torch.tensor([[True] * 60, [True] * 4 + [False] * 56])
    more = replace(few, symbols=sixty, symbols_mask=mask, durations_frames=torch.zeros_like(sixty))
    assert model.loss(more, torch.Generator().manual_seed(0))["loss"].isfinite()
    _, possible = model.writer.spelling.held(model.encoder(more.mel, more.mask), more.symbols, more.symbols_mask)  # type: ignore[union-attr]
    assert possible.tolist() == [False, True], "sixty letters have no room in so few states, and teach nothing"


def test_what_in_place_refuses() -> None:
    model, request = learnt_in_place(), TranscriptRequest(sound("ab"))
    for decoding in (TextDecoding("end"), TextDecoding(candidates=2)):
        with pytest.raises(FmAudioError, match="writes in place and chooses no length"):
            model.generate([request], decoding=decoding)
    with pytest.raises(FmAudioError, match="not trained without its source"):
        model.generate([request], model.default_sampling().changed(guidance=2.0))
    with pytest.raises(FmAudioError, match="samples at temperature 0 are all the same"):
        model.generate([request], decoding=TextDecoding(samples=2))
    with pytest.raises(FmAudioError, match="trained without ctc"):
        learnt().greedy([request])
    with pytest.raises(FmAudioError, match="ctc is -1"):
        SpeechToText(SPEC, model.frontend, DiT(32, 1, 2), **ARGUMENTS, ctc=-1)


def test_loudness_does_not_matter() -> None:
    quiet = [Audio(0.2 * sound(w).samples, RATE) for w in WORDS]
    same = [t.text == w for t, w in zip(learnt().generate([TranscriptRequest(a) for a in quiet]), WORDS, strict=True)]
    assert np.mean(same) > 0.8
    encoder = SpeechEncoder(4, 8, 1, 2).eval()
    mel, mask = torch.randn(1, 9, 4), torch.ones(1, 9, dtype=torch.bool)
    torch.testing.assert_close(encoder(mel, mask).tokens, encoder(mel + 3.0, mask).tokens, atol=1e-5, rtol=1e-4)


def test_a_token_stands_for_so_many_frames_begun() -> None:
    encoder = SpeechEncoder(4, 8, 1, 2, frames_per_token=4)
    mask = torch.arange(9)[None] < torch.tensor([[9], [4], [1]])
    cond = encoder(torch.randn(3, 9, 4), mask)
    assert cond.tokens_mask is not None and cond.tokens_mask.sum(1).tolist() == [3, 1, 1]
    with pytest.raises(FmAudioError, match="frames_per_token is 0"):
        SpeechEncoder(4, frames_per_token=0)


def test_long_recordings_are_cut_where_it_is_quiet() -> None:
    said = np.concatenate([np.concatenate([sound("abc", 0.5).samples, np.zeros(RATE // 2, np.float32)]) for _ in range(6)])
    pieces = pieces_of(Audio(said, RATE), longest_seconds=4.0)
    assert np.array_equal(np.concatenate([p.samples for _, p in pieces]), said)
    assert all(p.seconds <= 4.0 for _, p in pieces) and len(pieces) > 2
    for start, _ in pieces[1:]:
        at = round(start * RATE)
        assert np.abs(said[at - 40 : at + 40]).max() < 1e-6
    heard = learnt().generate([TranscriptRequest(Audio(np.tile(said, 2), RATE))])[0]
    assert len(heard.passages) > 1 and heard.passages[0].start_seconds == 0
    assert [p.start_seconds for p in heard.passages[1:]] == [p.end_seconds for p in heard.passages[:-1]]
    assert heard.text.split() == " ".join(p.text for p in heard.passages).split()


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros(RATE), "silent"),
        (np.zeros(0), "empty"),
        (np.full(RATE, np.nan), "broken"),
        (0.1 * np.random.default_rng(0).standard_normal(RATE), "no speech was found"),
        (0.1 * np.sin(np.arange(RATE)), "no speech was found"),
    ],
    ids=["silent", "empty", "broken", "noise", "hum"],
)
def test_recordings_without_speech_are_refused(samples: np.ndarray, says: str) -> None:
    with pytest.raises(FmAudioError, match=says):
        learnt().generate([TranscriptRequest(sound("ab")), TranscriptRequest(Audio(samples.astype(np.float32), RATE))])


def test_levels_are_in_decibels() -> None:
    levels = frame_levels_db(Audio(np.concatenate([np.ones(160), 0.1 * np.ones(160)]).astype(np.float32), RATE), 0.02)
    np.testing.assert_allclose(levels, [0.0, -20.0], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "transcript"),
    [("Dr. Smith paid $4.50!", "doctor smith paid four dollars fifty cents"), ("It's two; or -- three?", "it's two or three")],
)
def test_transcripts_are_words_as_they_are_said(text: str, transcript: str) -> None:
    spelled = Spelled(Letters("abcdefghijklmnopqrstuvwxyz' ", longest=80))
    found = spelled.transcript(text)
    assert "," not in found and "$" not in found and found == found.lower()
    assert found.split()[:2] == transcript.split()[:2]
    assert spelled.target.decode(spelled.encode(text).ids) == found
    with pytest.raises(FmAudioError, match="no words|nothing"):
        spelled.encode("… !")
    assert Spelled(Letters("äbc ", longest=9), english=False).transcript("Äb, c.") == "äb c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The learnt model as `fm-audio export` writes it, and recordings beside it."""
    root = tmp_path_factory.mktemp("listening")
    letters = {"class_path": "fm_audio.data.text.vocabulary.Letters", "init_args": {"alphabet": "abc", "longest": 6}}
    net = {"width": 32, "layers": 1, "heads": 2, "tokens_width": 32, "feedforward": 2.0, "position_kernel": 0}
    arguments = {
        "spec": SPEC.contract(),
        "frontend": {"class_path": "fm_audio.data.text.spelled.Spelled", "init_args": {"target": letters}},
        "backbone": {"class_path": "fm_audio.backbones.dit.DiT", "init_args": net},
        **ARGUMENTS,
    }
    node = {"class_path": "fm_audio.tasks.speech_to_text.SpeechToText", "init_args": arguments}
    save_model(root / "model", node, learnt().state_dict(), extra={"kind": "speech_to_text"}, half=False)
    lines = []
    for word in ("abc", "cab"):
        soundfile.write(root / f"{word}.wav", sound(word).samples, RATE)
        lines.append(json.dumps({"audio": f"{word}.wav", "text": word, "speaker": "tones"}))
    (root / "manifest.jsonl").write_text("\n".join(lines))
    return root


def test_the_command_writes_a_line_for_each_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(folder / "abc.wav"), str(folder / "cab.wav")]
    assert main(["transcribe", *files, "--model", str(folder / "model")]) == 0
    assert capsys.readouterr().out.splitlines() == ["abc", "cab"]
    assert main(["transcribe", files[0], "--model", str(folder / "model"), "--steps", "2", "--json"]) == 0
    [report] = json.loads(capsys.readouterr().out)
    assert report["text"] == "abc" and report["file"] == files[0] and report["passages"][0]["start_seconds"] == 0


def test_bad_input_is_one_line(folder: Path, tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    for arguments, says in (
        ([str(tmp_path / "silent.wav"), "--model", str(folder / "model")], "silent"),
        ([str(tmp_path / "none.wav"), "--model", str(folder / "model")], "none.wav"),
        ([str(folder / "abc.wav"), "--model", str(tiny_voice)], "does not listen"),
    ):
        assert main(["transcribe", *arguments]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert says in line


def test_how_few_forwards_are_enough_is_measured_and_used(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    model = tmp_path / "model"
    shutil.copytree(folder / "model", model)
    asked = ["frontier", str(model), "--data", str(folder / "manifest.jsonl"), "--solver", "euler", "--grid", "uniform"]
    assert main([*asked, "--steps", "1", "4", "--temperature", "20", "--threads", "1"]) == 0
    points = json.loads((model / "frontier.json").read_text())["points"]
    assert {p["forwards"] for p in points} == {1, 4}
    capsys.readouterr()
    assert main(["transcribe", str(folder / "abc.wav"), "--model", str(model), "--preset", "fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["passages"][0]["text"] is not None
    assert main([*asked[:3], "none.jsonl"]) == 2 and "none.jsonl" in capsys.readouterr().err


def test_error_rates_are_measured_by_steps(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jiwer")
    out = tmp_path / "rows.json"
    arguments = [str(folder / "model"), str(folder / "manifest.jsonl"), "--steps", "2", "4", "--json", str(out)]
    assert transcripts.main(arguments) == 0
    rows = json.loads(out.read_text())
    assert [row["steps"] for row in rows] == [1, 2, 4] and rows[-1]["characters"]["value"] == 0
    assert rows[0]["forwards"] == 1 and "character error" in capsys.readouterr().out
    (tmp_path / "bare.jsonl").write_text(json.dumps({"audio": str(folder / "abc.wav")}))
    assert transcripts.main([str(folder / "model"), str(tmp_path / "bare.jsonl")]) == 2
