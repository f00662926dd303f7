"""Judges of intelligibility: speech recognisers that write down what they hear.

Settings never vary with the audio: beam 5, temperature 0 (no fallback), no conditioning on earlier text, the language fixed.
Whisper: Radford et al. 2022, https://arxiv.org/abs/2212.04356, run by faster-whisper (CTranslate2) or by transformers.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fm_audio.audio import Audio, resample
from fm_audio.extras import EVAL_COMMAND, WHISPER_COMMAND, require
from fm_audio.hub import no_progress_bars
from fm_audio.types import FmAudioError
from fm_audio.whispers import PACKAGED

SAMPLE_RATE = 16_000
BEAM = 5
TRANSFORMERS_PREFIX = "transformers:"
WINDOW_SECONDS = 29.0  # a Whisper sees 30 s at once; the last one is left silent
MEMORY_HZ = 50  # frames of a Whisper's encoder
TOKENS_HZ, SPARE_TOKENS = 15, 20
LONGEST_TOKENS = 224
WEIGHED_TOGETHER = 16
LEAST_PROBABILITY = 1e-9
UNSPOKEN = string.punctuation + string.whitespace + "…–—“”‘’"  # marks are guesses at what was meant: they are not weighed


@runtime_checkable
class Recogniser(Protocol):
    """`transcribe(audio) -> text`, one recording at a time; `settings` says everything that could change the text."""

    settings: dict[str, Any]

    def transcribe(self, audio: Audio) -> str: ...


@dataclass(frozen=True)
class Heard:
    """What was heard and, of recognisers that can say it, log P(text | sound) of any texts, in nats.

    Words are weighed; punctuation and the end of a text are not.
    """

    text: str
    log_likelihoods: Callable[[Sequence[str]], list[float]] | None = None


@runtime_checkable
class Listener(Protocol):
    """A recogniser that can weigh other texts against the one it heard."""

    def listen(self, audio: Audio) -> Heard: ...


def listen(recogniser: Recogniser, audio: Audio) -> Heard:
    """The transcript and, where the recogniser can, the way to weigh other texts."""
    return recogniser.listen(audio) if isinstance(recogniser, Listener) else Heard(recogniser.transcribe(audio))


class Whisper:
    """A Whisper model in CTranslate2's layout: a folder with model.bin, config.json, tokenizer.json and the vocabulary.

    Args:
        folder: that folder; `name` is what the protocol calls it.
        language: two letters; an English-only model takes "en" alone.
        threads: CPU threads it may use.
    """

    def __init__(self, folder: Path, name: str, language: str = "en", threads: int = 2, compute_type: str = "float32") -> None:
        faster_whisper = require("faster_whisper", f"the judge {name}", WHISPER_COMMAND)
        if not (folder / "model.bin").is_file():
            raise FmAudioError(f"judge {name}: no model.bin in {folder}; give a folder that ct2-transformers-converter wrote")
        self.model = faster_whisper.WhisperModel(
            str(folder), device="cpu", compute_type=compute_type, cpu_threads=threads, local_files_only=True
        )
        if language != "en" and not self.model.model.is_multilingual:
            raise FmAudioError(f"judge {name} knows English alone, and the language asked for is {language!r}; use whisper-base")
        self.settings = {
            "name": name,
            "language": language,
            "beam": BEAM,
            "temperature": 0.0,
            "condition_on_previous_text": False,
            "compute_type": compute_type,
            "tokens_a_second": TOKENS_HZ,
        }

    def transcribe(self, audio: Audio) -> str:
        segments, _ = self.model.transcribe(
            resample(audio.samples, audio.sample_rate, SAMPLE_RATE),
            language=self.settings["language"],
            beam_size=BEAM,
            temperature=0.0,
            condition_on_previous_text=False,
            max_new_tokens=_most_tokens(audio),
        )
        return " ".join(segment.text.strip() for segment in segments)

    def listen(self, audio: Audio) -> Heard:
        """Encoded once for the transcript and for every text that is weighed (teacher forcing); beyond 29 s, transcribed only."""
        if audio.seconds > WINDOW_SECONDS:
            return Heard(self.transcribe(audio))
        faster_whisper = require("faster_whisper", f"the judge {self.settings['name']}", WHISPER_COMMAND)
        multilingual = self.model.model.is_multilingual
        tokenizer = faster_whisper.tokenizer.Tokenizer(
            self.model.hf_tokenizer, multilingual, task="transcribe", language=self.settings["language"]
        )
        features = self.model.feature_extractor(resample(audio.samples, audio.sample_rate, SAMPLE_RATE))
        memory = self.model.encode(faster_whisper.audio.pad_or_trim(features))
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        [found] = self.model.model.generate(memory, [prompt], beam_size=BEAM, max_length=len(prompt) + _most_tokens(audio))
        text = tokenizer.decode(found.sequences_ids[0]).strip()
        seen = np.asarray(memory)[:, : math.ceil((audio.seconds + 1) * MEMORY_HZ)]

        def log_likelihoods(texts: Sequence[str]) -> list[float]:
            return self._log_likelihoods(seen, tokenizer, texts)

        return Heard(text, log_likelihoods)

    def _log_likelihoods(self, memory: np.ndarray, tokenizer: Any, texts: Sequence[str]) -> list[float]:
        ctranslate2 = require("ctranslate2", f"the judge {self.settings['name']}", WHISPER_COMMAND)
        likelihoods: list[float] = []
        for start in range(0, len(texts), WEIGHED_TOGETHER):
            tokens = [tokenizer.encode(" " + text.strip()) for text in texts[start : start + WEIGHED_TOGETHER]]
            rows = ctranslate2.StorageView.from_array(np.repeat(memory, len(tokens), 0))
            aligned = self.model.model.align(rows, tokenizer.sot_sequence, tokens, 2 * memory.shape[1])
            for row, found in zip(tokens, aligned, strict=True):
                spoken = [any(c not in UNSPOKEN for c in tokenizer.decode([token])) for token in row]
                nats = np.log(np.maximum(found.text_token_probs, LEAST_PROBABILITY))
                likelihoods.append(float(nats[np.array(spoken)].sum()))
        return likelihoods


class TransformersRecogniser:
    """Any speech recogniser that transformers' pipeline can run, by its name on the hub or from a local folder."""

    def __init__(self, name: str, language: str = "en") -> None:
        transformers = require("transformers", f"the judge {TRANSFORMERS_PREFIX}{name}", EVAL_COMMAND)
        try:
            with no_progress_bars(transformers.utils.logging):
                self.pipeline = transformers.pipeline("automatic-speech-recognition", model=name, device="cpu")
        except (OSError, ValueError, KeyError) as e:
            raise FmAudioError(
                f"judge {TRANSFORMERS_PREFIX}{name}: transformers cannot load it as a speech recogniser "
                f"({str(e).splitlines()[0]}); give a model's name on the hub or its folder"
            ) from e
        self.options = _generation(self.pipeline, language)
        self.settings = {"name": f"{TRANSFORMERS_PREFIX}{Path(name).name}", "language": language, **self.options}

    def transcribe(self, audio: Audio) -> str:
        rate = self.pipeline.feature_extractor.sampling_rate
        heard = {"raw": resample(audio.samples, audio.sample_rate, rate), "sampling_rate": rate}
        extra: dict[str, Any] = {"generate_kwargs": dict(self.options)} if self.options else {}
        if self.options and audio.seconds > 30:  # transformers reads longer audio only with timestamps
            extra["return_timestamps"] = True
        return str(self.pipeline(heard, **extra)["text"]).strip()


