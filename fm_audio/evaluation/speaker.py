"""Who speaks: a vector from a recording, alike for recordings of one person, by an encoder that somebody trained for it.

    similarity = cosine of two vectors;  against several references, the mean over them

Resemblyzer brings its weights in the package (GE2E, Wan et al. 2017, https://arxiv.org/abs/1710.10467): pairs of clips of one
speaker lie at about 0.87, of two at 0.52; the threshold between them is 0.76. `transformers` knows x-vector heads of WavLM,
wav2vec 2.0 and others (Snyder et al. 2018) by the name or the folder of their weights.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fm_audio.audio import Audio, load_audio, resample
from fm_audio.extras import EVAL_COMMAND, SIMILARITY_COMMAND, require
from fm_audio.types import FmAudioError

SAME_SPEAKER = 0.76
RESEMBLYZER, TRANSFORMERS_PREFIX = "resemblyzer", "transformers:"
READ_AT_HZ = 16_000


@runtime_checkable
class SpeakerEncoder(Protocol):
    """`embed(audio)` -> a vector of length one that is alike for recordings of one speaker."""

    def embed(self, audio: Audio) -> np.ndarray: ...


class SpeakerJudge:
    """Loads the encoder that comes inside the package, on the CPU."""

    settings: dict[str, Any] = {"name": RESEMBLYZER}

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


class TransformersSpeaker:
    """An x-vector model of transformers, by its name on the hub or its folder (safetensors), on the CPU."""

    def __init__(self, name: str) -> None:
        transformers = require("transformers", f"the speaker encoder {TRANSFORMERS_PREFIX}{name}", EVAL_COMMAND)
        try:
            self._features = transformers.AutoFeatureExtractor.from_pretrained(name)
            self._model = transformers.AutoModelForAudioXVector.from_pretrained(name, use_safetensors=True).eval()
        except (OSError, ValueError, KeyError) as e:
            raise FmAudioError(
                f"speaker encoder {TRANSFORMERS_PREFIX}{name}: transformers cannot load it as an x-vector model "
                f"({str(e).splitlines()[0]}); give the name of one (microsoft/wavlm-base-plus-sv) or its folder"
            ) from e
        self.settings = {"name": f"{TRANSFORMERS_PREFIX}{Path(name).name}"}

    def embed(self, audio: Audio) -> np.ndarray:
        """Audio -> a vector of length one, or zeros (alike to nobody) for silence."""
        import torch

        rate = self._features.sampling_rate
        if not len(audio.samples) or not np.abs(audio.samples).max() > 0:
            return np.zeros(self._model.config.xvector_output_dim, dtype=np.float32)
        heard = self._features(resample(audio.samples, audio.sample_rate, rate), sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            vector = self._model(**heard).embeddings[0].numpy()
        return vector / max(float(np.linalg.norm(vector)), 1e-12)


def load_speaker_encoder(name: str = RESEMBLYZER) -> SpeakerEncoder:
    """`resemblyzer`, or `transformers:NAME`. Raises FmAudioError naming what to install when the encoder is not there."""
    if name.startswith(TRANSFORMERS_PREFIX):
        return TransformersSpeaker(name.removeprefix(TRANSFORMERS_PREFIX))
    if name == RESEMBLYZER:
        return SpeakerJudge()
    raise FmAudioError(f"speaker encoder {name!r}: unknown; use {RESEMBLYZER} or {TRANSFORMERS_PREFIX}NAME")


def speaker_vector(recording: Audio | str | os.PathLike[str], encoder: SpeakerEncoder | str = RESEMBLYZER) -> np.ndarray:
    """A recording, or the file of one -> who speaks, as a vector of length one ((256,) by Resemblyzer).

    Raises FmAudioError when no speech is found, and when the encoder is not installed.
    """
    encoder = load_speaker_encoder(encoder) if isinstance(encoder, str) else encoder
    audio = recording if isinstance(recording, Audio) else load_audio(recording, READ_AT_HZ)
    return require_speech(encoder.embed(audio), "the recording" if isinstance(recording, Audio) else str(recording))


def require_speech(vector: np.ndarray, what: str) -> np.ndarray:
    """The vector, if it is somebody's."""
    if not vector.any():
        raise FmAudioError(f"{what}: no speech was found in it; give a recording in which somebody speaks")
    return vector


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
