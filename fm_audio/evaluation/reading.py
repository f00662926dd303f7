"""Does each word sound like its phones? Evidence from a reader of phones that listens to anybody.

    how well a phone is read = mean over its tokens of log P(phone) − log P(likeliest phone)        (goodness of pronunciation)
    P = softmax(logits / 2)

after Witt and Young 2000, "Phone-level pronunciation scoring". The phones of the text are laid along the recording by what was
heard, with silences where there are some, and so are those of texts with a fault (`phone_alternatives`). A reader that has
learned what no phone is (`data.damage_waves`) tells where nobody could have said what is heard. Unlike `acoustics`, which knows
one speaker's mean mels, this judges strangers too, and knows nothing of how long things last.
`recipes/phones/heard.yaml` trained the reader that ships; it hears through the encoder of Whisper tiny.en beside the mel. A
matcher (`tasks.text_matcher`, `recipes/phones/matched.yaml`) has learned from faults what of all that tells that a text is not
what is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fm_audio.audio import Audio, resample
from fm_audio.bandwidth import fill_above, spectrum_end_hz
from fm_audio.checkpoint import CONFIG, load_model
from fm_audio.evaluation.acoustics import AS_IF
from fm_audio.evaluation.phone_alternatives import phone_alternatives
from fm_audio.evaluation.sound import Fault
from fm_audio.extras import WHISPER_COMMAND
from fm_audio.tasks.frozen_reader import SHIPPED
from fm_audio.tasks.phone_reader import CLASSES, SILENCE, PhoneReader, optional_path, states_of_words
from fm_audio.tasks.text_matcher import TextMatcher
from fm_audio.types import FmAudioError

FOLDER, MATCHERS = SHIPPED, Path(__file__).with_name("matchers")
WINDOW_SECONDS = 0.3
DAMAGED_TOKENS = 3  # in a row that are damaged together
DAMAGED = "damaged"
NAMED = {
    DAMAGED: "nothing that anybody could say",
    "match": "the text is not what is said there",
    "unsaid": "the word is not said there",
    "more": "something else is said there",
}
NEAR_FLOOR = 0.05  # in normalised log-mel
TEMPERATURE = 2.0  # readers are surer than they are right: halved, what they say of clips they have not learned is worth more


@dataclass(frozen=True)
class Read:
    """By how many nats other phones are likelier than those of the text, 0 or more: at the worst word (mean over its phones), the
    worst phone, the worst 0.3 s (mean over its tokens) and on the average; with the words where that is. `likeliest`: evidence
    for the likeliest fault of each kind, in nats, and its word; of "damaged" the log odds, a mean over three tokens; of "match"
    those that anything is not as the text has it, of "unsaid" of a word, of "more" of what is said behind one."""

    word: tuple[float, str]
    phone: tuple[float, str]
    window: tuple[float, str]
    mean: float
    likeliest: Mapping[str, tuple[float, str]]

    @property
    def values(self) -> dict[str, float]:
        """For `doubt`; a kind of fault that could not be weighed is not among them."""
        read = {"read_word": self.word[0], "read_phone": self.phone[0], "read_window": self.window[0], "read_all": self.mean}
        return read | {f"read_{kind}": evidence for kind, (evidence, _) in self.likeliest.items()}

    def fault(self, shares: Mapping[str, float]) -> Fault:
        """What speaks most against the recording, by what each value adds to the doubt."""
        near = {"read_word": self.word[1], "read_phone": self.phone[1], "read_window": self.window[1]}
        near |= {f"read_{kind}": word for kind, (_, word) in self.likeliest.items()}
        worst = max(near, key=lambda name: shares.get(name, -np.inf))
        what = {**AS_IF, **NAMED}.get(worst.removeprefix("read_"), "other phones than its own")
        return Fault("misfit", f"does not sound like the text near {near[worst]!r}: {what}", (near[worst],))


class Reading:
    """A reader and what it makes of recordings; matchers compare what it hears with the text, and their mean counts."""

    def __init__(self, reader: PhoneReader, matchers: Sequence[TextMatcher] = ()) -> None:
        self.reader, self.matchers = reader, matchers

    @torch.inference_mode()
    def hear(self, audio: Audio, text: str) -> Read:
        """Raises FmAudioError for texts that cannot be read, or not in that time."""
        spec = self.reader.spec
        wave = torch.from_numpy(resample(audio.samples.astype(np.float32), audio.sample_rate, spec.sample_rate))
        device = self.reader.out.weight.device
        mel = spec.log_mel(wave[None].to(device))[0]
        mel = fill_above(mel, spec, spectrum_end_hz(mel, spec))
        kept = _sounding(mel, spec.floor)
        given = [mel[kept][None], *self._states(wave, kept.cpu())]
        masks = [torch.ones(1, part.shape[1], dtype=torch.bool, device=device) for part in given]
        hidden, log_p, seen = self.reader.states(*(part for pair in zip(given, masks, strict=True) for part in pair))
        heard = (log_p[0].double() / TEMPERATURE).log_softmax(-1).cpu().numpy()
        names, words = self.reader.words(text)
        states, owner = states_of_words(words)
        path = optional_path(heard[:, states], [c == SILENCE for c in states])
        likelier = heard.max(1) - heard[np.arange(len(path)), np.asarray(states)[path]]
        likeliest = {kind: (value, names[k]) for kind, (value, k) in phone_alternatives(heard, words).items()}
        if self.reader.damage:
            likeliest[DAMAGED] = _damaged(heard, [owner[state] for state in path], names)
        if self.matchers:
            spoken = [[tuple(word) for word in words]]
            each = [matcher(hidden, log_p, seen, spoken)[0][0] for matcher in self.matchers]
            likeliest |= _matched(torch.stack(each).mean(0), names)
        return _worst(likelier, path, states, names, owner, round(WINDOW_SECONDS / self._token_seconds), likeliest)

    def _states(self, wave: Tensor, kept: Tensor) -> list[Tensor]:
        """What the reader's listener, if it has one, hears of the kept frames: (1 s e)."""
        spec, listener = self.reader.spec, self.reader.listener
        if listener is None:
            return []
        samples = kept.repeat_interleave(spec.hop_samples)[: len(wave)]
        sounding = Audio(wave[: len(samples)][samples].numpy(), spec.sample_rate)
        return [listener.hear(sounding, self.reader.out.weight.device)[None]]

    @property
    def _token_seconds(self) -> float:
        return self.reader.spec.seconds_of_frames(self.reader.encoder.frames_per_token)


