"""Editing a recording by its text: words that differ are infilled in the recording's own voice, everything else stays as it is.

The words of the old text are found by forced alignment and compared with those of the new one. A little more than what differs is
hidden, the span that the new words need is generated between what comes before and after it, and its ends are faded in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import torch

from fm_audio.audio import Audio, require_numbers, resample
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.infill_requests import InfillRequest, spoken_symbols
from fm_audio.types import FmAudioError
from fm_audio.voices.aligner import Aligner, written_words
from fm_audio.voices.cloner import SPAN_SECONDS, Cloner, seed_of_part
from fm_audio.voices.recording import Recording
from fm_audio.voices.reference import loud_enough

EDGE_SECONDS = 0.05  # hidden on either side of what differs: neighbours lean towards the words they touch
FADE_SECONDS = 0.03  # within the edge
CONTEXT_SECONDS = 8.0  # seen on either side


@dataclass(frozen=True)
class Change:
    """`before` became `after` (either may be empty): start … end of the result stand for `was` of the recording.

    Outside of all changes every sample of the result is the recording's.
    """

    before: str
    after: str
    start_seconds: float
    end_seconds: float
    was_start_seconds: float
    was_end_seconds: float


@dataclass(frozen=True)
class Edited:
    """The result, and its changes in order."""

    recording: Recording
    changes: list[Change]


@dataclass(frozen=True)
class _Placed:
    """A word and its samples: from `start` up to and without `end`."""

    text: str
    start: int
    end: int


class Editor:
    """`cloner` makes the new words, `aligner` finds the old ones."""

    def __init__(self, cloner: Cloner, aligner: Aligner):
        self.cloner, self.aligner = cloner, aligner

    @torch.inference_mode()
    def edit(
        self,
        recording: Recording,
        text_before: str,
        text_after: str,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Edited:
        """`text_before` is what the recording says, word for word; `text_after` what it shall say.

        Raises FmAudioError when the texts say the same or nothing in common, when the recording is silent or longer than two
        minutes, and when a change is too long to be generated in one span.
        """
        sampling = self.cloner.sampling.changed(steps=steps, guidance=guidance, temperature=temperature)
        changes = differences(text_before, text_after)
        audio = recording.mono()
        _, gain = loud_enough(audio, self.cloner.spec.sample_rate, "recording")
        rate = recording.sample_rate
        timed = self.aligner.words(audio, text_before)
        words = [_Placed(w.text, round(w.start_seconds * rate), round(w.end_seconds * rate)) for w in timed]
        draft = _Draft(recording, words)
        pace = sum(w.end - w.start for w in words) / self._symbols(w.text for w in words)
        # From the last change to the first, so that what is left to do stays where it is.
        for i in reversed(range(len(changes))):
            first, last, texts = changes[i]
            new_samples = round(pace * self._symbols(texts))
            hole = draft.hole(first, last, new_samples, self._samples_of_frame(rate))
            sound = self._fill(draft, hole, texts, gain, seed_of_part(seed, i), sampling)
            draft.replace(hole, sound, texts)
            if progress is not None:
                progress((len(changes) - i) / len(changes))
        return Edited(replace(recording, samples=draft.samples), draft.changes_made())

    def _symbols(self, texts: Any) -> int:
        reads = self.cloner.model.reads(self.cloner.voice)
        return sum(spoken_symbols(reads, t) for t in texts)

    def _samples_of_frame(self, rate: int) -> float:
        return self.cloner.spec.hop_samples * rate / self.cloner.spec.sample_rate

    def _fill(self, draft: _Draft, hole: _Hole, texts: list[str], gain: float, seed: int, sampling: Sampling) -> np.ndarray:
        """(s,) in [-1, 1] at the recording's rate: what takes the hole's place."""
        spec, rate = self.cloner.spec, draft.recording.sample_rate
        seen = Audio(draft.mono(hole.window_start, hole.window_end), rate)
        samples = resample(seen.samples, rate, spec.sample_rate) * np.float32(gain)
        mel = self.cloner.seen(samples)
        before, after = mel[: hole.frames_before], mel[hole.frames_before + hole.frames_hidden :]
        said = [" ".join(w.text for w in draft.words[a:b]) for a, b in hole.said]
        request = InfillRequest(
            " ".join(texts), before, said[0], seed, frames=hole.frames_new, after=after, after_text=said[1],
            voice=self.cloner.voice,
        )  # fmt: skip
        [new] = self.cloner.model.generate([request], sampling)
        whole = torch.cat([before, new, after])[None]
        wave = self.cloner.vocoder.decode(whole, torch.ones(whole.shape[:2], dtype=torch.bool, device=whole.device))
        heard = require_numbers(wave[0].cpu().numpy(), "editing")
        sound = resample(heard / np.float32(gain), spec.sample_rate, rate)
        start = hole.start - hole.window_start
        length = round(hole.frames_new * self._samples_of_frame(rate))
        return np.pad(sound[start : start + length], (0, max(0, start + length - len(sound))))


@dataclass(frozen=True)
class _Hole:
    """What one change hides, samples start … end; the window seen around it; the words seen before and after (indices)."""

    words: tuple[int, int]
    start: int
    end: int
    window_start: int
    window_end: int
    said: tuple[tuple[int, int], tuple[int, int]]
    frames_before: int
    frames_hidden: int
    frames_new: int


class _Draft:
    """A recording on its way: samples, where each word is, and the changes so far."""

    def __init__(self, recording: Recording, words: list[_Placed]):
        self.recording, self.samples, self.words = recording, recording.samples, words
        self.changes: list[tuple[_Hole, str, str, int]] = []  # and what it said, says, and how many samples it has now

    def mono(self, start: int, end: int) -> np.ndarray:
        return replace(self.recording, samples=self.samples[start:end]).mono().samples

    def hole(self, first: int, last: int, new_samples: int, samples_of_frame: float) -> _Hole:
        """Around words first … last (none where they are equal), cut in the middle of the pauses at both ends."""
        rate, total = self.recording.sample_rate, len(self.samples)
        ends, starts = [0, *(w.end for w in self.words)], [*(w.start for w in self.words), total]
        middle = [(e + s) // 2 for e, s in zip(ends, starts, strict=True)]  # of the pause in front of each word, and of the last
        edge, context = round(EDGE_SECONDS * rate), round(CONTEXT_SECONDS * rate)
        start, end = max(0, middle[first] - edge), min(total, middle[last] + edge)
        left = next((i for i in range(first) if middle[i] >= start - context), first)
        right = next((i for i in range(len(self.words), last, -1) if middle[i] <= end + context), last)
        window_start = 0 if left == 0 else min(start, middle[left])
        window_end = total if right == len(self.words) else max(end, middle[right])
        spoken = sum(w.end - w.start for w in self.words[first:last])
        before = int((start - window_start) / samples_of_frame)
        hidden = max(1, round((end - window_start) / samples_of_frame) - before)
        new = max(1, round((end - start - spoken + new_samples) / samples_of_frame))
        span = (window_end - window_start - spoken + new_samples) / rate
        if span > SPAN_SECONDS + CONTEXT_SECONDS:
            raise FmAudioError(f"text after: a change needs {span:.0f} s at once, too long to be generated; make it in steps")
        start = window_start + round(before * samples_of_frame)
        end = min(total, window_start + round((before + hidden) * samples_of_frame))
        return _Hole((first, last), start, end, window_start, window_end, ((left, first), (last, right)), before, hidden, new)

    def replace(self, hole: _Hole, sound: np.ndarray, texts: list[str]) -> None:
        """Put the sound (s,) into the hole, faded at both ends; words and changes behind it move."""
        old = self.samples[hole.start : hole.end] / self.recording.scale
        n = min(round(FADE_SECONDS * self.recording.sample_rate), len(old) // 2, len(sound) // 2)
        rise = np.linspace(0, 1, n)[:, None]
        new = np.repeat(sound[:, None], old.shape[1], 1).astype(np.float64)
        new[:n] = old[:n] * (1 - rise) + new[:n] * rise
        new[len(new) - n :] = old[len(old) - n :] * rise + new[len(new) - n :] * (1 - rise)
        self.samples = np.concatenate([self.samples[: hole.start], self.recording.stored(new), self.samples[hole.end :]])
        by, (first, last) = len(new) - (hole.end - hole.start), hole.words
        self.changes.insert(0, (hole, " ".join(w.text for w in self.words[first:last]), " ".join(texts), len(new)))
        later = [_Placed(w.text, w.start + by, w.end + by) for w in self.words[last:]]
        self.words = [*self.words[:first], *_spread(texts, hole.start, len(new)), *later]

    def changes_made(self) -> list[Change]:
        """In order; a hole was cut before anything to its left was, so its samples are still the recording's."""
        rate, made, moved = self.recording.sample_rate, [], 0
        for hole, was, text, samples in self.changes:
            start = hole.start + moved
            made.append(Change(was, text, start / rate, (start + samples) / rate, hole.start / rate, hole.end / rate))
            moved += samples - (hole.end - hole.start)
        return made


