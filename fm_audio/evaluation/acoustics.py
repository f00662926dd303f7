"""Does each word last as long, and sound as much like the text, as this voice would say it? Evidence without a recogniser.

What is expected comes of the voice's own model where that knows the speaker, or of a model that clones, which was shown another
recording (`fm_audio.voices.expected`). The text is laid along the recording as the speaker is expected to say it, and so are
texts with a word missing, twice, added or another (`fm_audio.evaluation.alternatives`). A word that was cut leaves its symbols
hardly any frames; a garbled one is further from its mean mel than some other symbol is. Recognisers, which know what people say,
like to mend just these.

How much all of that is worth, `fm_audio.evaluation.doubt` has learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import Audio, resample
from fm_audio.bandwidth import fill_above, spectrum_end_hz
from fm_audio.data.text.sentences import split_sentences
from fm_audio.evaluation.alternatives import Alternative, Words, alternatives, likeliest
from fm_audio.evaluation.protocols import load_protocol
from fm_audio.evaluation.sound import Fault
from fm_audio.tasks.speech_requests import PIECE_CHARACTERS
from fm_audio.voices import Voice
from fm_audio.voices.aligner import Aligned, Aligner, Sentence, laid_along, sentence_of
from fm_audio.voices.cloner import Cloner, load_cloner
from fm_audio.voices.expected import Expected, OfSeen, OfSpeaker
from fm_audio.voices.reference import loud_enough

SOUNDS_OF = "harvard_dev30"  # sentences that hold about all that a speaker says
AS_IF = {
    "missing": "as if it were left out",
    "repeated": "as if it were said again",
    "added": "as if something were added",
    "garbled": "as if it were another word",
    "short": "too short for this speaker",
    "unlike": "other sounds than its own",
}
SHORT_WORD, SHORT_SYMBOL = 0.5, 0.85  # natural logarithms of a duration over the one expected: as short as is still usual


@dataclass(frozen=True)
class Heard:
    """What there is to say of a recording of a text.

    `likeliest`: the likeliest fault of each kind. `short`: by how much the shortest word or symbol is too short, in what is still
    usual, and `unlike`: by how much the frames of a word are further from its mean mel than from that of some other symbol, mean
    square, both with their words. `misfit`: mean squared difference of all frames.
    """

    likeliest: dict[str, Alternative]
    short: tuple[float, str]
    unlike: tuple[float, str]
    misfit: float

    @property
    def values(self) -> dict[str, float]:
        """For `doubt`."""
        faults = {kind: fault.evidence for kind, fault in self.likeliest.items()}
        return {**faults, "short": self.short[0], "unlike": self.unlike[0], "misfit": self.misfit}

    def fault(self, shares: Mapping[str, float]) -> Fault:
        """What speaks most against the recording, by what each value adds to the doubt."""
        name = max(AS_IF, key=lambda name: shares.get(name, -np.inf))
        if name in self.likeliest:
            word, at = self.likeliest[name].word, self.likeliest[name].at_seconds
        else:
            word, at = (self.short if name == "short" else self.unlike)[1], None
        return Fault("misfit", f"does not sound like the text near {word!r}: {AS_IF[name]}", (word,), at)


class Acoustics:
    """Of one voice."""

    def __init__(self, expected: Expected):
        self.expected = expected

    @cached_property
    @torch.inference_mode()
    def sounds(self) -> Tensor:
        """Mean mels (k bands) of about all that the speaker says."""
        return self.expected([sentence_of(text, self.expected.frontend) for text in load_protocol(SOUNDS_OF).sentences])[0]

    @torch.inference_mode()
    def hear(self, audio: Audio, text: str) -> Heard:
        """Raises FmAudioError for texts that cannot be read, or not in that time."""
        spec, frontend = self.expected.spec, self.expected.frontend
        sentences = [sentence_of(piece, frontend) for piece in split_sentences(text, PIECE_CHARACTERS)]
        wave = torch.from_numpy(resample(audio.samples.astype(np.float32), audio.sample_rate, spec.sample_rate))
        mel = spec.log_mel(wave[None].to(self.expected.device))[0]
        mel = fill_above(mel, spec, spectrum_end_hz(mel, spec))
        found = laid_along(mel, *self.expected(sentences))
        words = _words(sentences)
        spoken = np.array([frontend.symbols[i][0].isalpha() for s in sentences for i in s.ids])
        frame_seconds = spec.seconds_of_frames(1)
        weighed = alternatives(found, self.sounds, words, frame_seconds)
        return Heard(
            likeliest(weighed), _shortest(found, words, spoken), self._unlike(found, words), float(found.unlike.mean())
        )

    def _unlike(self, found: Aligned, words: Words) -> tuple[float, str]:
        nearest = torch.cdist(found.heard, self.sounds).amin(1).square() / found.heard.shape[1]
        further = (found.unlike - nearest).cpu().numpy()
        ends = np.concatenate([[0], found.durations.cumsum(0).cpu().numpy()])
        return max((float(further[ends[first] : ends[last]].mean()), word) for word, first, last in words)


def _shortest(found: Aligned, words: Words, spoken: np.ndarray) -> tuple[float, str]:
    """Of words and of the symbols in them; what is expected goes by the recording's own pace."""
    durations, log_expected = found.durations.cpu().numpy(), found.log_expected.cpu().numpy()
    usual = float(np.median((np.log(durations) - log_expected)[spoken]))
    expected = np.exp(log_expected + usual)
    shortest = []
    for word, first, last in words:
        shortest.append((float(np.log(expected[first:last].sum() / durations[first:last].sum())) / SHORT_WORD, word))
        inside = [i for i in range(first, last) if spoken[i]]
        shortest += [(float(np.log(expected[i] / durations[i])) / SHORT_SYMBOL, word) for i in inside]
    return max(shortest)


def _words(sentences: Sequence[Sentence]) -> list[tuple[str, int, int]]:
    """Each word with its first symbol and one past its last, over all sentences."""
    words, at = [], 0
    for sentence in sentences:
        words += [(word, at + first, at + last) for word, first, last in sentence.words]
        at += len(sentence.ids)
    return words


def acoustics_of(voice: Voice, name: str | None = None) -> Acoustics:
    """For a voice of a model, its default one if none is named; adapters are worn."""
    return Acoustics(OfSpeaker(Aligner(voice.model), voice.speakers[name or voice.name]))


def acoustics_shown(recording: Audio) -> Acoustics:
    """For anybody of whom there is a recording of 1 to 20 s, by the model that clones and ships."""
    cloner = _shipped_cloner()
    samples, _ = loud_enough(recording, cloner.spec.sample_rate, "reference")
    with torch.inference_mode():
        return Acoustics(OfSeen(cloner.model, cloner.seen(samples)))


@cache
def _shipped_cloner() -> Cloner:
    return load_cloner()