def _sounding(mel: Tensor, floor: float) -> Bool[Tensor, "n"]:
    """Frames of mel (n bands) that are no digital silence, which no recording has and no reader has learned; or all."""
    heard = (mel > floor + NEAR_FLOOR).any(1)
    return heard if heard.any() else ~heard


def _damaged(heard: np.ndarray, owner: Sequence[int], words: Sequence[str]) -> tuple[float, str]:
    """heard (k classes), the number of each token's word, −1 for silences: log odds of damage where they are greatest, and the
    word there."""
    others = np.logaddexp.reduce(heard[:, : len(CLASSES)], axis=1)
    n = min(DAMAGED_TOKENS, len(heard))
    odds = np.convolve(heard[:, len(CLASSES)] - others, np.ones(n) / n, mode="valid")
    start = int(odds.argmax())
    return float(odds[start]), words[_word_at(owner, start, n)]


def _matched(logits: Float[Tensor, "u"], names: Sequence[str]) -> dict[str, tuple[float, str]]:
    """Log odds of gaps and words by turns: those of all, of the word that is worst, and of the gap; each with a word there."""
    values = logits.double().cpu().numpy()
    unsaid, more, worst = int(values[1::2].argmax()), int(values[::2].argmax()), int(values.argmax())
    return {
        "match": (float(np.logaddexp.reduce(values)), names[(max(worst, 1) - 1) // 2]),
        "unsaid": (float(values[1::2][unsaid]), names[unsaid]),
        "more": (float(values[::2][more]), names[max(more, 1) - 1]),
    }


def _word_at(owner: Sequence[int], start: int, n: int) -> int:
    """The word in the middle of some tokens, or the last one before them."""
    inside = [w for w in owner[start : start + n] if w >= 0]
    return inside[len(inside) // 2] if inside else max(0, *owner[: start + 1])


def _worst(
    likelier: np.ndarray, path: np.ndarray, states: Sequence[int], words: Sequence[str], owner: Sequence[int], window: int,
    likeliest: Mapping[str, tuple[float, str]],
) -> Read:
    """likelier (k,): nats by which other phones are likelier at each token, of which each lies in a state of `path` (k,)."""
    of_word: list[list[tuple[float, int]]] = [[] for _ in words]
    for state in range(len(states)):
        if owner[state] >= 0:
            of_word[owner[state]].append((float(likelier[path == state].mean()), state))
    means = [float(np.mean([m for m, _ in phones])) for phones in of_word]
    worst_word = int(np.argmax(means))
    phone, at_word = max((m, w) for w, phones in enumerate(of_word) for m, _ in phones)
    n = min(window, len(likelier))
    sums = np.convolve(likelier, np.ones(n) / n, mode="valid")
    start = int(sums.argmax())
    near = _word_at([owner[s] for s in path], start, n)
    return Read((means[worst_word], words[worst_word]), (phone, words[at_word]), (float(sums[start]), words[near]),
                float(likelier.mean()), likeliest)  # fmt: skip


@lru_cache(maxsize=1)
def shipped_reading() -> Reading:
    """The reader that comes with the package. Raises FmAudioError where the Whisper that it listens through is not installed."""
    model, matchers = load_model(FOLDER), []
    for folder in sorted(path.parent for path in MATCHERS.glob(f"*/{CONFIG}")):
        matcher = load_model(folder)
        assert isinstance(matcher, TextMatcher)
        matchers.append(matcher)
    assert isinstance(model, PhoneReader) and matchers
    if model.listener is not None:
        try:
            model.listener.hear(Audio(np.zeros(model.spec.n_fft, np.float32), model.spec.sample_rate))
        except FmAudioError as e:
            raise FmAudioError(
                f"checking English speech listens through {model.listener} whoever judges it, and that is not installed; "
                f"run: {WHISPER_COMMAND}"
            ) from e
    return Reading(model, matchers)
