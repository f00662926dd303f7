"""A model folder gives back what went in, appears whole or not at all, and refuses what it cannot trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import instantiate, load_lightning_weights, load_model, read_config, save_model
from fm_audio.types import FmAudioError

SPEC = {"class_path": "fm_audio.audio.AudioSpec", "init_args": {"bands": 80}}


def test_a_node_becomes_an_object() -> None:
    assert instantiate(SPEC) == AudioSpec(bands=80)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"class_path": "os.system", "init_args": {}}, "outside fm_audio"),
        ({"class_path": "fm_audio_evil.Thing"}, "outside fm_audio"),
        ({"class_path": "fm_audio.checkpoint.Path", "init_args": {}}, "no class Path"),
        ({"class_path": "fm_audio.audio.os", "init_args": {}}, "no class os"),
        ({"class_path": "fm_audio.audio.AudioSpek"}, "did you mean AudioSpec"),
        ({"class_path": "fm_audio.nowhere.Thing"}, "no module fm_audio.nowhere"),
        ({"class_path": "fm_audio.audio.AudioSpec", "init_args": {"bnds": 80}}, "did you mean bands"),
        ({"class_path": "fm_audio.audio.Audio", "init_args": {"sample_rate": 1}}, "needs samples"),
        ({"class_path": "fm_audio.audio.AudioSpec", "args": {}}, "unknown keys"),
        ({"init_args": {}}, "needs a class_path"),
    ],
)
def test_what_a_file_may_not_name(node: dict, words: str) -> None:
    with pytest.raises(FmAudioError, match=words):
        instantiate(node)
