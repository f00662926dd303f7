"""Does each word last as long, and sound as much like the text, as the voice's own model expects? Evidence without a recogniser.

The text is laid along the recording by `Aligner`, as the speaker is expected to say it, so this is for speakers whom the model
knows: of strangers it refuses nearly all. A word that was left out or cut
leaves its symbols hardly any frames; words that nobody asked for stretch a symbol or fill a pause; a garbled word is far from the
mean mel. Recognisers, which know what people say, like to mend just these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fm_audio.audio import Audio, resample
from fm_audio.bandwidth import fill_above, spectrum_end_hz
from fm_audio.data.text.sentences import split_sentences
from fm_audio.evaluation.sound import Fault
from fm_audio.tasks.speech_requests import PIECE_CHARACTERS
from fm_audio.voices import Voice
from fm_audio.voices.aligner import Aligner, Sentence, sentence_of

WINDOW_SECONDS = 0.15
LOUD = 1.2  # below the loudest frame, as a mean over normalised bands: as loud as speech


KINDS = ("short", "long", "unlike", "loud")


@dataclass(frozen=True)
class AcousticLimits:
    """What is odd, and how much of it is too much. Paces are natural logarithms of a duration over the one expected at the
    recording's own pace.

    Oddness is the sum, over the four kinds, of what the oddest share of its limit has above `usual`: good speech is odd in one
    way now and then, and faults are in several.
    """

    word_short: float = 0.5
    word_long: float = 0.8
    symbol_short: float = 0.85
    symbol_long: float = 1.2
    word_unlike: float = 0.2  # mean squared difference of a word's frames to the mean mel, normalised bands
    anywhere_unlike: float = 0.3  # the same of any 0.15 s
    loud_pause_seconds: float = 0.2  # of a pause, as loud as speech
    usual: float = 0.7
    too_odd: float = 1.3
    hardly_odd: float = 0.2


@dataclass(frozen=True)
class Evidence:
    """One thing that was looked at: `kind` of `KINDS`, the word it is nearest to, when, and its value as a share of its limit."""

    kind: str
    word: str
    at_seconds: float
    share: float


@dataclass(frozen=True)
class Heard:
    """The oddest of each kind, in the order of `KINDS`, and how odd that is together."""

    oddest: tuple[Evidence, ...]
    limits: AcousticLimits

    @property
    def oddness(self) -> float:
        return sum(max(0.0, e.share - self.limits.usual) for e in self.oddest)

    @property
    def fits(self) -> bool:
        """Whether the recording is so much like its text that a recogniser's doubts of words are its own mistakes."""
        return self.oddness <= self.limits.hardly_odd

    @property
    def faults(self) -> list[Fault]:
        """One where the recording is too odd for its text, with its oddest word; none otherwise."""
        if self.oddness <= self.limits.too_odd:
            return []
        worst = max(self.oddest, key=lambda e: e.share)
        seen = ", ".join(f"{e.kind} {e.share:.1f}" for e in self.oddest if e.share > self.limits.usual)
        return [Fault("misfit", f"does not sound like the text near {worst.word!r} ({seen})", (worst.word,), worst.at_seconds)]


class Acoustics:
    """`speaker` is one of those of the aligner's model, by name; `limits` what passes. Raises FmAudioError for strangers."""

    def __init__(self, aligner: Aligner, speaker: str, limits: AcousticLimits | None = None):
        self.aligner, self.limits = aligner, limits or AcousticLimits()
        self.speaker = int(aligner.model.speaker_index([speaker])[0])

    def hear(self, audio: Audio, text: str) -> Heard:
        """What there is to say of a recording of this text. Raises as `evidence`."""
        every = self.evidence(audio, text)
        return Heard(tuple(next(e for e in every if e.kind == kind) for kind in KINDS), self.limits)

    @torch.inference_mode()
    def evidence(self, audio: Audio, text: str) -> list[Evidence]:
        """All that was looked at, the oddest first. Raises FmAudioError for texts that cannot be read, or not in that time."""
        model, limits = self.aligner.model, self.limits
        sentences = [sentence_of(piece, model.frontend) for piece in split_sentences(text, PIECE_CHARACTERS)]
        wave = torch.from_numpy(resample(audio.samples.astype(np.float32), audio.sample_rate, model.spec.sample_rate))
        mel = model.spec.log_mel(wave[None].to(model.speaker.weight.device))[0]
        mel = fill_above(mel, model.spec, spectrum_end_hz(mel, model.spec))
        found = self.aligner.aligned(mel, sentences, self.speaker)
        durations, unlike = found.durations.cpu().numpy(), found.unlike.cpu().numpy()
        pauses = np.array([not model.frontend.symbols[i][0].isalpha() for s in sentences for i in s.ids])
        pace = np.log(durations) - found.log_expected.cpu().numpy()
        usual = float(np.median(pace[~pauses]))
        pace -= usual
        ends = np.concatenate([[0], durations.cumsum()])
        words = _words(sentences)
        odd: list[Evidence] = []

        def add(kind: str, symbol: int, value: float, limit: float) -> None:
            word = next((w for w, first, last in words if symbol < last), words[-1][0])
            odd.append(Evidence(kind, word, model.spec.seconds_of_frames(int(ends[symbol])), value / limit))

        expected = np.exp(found.log_expected.cpu().numpy() + usual)
        for _, first, last in words:
            whole = float(np.log(durations[first:last].sum() / expected[first:last].sum()))
            add("short", first, -whole, limits.word_short)
            add("long", first, whole, limits.word_long)
            add("unlike", first, float(unlike[ends[first] : ends[last]].mean()), limits.word_unlike)
        for i in np.flatnonzero(~pauses).tolist():
            add("short", i, -float(pace[i]), limits.symbol_short)
            add("long", i, float(pace[i]), limits.symbol_long)
        loud = mel.mean(1).cpu().numpy()
        loud = loud > loud.max() - LOUD
        for i in np.flatnonzero(pauses).tolist():
            add("loud", i, model.spec.seconds_of_frames(int(loud[ends[i] : ends[i + 1]].sum())), limits.loud_pause_seconds)
        window = min(len(unlike), model.spec.frames_of_seconds(WINDOW_SECONDS))
        around = np.convolve(unlike, np.ones(window) / window, "valid")
        symbol = int(np.searchsorted(ends, int(around.argmax()) + window // 2, side="right")) - 1
        add("unlike", min(symbol, len(durations) - 1), float(around.max()), limits.anywhere_unlike)
        return sorted(odd, key=lambda e: -e.share)


def _words(sentences: Sequence[Sentence]) -> list[tuple[str, int, int]]:
    """Each word with its first symbol and one past its last, over all sentences."""
    words, at = [], 0
    for sentence in sentences:
        words += [(word, at + first, at + last) for word, first, last in sentence.words]
        at += len(sentence.ids)
    return words


def acoustics_of(voice: Voice, name: str | None = None) -> Acoustics | None:
    """For a voice of a model, its default one if none is named; None for adapters, whose layers the alignment does not wear."""
    speaker = voice.speakers[name or voice.name]
    return None if speaker in voice.model.adapters else Acoustics(Aligner(voice.model), speaker)
