"""Forced alignment: when each word of a recording is said, by an acoustic model that knows how its own speakers would say it.

The model's mean mel for the text (its prior, under the speaker that fits best) is laid along the recording by monotonic alignment
search (Glow-TTS, Kim et al. 2020, algorithm 1), once as it is and again after the mean difference of each band is taken away,
which is what another microphone and another voice mostly are; and a last time with the durations that the model expects
(`fm_audio.encoders.timed_alignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fm_audio.audio import Audio, resample
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.sentences import split_sentences
from fm_audio.encoders.alignment import alignment_log_likelihood, expand, monotonic_alignment
from fm_audio.encoders.timed_alignment import WEIGHT, timed_alignment
from fm_audio.lora import speaking
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.speech_requests import PIECE_CHARACTERS
from fm_audio.types import FmAudioError
from fm_audio.voices.voice import TimedWord

LONGEST_SECONDS = 120.0  # the search holds symbols × frames
ROUNDS = 2


@dataclass(frozen=True)
class Sentence:
    """Symbol ids, and for each written word its first symbol and one past its last."""

    ids: list[int]
    words: list[tuple[str, int, int]]


@dataclass(frozen=True)
class Aligned:
    """A text laid along a recording: frames of each symbol (m,), their logarithms as expected (m,), the mel (n bands) without the
    difference of rooms, log p of each of its frames under each symbol (m n), and for each frame (n,) the mean squared difference
    to the mean mel of its symbol, over bands."""

    durations: Tensor
    log_expected: Tensor
    heard: Tensor
    log_likelihood: Tensor
    unlike: Tensor


class Aligner:
    """`model` is an acoustic model of the recording's language, `fm_audio.load().model` for English. `weight`: of durations, in
    nats, as `timed_alignment` takes it."""

    def __init__(self, model: AlignedTTS, weight: float = WEIGHT):
        self.model, self.weight = model, weight

    @torch.inference_mode()
    def words(self, audio: Audio, text: str, speaker: str | None = None) -> list[TimedWord]:
        """Each word of `text` as written, and when the recording says it: in order, none overlapping. `speaker` is who speaks,
        where the model knows; the one who fits best if not given.

        Raises FmAudioError for recordings over two minutes, texts that nobody says in that time, and what cannot be read.
        """
        if audio.seconds > LONGEST_SECONDS:
            raise FmAudioError(f"recording: {audio.seconds:.0f} s long; at most {LONGEST_SECONDS:.0f} s are aligned, cut it")
        spec = self.model.spec
        sentences = [sentence_of(piece, self.model.frontend) for piece in split_sentences(text, PIECE_CHARACTERS)]
        device = self.model.speaker.weight.device
        wave = resample(audio.samples.astype("float32"), audio.sample_rate, spec.sample_rate)
        mel = spec.log_mel(torch.from_numpy(wave)[None].to(device))[0]
        symbols = sum(len(s.ids) for s in sentences)
        if len(mel) < symbols:
            raise FmAudioError(
                f"text: {symbols} symbols for {audio.seconds:.2f} s of recording; give the words that it says, and no others"
            )
        number = self.nearest([(mel, sentences)]) if speaker is None else self.model.speakers[speaker]
        ends = [0, *self.of_speaker(mel, sentences, number).cumsum(0).tolist()]
        timed, first = [], 0
        for sentence in sentences:
            for word, start, end in sentence.words:
                at = [round(spec.seconds_of_frames(ends[first + i]), 4) for i in (start, end)]
                timed.append(TimedWord(word, *at))
            first += len(sentence.ids)
        return timed

    @torch.inference_mode()
    def nearest(self, recordings: Sequence[tuple[Tensor, Sequence[Sentence]]]) -> int:
        """The number of the speaker under whom these mels (n bands) of these texts are likeliest."""
        every = range(len(self.model.speaker.weight))
        likelihoods = [sum(_roomless(mel, self.expected(texts, i)[0])[1] for mel, texts in recordings) for i in every]
        return max(every, key=likelihoods.__getitem__)

    @torch.inference_mode()
    def of_speaker(self, mel: Tensor, sentences: Sequence[Sentence], speaker: int) -> Tensor:
        """Frames of each symbol (m,) in mel (n bands), by what is known of the speaker of this number."""
        return laid_along(mel, *self.expected(sentences, speaker), self.weight).durations

    @torch.inference_mode()
    def expected(self, sentences: Sequence[Sentence], speaker: int) -> tuple[Tensor, Tensor]:
        """What the speaker of this number would sound like on average, (m bands), and log frames of each symbol (m,)."""
        vector = self.model.speaker.weight[speaker]
        rows = [torch.tensor([sentence.ids], device=vector.device) for sentence in sentences]
        name = next(name for name, i in self.model.speakers.items() if i == speaker)
        with speaking(torch.tensor([self.model.adapters.get(name, 0)], device=vector.device)):
            encoded = [self.model.text(ids, torch.ones_like(ids, dtype=torch.bool), vector[None]) for ids in rows]
        return torch.cat([e.mean[0] for e in encoded]), torch.cat([e.log_durations[0] for e in encoded])


@torch.inference_mode()
def laid_along(mel: Tensor, mean: Tensor, log_durations: Tensor, weight: float = WEIGHT) -> Aligned:
    """Symbols of which mean mels (m bands) and log frames (m,) are expected, laid along mel (n bands)."""
    heard, _ = _roomless(mel, mean)
    likelihood = alignment_log_likelihood(mean[None], heard[None])[0]
    durations = timed_alignment(likelihood, log_durations, weight)
    laid = expand(mean[None], durations[None], len(mel))[0]
    return Aligned(durations, log_durations, heard, likelihood, (heard - laid).square().mean(1))


def _roomless(mel: Tensor, mean: Tensor) -> tuple[Tensor, float]:
    """The mel without the mean difference of each band to the means laid along it, and its log likelihood."""
    heard, score = mel, -float("inf")
    for _ in range(ROUNDS):
        likelihood = alignment_log_likelihood(mean[None], heard[None])
        masks = (torch.ones(1, n, dtype=torch.bool, device=mel.device) for n in (len(mean), len(mel)))
        durations = monotonic_alignment(likelihood, *masks)
        spoken = torch.repeat_interleave(torch.arange(len(mean), device=mel.device), durations[0])
        score = float(likelihood[0, spoken, torch.arange(len(mel), device=mel.device)].sum())
        heard = mel - (mel - expand(mean[None], durations, len(mel))[0]).mean(0)
    return heard, score


def written_words(text: str) -> list[str]:
    """What stands between white space; dashes and other pieces without a letter or digit stay with the word before them."""
    words: list[str] = []
    for piece in text.split():
        if words and not any(c.isalnum() for c in piece):
            words[-1] += f" {piece}"
        else:
            words.append(piece)
    return words


def sentence_of(piece: str, frontend: FrontEnd) -> Sentence:
    """Each written word with the symbols of all that is said for it ("42" is two words). Raises FmAudioError."""
    encoded = frontend.encode(piece)
    written = written_words(piece)
    counts = [len(frontend.encode(word).words) for word in written]
    if sum(counts) != len(encoded.words):
        raise FmAudioError(f"text: in {piece[:60]!r} a number is read together with its neighbours; write it out in words")
    words, at = [], 0
    for word, count in zip(written, counts, strict=True):
        words.append((word, encoded.words[at][1], encoded.words[at + count - 1][2]))
        at += count
    return Sentence(encoded.ids, words)
