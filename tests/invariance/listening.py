"""What listens, in company: recordings and mels of several lengths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fm_audio.audio import Audio, AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.vocabulary import Letters
from fm_audio.encoders.speech import SpeechEncoder
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.phone_reader import PhoneReader
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.text_matcher import TextMatcher
from fm_audio.tasks.text_requests import TextDecoding
from fm_audio.tasks.transcription import TranscriptRequest
from tests.invariance.case import Case, by
from tests.invariance.company import padded

RATE, BANDS, WIDTH = 8_000, 10, 12
SPEC = AudioSpec(sample_rate=RATE, n_fft=256, hop_samples=128, window_samples=256, bands=BANDS)


def recordings() -> list[TranscriptRequest]:
    """Noise that comes and goes, which is speech as far as levels tell."""
    made = []
    for i, seconds in enumerate((0.31, 0.05, 0.6, 0.2, 0.43)):
        draw, n = np.random.default_rng(i), round(seconds * RATE)
        loud = 0.05 + 0.95 * (np.arange(n) % 320 < 160)
        made.append(TranscriptRequest(Audio((0.3 * loud * draw.standard_normal(n)).astype(np.float32), RATE), i))
    return made


def listener(ctc: float) -> SpeechToText:
    net = DiT(16, 2, 2, tokens_width=0 if ctc else WIDTH, position_kernel=0)
    return SpeechToText(SPEC, Spelled(Letters("abc", longest=7)), net, 8, WIDTH, 1, 2, frames_per_token=3, kernel=3, ctc=ctc)


def listens(net: SpeechToText, items: Sequence[TranscriptRequest], padding: int) -> list[tuple[Tensor, ...]]:
    """Padding comes of a longer recording that shares the batch."""
    longer = Audio(np.tile(recordings()[2].audio.samples, 2), RATE)
    heard = net.generate([*items, *[TranscriptRequest(longer, 9)] * padding], Sampling(3, grid="quantile"), TextDecoding())
    return [
        (torch.tensor([1.0 + ord(c) for c in t.text] + [1.0]).double(), torch.tensor([t.passages[0].log_probability, t.forwards]))
        for t in heard[: len(items)]
    ]


def mels() -> list[dict[str, Tensor]]:
    return [{"mel": torch.randn(n, BANDS)} for n in (13, 16, 1, 3, 23)]


def encoder() -> SpeechEncoder:
    return SpeechEncoder(BANDS, WIDTH, 2, 2, frames_per_token=3, kernel=3)


def encoded(net: SpeechEncoder, items: Sequence[dict[str, Tensor]], padding: int) -> list[tuple[Tensor, ...]]:
    mel, mask = padded([i["mel"] for i in items], padding, float("nan"))
    cond = net(mel, mask)
    assert cond.tokens is not None and cond.tokens_mask is not None and not cond.tokens[~cond.tokens_mask].any()
    return [(row[keep],) for row, keep in zip(cond.tokens, cond.tokens_mask, strict=True)]


def reader(ears: FrozenListener | None = None) -> PhoneReader:
    return PhoneReader(SPEC, Arpabet(), WIDTH, 2, 2, frames_per_token=3, kernel=3, listener=ears)


def read(net: PhoneReader, items: Sequence[dict[str, Tensor]], padding: int) -> list[tuple[Tensor, ...]]:
    mel, mask = padded([i["mel"] for i in items], padding, float("nan"))
    log_p, seen = net(mel, mask)
    return [(row[keep],) for row, keep in zip(log_p, seen, strict=True)]


def matcher() -> TextMatcher:
    net = TextMatcher(SPEC, Arpabet(), None, WIDTH, WIDTH, 2, 1, 2, 3, 4)
    torch.nn.init.normal_(net.match.blocks[0].modulation.linear.weight, std=0.5)
    return net


def texts_and_sounds() -> list[dict[str, Any]]:
    """The last text has as many phones as its sound has tokens."""
    texts = [(1, 2), (3,)], [(4, 5, 6)], [(7,), (8, 9), (1,)], [(2, 3), (4,), (5, 6)], [(1, 2, 3, 4)]
    return [
        {"states": torch.randn(n, WIDTH), "log_p": torch.randn(n, 41).log_softmax(-1), "words": words}
        for n, words in zip((13, 16, 9, 23, 4), texts, strict=True)
    ]


def matched(net: TextMatcher, items: Sequence[dict[str, Any]], padding: int) -> list[tuple[Tensor, ...]]:
    """Padding in tokens, and of units by a longer text that shares the batch."""
    longer = {"states": torch.randn(12, WIDTH), "log_p": torch.randn(12, 41).log_softmax(-1), "words": [(1,)] * 6}
    given = [*items, *[longer] * padding]
    states, mask = padded([i["states"] for i in given], padding, float("nan"))
    log_p, _ = padded([i["log_p"] for i in given], padding, float("nan"))
    logits, real = net(states, log_p, mask, [i["words"] for i in given])
    odds = net.odds(logits, real)
    return [(logits[i][real[i]], odds[i : i + 1]) for i in range(len(items))]


class Ears:
    """A listener that only has to be there."""

    channels = 4

    def hear(self, audio: Audio, device: torch.device | str = "cpu") -> Tensor:
        return torch.zeros(1, self.channels)


def heard_beside() -> list[dict[str, Tensor]]:
    return [{"mel": torch.randn(n, BANDS), "heard": torch.randn(n + 1, Ears.channels)} for n in (13, 16, 1, 3, 23)]


def read_beside(net: PhoneReader, items: Sequence[dict[str, Tensor]], padding: int) -> list[tuple[Tensor, ...]]:
    given = [part for name in ("mel", "heard") for part in padded([i[name] for i in items], padding, float("nan"))]
    log_p, seen = net(*given)
    return [(row[keep],) for row, keep in zip(log_p, seen, strict=True)]


CASES: dict[str, Case] = {
    "read phones beside states": Case(
        partial(reader, Ears()), heard_beside, read_beside, torch.float32, by("mel"), 0.3
    ),
    "read phones": Case(reader, mels, read, torch.float32, by("mel"), 0.3),
    "texts that are matched": Case(matcher, texts_and_sounds, matched, torch.float32, by("states"), 0.3),
    "heard mels": Case(encoder, mels, encoded, torch.float32, by("mel"), 0.3),
    "heard speech": Case(
        partial(listener, 0.0), recordings, listens, length=lambda r: len(r.audio.samples),
        amount=0.3,
    ),
    "heard speech in place": Case(
        partial(listener, 0.3), recordings, listens, length=lambda r: len(r.audio.samples),
        amount=0.3,
    ),
}