def _most_tokens(audio: Audio) -> int:
    """Of a window: more than anybody says in it, and few enough that a recogniser which runs in circles ends."""
    return min(LONGEST_TOKENS - SPARE_TOKENS, round(SPARE_TOKENS + TOKENS_HZ * audio.seconds))


def _generation(pipeline: Any, language: str) -> dict[str, Any]:
    """Beam search for models that generate, with the language fixed for multilingual Whispers; CTC models take nothing."""
    if pipeline.type == "ctc":
        return {}
    options: dict[str, Any] = {"num_beams": BEAM, "do_sample": False}
    if getattr(pipeline.model.generation_config, "is_multilingual", False):
        options |= {"language": language, "task": "transcribe"}
    return options


def load_recogniser(judge: str, language: str = "en", threads: int = 2) -> Recogniser:
    """`whisper-base`, `whisper-tiny.en`, `transformers:NAME`, or a folder with a CTranslate2 Whisper.

    Raises FmAudioError naming what to install when the judge is not there.
    """
    if judge.startswith(TRANSFORMERS_PREFIX):
        return TransformersRecogniser(judge.removeprefix(TRANSFORMERS_PREFIX), language)
    if judge in PACKAGED:
        return Whisper(PACKAGED[judge](), judge, language, threads)
    if Path(judge).is_dir():
        return Whisper(Path(judge), Path(judge).resolve().name, language, threads)
    allowed = ", ".join([*PACKAGED, f"{TRANSFORMERS_PREFIX}NAME"])
    raise FmAudioError(f"judge {judge!r}: unknown; use {allowed}, or a folder with a CTranslate2 Whisper")


def load_judges(judges: str, language: str = "en", threads: int = 2) -> tuple[Recogniser, Recogniser | None]:
    """`FIRST,SECOND`, of which the second is asked where the first leaves doubts, or one judge alone.

    Raises FmAudioError as `load_recogniser`, and for two of which one only writes: a doubt is a matter of weighing texts.
    """
    names = [name.strip() for name in judges.split(",")]
    if len(names) > 2 or not all(names):
        raise FmAudioError(f"judge {judges!r}: give one, or two with a comma between them, such as whisper-tiny.en,whisper-base")
    first, *others = [load_recogniser(name, language, threads) for name in names]
    if others and not (isinstance(first, Listener) and isinstance(others[0], Listener)):
        raise FmAudioError(f"judge {judges!r}: of two both must weigh texts, which a CTranslate2 Whisper does; give one judge")
    return first, others[0] if others else None