def _spread(texts: list[str], start: int, samples: int) -> list[_Placed]:
    """New words, their letters evenly over the samples."""
    ends = np.cumsum([len(t) for t in texts])
    borders = [start, *(start + np.round(ends / max(1, ends[-1:].sum()) * samples).astype(int)).tolist()]
    return [_Placed(t, a, b) for t, a, b in zip(texts, borders, borders[1:], strict=False)]


def differences(before: str, after: str) -> list[tuple[int, int, list[str]]]:
    """(first, last, texts): words first … last of `before` become the texts; none is replaced where first = last.

    Words are compared without case and punctuation. Raises FmAudioError when nothing differs or nothing is left.
    """
    old, new = written_words(before), written_words(after)
    codes = SequenceMatcher(None, [_bare(w) for w in old], [_bare(w) for w in new], autojunk=False).get_opcodes()
    changes = [(i, j, new[k:m]) for tag, i, j, k, m in codes if tag != "equal"]
    if not changes:
        raise FmAudioError("text after: says the same words as the text before; change at least one")
    if not any(tag == "equal" for tag, *_ in codes):
        raise FmAudioError("text after: keeps no word of the text before; to say another text, use fm-audio clone")
    return changes


def _bare(word: str) -> str:
    return "".join(c for c in word.casefold() if c.isalnum())
