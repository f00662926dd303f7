"""The cloner that ships says what it is asked to, and sounds more like whom it heard than like another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import fm_audio
from fm_audio.audio import Audio, load_audio, resample
from fm_audio.cli import main
from fm_audio.types import FmAudioError
from fm_audio.voices.cloner import SHIPPED_CLONER, load_cloner

SAID = "For the twentieth time that evening the two men shook hands."
RECORDING = Path(__file__).parents[1] / "data/kathleen/000.opus"
TEXT = "The wide road shimmered in the hot sun."


def test_a_stranger_needs_no_model_of_their_own(tmp_path: Path) -> None:
    arguments = ["clone", TEXT, "--reference", str(RECORDING), "--reference-text", SAID, "--steps", "2", "-o"]
    assert main([*arguments, str(tmp_path / "a.wav")]) == 0
    assert main([*arguments, str(tmp_path / "b.wav"), "--model", SHIPPED_CLONER]) == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert 1.5 < load_audio(tmp_path / "a.wav", 24_000).seconds < 5


@pytest.fixture(scope="module")
def cloned() -> Audio:
    return load_cloner().say(TEXT, load_audio(RECORDING, 24_000), SAID)


@pytest.mark.slow
def test_it_says_the_words(cloned: Audio) -> None:
    from fm_audio.evaluation.metrics import score_sentence
    from fm_audio.evaluation.recognisers import load_recogniser

    heard = load_recogniser("whisper-tiny.en").transcribe(cloned)
    assert score_sentence(TEXT, heard).words.total <= 2, heard


def test_a_reference_without_upper_bands_is_seen_with_them() -> None:
    cloner, reference = load_cloner(), load_audio(RECORDING, 24_000)
    narrow = resample(resample(reference.samples, 24_000, 16_000), 16_000, 24_000)
    seen, whole = cloner.seen(narrow), cloner.seen(reference.samples)
    bare = cloner.spec.log_mel(torch.from_numpy(narrow)[None])[0]
    assert (seen - whole)[:, 86:].abs().mean() < 0.3 * (bare - whole)[:, 86:].abs().mean()
    assert torch.equal(whole, cloner.spec.log_mel(torch.from_numpy(reference.samples)[None])[0])


@pytest.mark.slow
def test_each_clone_is_more_like_its_own_reference_than_like_the_other() -> None:
    from fm_audio.evaluation.speaker import SpeakerJudge

    judge, cloner, voice = SpeakerJudge(), load_cloner(), fm_audio.load()
    references = [voice.say(SAID, voice=name) for name in ("heart", "michael")]
    spoken = [judge.embed(a) for a in references]
    clones = [judge.embed(cloner.say(TEXT, r, SAID)) for r in references]
    likeness = np.array(clones) @ np.array(spoken).T
    assert (likeness.diagonal() > likeness[:, ::-1].diagonal() + 0.05).all(), likeness


def test_a_model_that_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(FmAudioError, match="nowhere: .* give english_cloner or"):
        load_cloner("nowhere")
