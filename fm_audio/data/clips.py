"""One clip made ready, and clips made a batch: wave to log-mel, text to symbols, the corpus's alignment to whole frames."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fm_audio.audio import Audio, AudioSpec
from fm_audio.bandwidth import fill_above
from fm_audio.codecs import frames_of
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.cuts import source_of, wave_of_cut
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.pitch import PitchTracker
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.transfer import settle_pauses, transfer, whole_frames
from fm_audio.types import FmAudioError, length_mask

if TYPE_CHECKING:
    from lhotse.cut import Cut

log = logging.getLogger(__name__)
FOUND_SECONDS = 5.0  # so much is seen of a clip that goes with another


@dataclass(frozen=True)
class SpeechClip:
    """One clip, ready: symbols (m,), mel float16 (n bands), durations_frames (m,) summing to n, or None; log_pitch (n,)
    and voiced (n,) where pitch was asked for; heard float16 (k e), the states of a listener where there is one; damaged
    (n,) where the corpus says what is; other_text where it says what else the text might be, wrongly."""

    id: str
    text: str
    speaker: str
    symbols: Tensor
    mel: Tensor
    durations_frames: Tensor | None
    log_pitch: Tensor | None = None
    voiced: Tensor | None = None
    heard: Tensor | None = None
    damaged: Tensor | None = None
    other_text: str | None = None


def key_of(cut: Cut) -> tuple:
    """What tells a cut from all others, of other manifests too."""
    supervision = cut.supervisions[0]
    return cut.id, source_of(cut), supervision.speaker, supervision.text, cut.start, cut.duration


class SpeechDataset(Dataset):
    """A list of cuts in, a SpeechBatch out.

    Log-mels are rounded to float16 whether they are cached or not, so the first epoch, later ones and a resumed run see the same
    numbers. `captions`: texts tell what is heard and are not said, so a short clip may have a long one. `found`: for each cut,
    by `key_of`, others that go with it, the first `found_seconds` of each. `left_out` and `without_durations` hold the names of
    clips by reason, as far as this process has met them.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: FrontEnd,
        cache: bool = True,
        worst_cost: float = 0.25,
        spare: Sequence[Cut] = (),
        pitch: bool = False,
        fill_above_hz: float | None = None,
        listener: FrozenListener | None = None,
        captions: bool = False,
        found: Mapping[tuple, Sequence[Cut]] | None = None,
        found_seconds: float = FOUND_SECONDS,
    ) -> None:
        self.captions, self.found, self.found_seconds = captions, found, found_seconds
        self.spec, self.frontend, self.worst_cost, self.spare = spec, frontend, worst_cost, spare
        self.fill_above_hz, self.listener = fill_above_hz, listener
        self.tracker = PitchTracker(spec) if pitch else None
        self.left_out: dict[str, list[str]] = defaultdict(list)
        self.without_durations: dict[str, list[str]] = defaultdict(list)
        self._cache: dict[tuple, SpeechClip | None] | None = {} if cache else None

    def __getitem__(self, cuts: Iterable[Cut]) -> SpeechBatch:
        used = list(self._usable(cuts)) or list(islice(self._usable(self.spare), 1))
        if not used:
            raise FmAudioError(
                f"no clip of the corpus can be used: { {k: len(v) for k, v in self.left_out.items()} }; see the log"
            )
        batch = collate([clip for _, clip in used], self.spec)
        if self.found is None:
            return batch
        found, mask = side_by_side([self._found(cut) for cut, _ in used], self.spec)
        return replace(batch, found=found, found_mask=mask)

    def _usable(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, SpeechClip]]:
        return ((cut, clip) for cut in cuts if (clip := self.clip(cut)) is not None)

    def _found(self, cut: Cut) -> list[Tensor]:
        """Log-mels (n bands) of what was found for a cut, of each the beginning."""
        assert self.found is not None
        most = self.spec.frames_of_seconds(self.found_seconds)
        return [clip.mel[:most].float() for _, clip in self._usable(self.found.get(key_of(cut), ()))]

    def clip(self, cut: Cut) -> SpeechClip | None:
        """The clip of a cut, or None (counted and named) when it cannot be used."""
        if self._cache is None:
            return self._prepare(cut)
        key = key_of(cut)
        if key not in self._cache:
            self._cache[key] = self._prepare(cut)
        return self._cache[key]

    def align_again(self, durations: Callable[[SpeechClip], Tensor]) -> None:
        """Other durations (m,) for every clip that is kept in memory, from now on."""
        kept = self._cache or {}
        kept |= {key: replace(clip, durations_frames=durations(clip)) for key, clip in kept.items() if clip is not None}

    def _prepare(self, cut: Cut) -> SpeechClip | None:
        supervision = cut.supervisions[0]
        try:
            wave = torch.from_numpy(wave_of_cut(cut, self.spec.sample_rate))
        except FmAudioError as e:
            return self._leave_out(cut, "unreadable", str(e))
        mel = fill_above(frames_of(self.spec, wave[None])[0], self.spec, self.fill_above_hz).half()
        if not torch.isfinite(mel).all():
            return self._leave_out(cut, "not finite", "its samples hold values that are not numbers")
        try:
            symbols, durations = self._symbols(cut, wave, len(mel))
        except FmAudioError as e:
            return self._leave_out(cut, "text", str(e))
        if len(symbols) > len(mel) and not self.captions:
            return self._leave_out(cut, "too fast", f"{len(symbols)} symbols in {len(mel)} frames")
        log_pitch, voiced = self.tracker(wave.numpy(), len(mel)) if self.tracker else (None, None)
        heard = None
        if self.listener is not None:
            try:
                heard = self.listener.hear(Audio(wave.numpy(), self.spec.sample_rate)).half()
            except FmAudioError as e:
                return self._leave_out(cut, "unheard", str(e))
        damaged, other = self._damaged(cut, len(mel)), (supervision.custom or {}).get("other_text")
        return SpeechClip(
            cut.id, supervision.text, supervision.speaker, symbols, mel, durations, log_pitch, voiced, heard, damaged, other
        )  # fmt: skip

    def _damaged(self, cut: Cut, frames: int) -> Tensor | None:
        """Frames (n,) whose middle lies in a moment that the cut calls damaged."""
        moments = (cut.supervisions[0].custom or {}).get("damaged")
        if moments is None:
            return None
        middles = (torch.arange(frames) + 0.5) * self.spec.seconds_of_frames(1)
        damaged = torch.zeros(frames, dtype=torch.bool)
        for start, end in moments:
            damaged |= (middles >= start) & (middles < end)
        return damaged

    def _symbols(self, cut: Cut, wave: Tensor, frames: int) -> tuple[Tensor, Tensor | None]:
        """Symbol ids and, where the cut knows its alignment, whole frames for each of them."""
        text = cut.supervisions[0].text
        items = (cut.supervisions[0].alignment or {}).get("phone")
        if items and not isinstance(self.frontend, Spelled):  # a transcript's letters have no durations
            try:
                ids, seconds = self._aligned(text, [i.symbol for i in items], [i.duration for i in items], wave)
                return torch.tensor(ids), torch.tensor(whole_frames(seconds, frames))
            except FmAudioError as e:
                self._without_durations(cut, str(e))
        return torch.tensor(self.frontend.encode(text).ids), None

    def _aligned(self, text: str, phones: list[str], seconds: list[float], wave: Tensor) -> tuple[list[int], list[float]]:
        """The alignment as it is where its phones are our symbols; carried over for ARPAbet; else FmAudioError."""
        encoded = self.frontend.encode(text)
        if encoded.symbols == phones:
            return encoded.ids, seconds
        if not isinstance(self.frontend, Arpabet):
            raise FmAudioError(f"the corpus's phones are not the symbols of {type(self.frontend).__name__}")
        moved = transfer(self.frontend, text, phones[1:-1], seconds)
        if moved.mean_cost > self.worst_cost:
            raise FmAudioError(f"its phones differ from its text (mean cost {moved.mean_cost:.2f}, at most {self.worst_cost})")
        return moved.encoded.ids, settle_pauses(moved.encoded.symbols, moved.seconds, wave.numpy(), self.spec.sample_rate)

    def _leave_out(self, cut: Cut, reason: str, why: str) -> None:
        self.left_out[reason].append(cut.id)
        log.warning(
            "clip %s left out of training (%s, number %d of this kind): %s", cut.id, reason, len(self.left_out[reason]), why
        )

    def _without_durations(self, cut: Cut, why: str) -> None:
        known = self.without_durations[why.split("(")[0].strip()]
        known.append(cut.id)
        log.warning("clip %s is used without its durations (number %d of this kind): %s", cut.id, len(known), why)


