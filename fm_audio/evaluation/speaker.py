"""Judge of identity: how alike two recordings' speakers sound, by Resemblyzer's GE2E embedding.

    similarity = cosine of two embeddings;  against several references, the mean over them

Embedding: Wan et al. 2017, https://arxiv.org/abs/1710.10467. Pairs of clips of one speaker lie at about 0.87, of two at 0.52; the
threshold between them is 0.76.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fm_audio.audio import Audio
from fm_audio.evaluation.extras import SIMILARITY_COMMAND, require
from fm_audio.types import FmAudioError

SAME_SPEAKER = 0.76


@runtime_checkable
class SpeakerEncoder(Protocol):
    """`embed(audio)` -> a vector of length one that is alike for recordings of one speaker."""

    def embed(self, audio: Audio) -> np.ndarray: ...


class SpeakerJudge:
    """Loads the encoder that comes inside the package, on the CPU."""

    settings: dict[str, Any] = {"name": "resemblyzer"}

    def __init__(self) -> None:
        self._package = require("resemblyzer", "speaker similarity", SIMILARITY_COMMAND)
        self._encoder = self._package.VoiceEncoder(device="cpu", verbose=False)

    def embed(self, audio: Audio) -> np.ndarray:
        """Audio -> (256,) of length one, or zeros (alike to nobody) when the voice detector finds no speech."""
        if not len(audio.samples) or not np.abs(audio.samples).max() > 0:
            return np.zeros(256, dtype=np.float32)
        voiced = self._package.preprocess_wav(audio.samples, source_sr=audio.sample_rate)
        if not len(voiced):
            return np.zeros(256, dtype=np.float32)
        return self._encoder.embed_utterance(voiced)


def installed_judge() -> SpeakerJudge | None:
    """The judge where Resemblyzer is installed; None, after a line on stderr that says how to get it, where it is not."""
    try:
        return SpeakerJudge()
    except FmAudioError as e:
        print(f"fm-audio: the speaker is not checked: {e}", file=sys.stderr)
        return None


def similarities(clips: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> list[float]:
    """Mean cosine of each clip's embedding (256,) to the references', both of length one."""
    if not references:
        raise FmAudioError("similarity: no reference recording; give a file, or a folder or manifest with some")
    return (np.stack(clips) @ np.stack(references).T).mean(1).tolist()


def mutual_similarities(clips: Sequence[np.ndarray]) -> list[float]:
    """Mean cosine of each embedding to all the others but itself."""
    if len(clips) < 2:
        raise FmAudioError("similarity of recordings with each other: needs two or more")
    table = np.stack(clips) @ np.stack(clips).T
    return ((table.sum(1) - table.diagonal()) / (len(clips) - 1)).tolist()