def side_by_side(rows: Sequence[Sequence[Tensor]], spec: AudioSpec) -> tuple[Tensor, Tensor]:
    """Log-mels (n bands), several or none for each item -> (b r n bands) with mask (b r n); the floor where there is none."""
    r = max(1, *map(len, rows)) if rows else 1
    n = max([len(mel) for row in rows for mel in row], default=1)
    mels, mask = torch.full((len(rows), r, n, spec.bands), spec.floor), torch.zeros(len(rows), r, n, dtype=torch.bool)
    for i, row in enumerate(rows):
        for k, mel in enumerate(row):
            mels[i, k, : len(mel)], mask[i, k, : len(mel)] = mel, True
    return mels, mask


def collate(clips: Sequence[SpeechClip], spec: AudioSpec) -> SpeechBatch:
    """Clips side by side; mel frames after a clip's end hold the log floor, symbols and durations 0."""
    n, m = max(len(c.mel) for c in clips), max(len(c.symbols) for c in clips)
    mel = torch.full((len(clips), n, spec.bands), spec.floor)
    symbols, durations = torch.zeros(len(clips), m, dtype=torch.long), torch.zeros(len(clips), m, dtype=torch.long)
    for i, c in enumerate(clips):
        mel[i, : len(c.mel)] = c.mel.float()
        symbols[i, : len(c.symbols)] = c.symbols
        if c.durations_frames is not None:
            durations[i, : len(c.symbols)] = c.durations_frames
    log_pitch = voiced = None
    if all(c.log_pitch is not None and c.voiced is not None for c in clips):
        log_pitch, voiced = torch.zeros(len(clips), n), torch.zeros(len(clips), n, dtype=torch.bool)
        for i, c in enumerate(clips):
            assert c.log_pitch is not None and c.voiced is not None
            log_pitch[i, : len(c.mel)], voiced[i, : len(c.mel)] = c.log_pitch, c.voiced
    heard = heard_mask = None
    if all(c.heard is not None for c in clips):
        states = [c.heard.float() for c in clips if c.heard is not None]
        heard = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        heard_mask = length_mask(torch.tensor([len(s) for s in states]))
    damaged = None
    if any(c.damaged is not None for c in clips):
        damaged = torch.zeros(len(clips), n, dtype=torch.bool)
        for i, c in enumerate(clips):
            if c.damaged is not None:
                damaged[i, : len(c.mel)] = c.damaged
    frames = torch.tensor([len(c.mel) for c in clips])
    lengths = torch.tensor([len(c.symbols) for c in clips])
    return SpeechBatch(
        ids=[c.id for c in clips],
        texts=[c.text for c in clips],
        speakers=[c.speaker for c in clips],
        symbols=symbols,
        symbols_mask=torch.arange(m) < lengths[:, None],
        mel=mel,
        mask=torch.arange(n) < frames[:, None],
        durations_frames=durations,
        has_durations=torch.tensor([c.durations_frames is not None for c in clips]),
        log_pitch=log_pitch,
        voiced=voiced,
        heard=heard,
        heard_mask=heard_mask,
        damaged=damaged,
        other_texts=[c.other_text for c in clips] if any(c.other_text for c in clips) else None,
    )
