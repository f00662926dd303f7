"""Aligned text-to-speech (Matcha-TTS, Mehta et al. 2024): text → durations → frames → shared head → log-mel.

    loss = prior ½‖mel − mean‖²  +  duration (log d̂ − log d)²  +  flow ‖v̂ − v‖²  [ +  pitch (log f̂ − log F0)² ]

Durations come from the corpus where it has them, else from monotonic alignment search against the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.encoders.aligned_text import AlignedText, EncodedSymbols
from fm_audio.encoders.alignment import aligned_durations
from fm_audio.encoders.pitch import FramePitch
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import Path
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw
from fm_audio.lora import speaking
from fm_audio.tasks.groups import groups
from fm_audio.tasks.speech_requests import (
    GROUP_FRAMES,
    Example,
    Generated,
    Piece,
    SpeechRequest,
    join_pieces,
    plan_durations,
    split_request,
)
from fm_audio.types import Cond, FmAudioError, length_mask, masked_mean


class AlignedTTS(nn.Module):
    """Speakers are known by name. `backbone` (a `types.Backbone`) must take `speaker_width` as its vector width.

    `text_*` size the text encoder, `frames_per_token` the patches that the backbone sees, `condition_drop` the share of
    training items without condition (what guidance needs). With `prior_start` the flow starts at the mean instead of at zero
    (plus noise). With `pitch` the head is told F0, the batch's in training and the predicted one after it.

    `text` takes the place of the text encoder that the sizes describe; `projected` False leaves the frames' projection to the
    backbone; with `whole_durations` each predicted duration is rounded up to whole frames before the pace is applied. Matcha-TTS
    has all three. `prediction` is what the head learns, as in `MelPort`: on a `path` of constant variance, "noise" and "data" are
    diffusion's ε- and x-prediction.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: FrontEnd,
        backbone: nn.Module,
        speakers: list[str],
        speaker_width: int = 64,
        text_width: int = 256,
        text_layers: int = 4,
        text_heads: int = 4,
        frames_width: int = 128,
        frames_per_token: int = 2,
        dropout: float = 0.1,
        condition_drop: float = 0.05,
        prior_start: bool = False,
        pitch: bool = False,
        durations_width: int | None = None,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        text: nn.Module | None = None,
        projected: bool = True,
        whole_durations: bool = False,
        prediction: str = "velocity",
    ):
        super().__init__()
        if len(set(speakers)) != len(speakers) or not speakers:
            raise FmAudioError(f"speakers: give each name once and at least one; given {speakers}")
        self.spec, self.frontend, self.prior_start, self.whole_durations = spec, frontend, prior_start, whole_durations
        self.speakers = {name: i for i, name in enumerate(speakers)}
        # Of speakers who came with an adapter: its number (fm_audio.lora), and the front-end they read with, if another.
        self.adapters: dict[str, int] = {}
        self.front_ends: dict[str, FrontEnd] = {}
        self.speaker = nn.Embedding(len(speakers), speaker_width)
        self.text: Any = text or AlignedText(
            len(frontend.symbols), spec.bands, speaker_width, text_width, text_layers, text_heads,
            frames_width=frames_width, dropout=dropout, durations_width=durations_width,
        )  # fmt: skip
        channels: int = self.text.frames_channels  # type: ignore[assignment]
        self.pitch = FramePitch(spec, channels, speaker_width, dropout=dropout) if pitch else None
        channels += self.pitch.channels if self.pitch else 0
        port = MelPort(spec.bands, backbone.width, channels, frames_per_token, prediction, projected)  # type: ignore[arg-type]
        self.head = FlowHead(backbone, {"mel": port}, path, time_law=time_law, condition_drop=condition_drop)

    def speaker_index(self, names: Sequence[str]) -> Int[Tensor, "b"]:
        unknown = sorted(set(names) - set(self.speakers))
        if unknown:
            raise FmAudioError(f"unknown speakers {unknown[:5]}; this model knows {', '.join(self.speakers)}")
        return torch.tensor([self.speakers[n] for n in names], device=self.speaker.weight.device)

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss" (what to minimise) and its parts "prior", "duration", "flow" and, of a task that has it, "pitch"."""
        speaker = self.speaker(self.speaker_index(batch.speakers))
        encoded = self.text(batch.symbols, batch.symbols_mask, speaker)
        durations = self.align(batch, encoded)
        mean, frames = self.text.frames(encoded, durations, batch.mel.shape[1])
        prior = masked_mean(0.5 * (batch.mel - mean) ** 2, batch.mask)
        target = durations.clamp(min=1).float().log()
        duration = masked_mean((encoded.log_durations - target) ** 2, batch.symbols_mask)
        cond = Cond(frames=frames, vector=speaker)
        parts = {"prior": prior, "duration": duration}
        if self.pitch is not None:
            if batch.log_pitch is None or batch.voiced is None:
                raise FmAudioError("this task learns pitch and the batch has none; set pitch: true of the data too")
            parts["pitch"] = self.pitch.loss(self.pitch(cond, batch.mask), batch.log_pitch, batch.voiced)
            cond = Cond(frames=self.pitch.tell(frames, batch.log_pitch), vector=speaker)
        x0_mean = mean if self.prior_start else None
        parts["flow"] = self.head.loss(batch.mel, batch.mask, cond, generator=generator, x0_mean=x0_mean)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    @torch.no_grad()
    def align(self, batch: SpeechBatch, encoded: EncodedSymbols) -> Int[Tensor, "b m"]:
        """Frames per symbol: the corpus's where it has them, else the most likely monotonic alignment to the mean."""
        durations, found = batch.durations_frames, ~batch.has_durations
        if found.any():
            path = aligned_durations(encoded.mean[found], batch.symbols_mask[found], batch.mel[found], batch.mask[found])
            durations = durations.clone()
            durations[found] = path.to(durations)
        return durations

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[SpeechRequest],
        sampling: Sampling | None = None,
        progress: Callable[[float], None] | None = None,
        batch_frames: int | None = None,
    ) -> list[Generated]:
        """One log-mel for each request; the same alone and in any company.

        Long texts are split at sentences, generated in batches and joined. Texts are encoded one piece at a time, so that a
        rounded duration can never depend on what shares its batch. `progress` hears the share of frames done, up to 1.
        `batch_frames` go through the head together; by default a minute on an accelerator and one piece on a CPU, where a
        batch is no faster, and single pieces come out equal to the last bit (Griffin-Lim would make the last bit audible).
        """
        sampling = sampling or Sampling()
        if self.pitch is None and any(r.semitones for r in requests):
            raise FmAudioError("pitch: this model was trained without it and cannot move it; leave it at 0")
        speakers = self.speaker_index([r.speaker for r in requests])
        read_by = [self.front_ends.get(r.speaker, self.frontend) for r in requests]
        pieces = [piece for i, request in enumerate(requests) for piece in split_request(i, request, read_by[i])]
        vectors = self.speaker(speakers)
        adapters = torch.tensor([self.adapters.get(r.speaker, 0) for r in requests], device=vectors.device)
        encoded = [self._encode(p, vectors[p.request], adapters[p.request]) for p in pieces]
        predicted = [e.log_durations[0] for e in encoded]
        if self.whole_durations:
            predicted = [d.exp().ceil().log() for d in predicted]
        durations = plan_durations(requests, pieces, predicted, self.spec)
        mels: list[Tensor] = [torch.empty(0)] * len(pieces)
        lengths = [int(d.sum()) for d in durations]
        done = 0
        if batch_frames is None:
            batch_frames = 0 if vectors.device.type == "cpu" else GROUP_FRAMES
        for group in groups(lengths, batch_frames):
            of_group = vectors[[pieces[i].request for i in group]]
            seeds = [pieces[i].seed for i in group]
            octaves = of_group.new_tensor([requests[pieces[i].request].semitones for i in group]) / 12
            with speaking(adapters[[pieces[i].request for i in group]]):
                rendered = self._render(
                    [encoded[i] for i in group], [durations[i] for i in group], of_group, octaves, seeds, sampling
                )
            for i, mel in zip(group, rendered, strict=True):
                mels[i] = mel
            done += sum(lengths[i] for i in group)
            if progress is not None:
                progress(done / sum(lengths))
        return join_pieces(len(requests), pieces, durations, mels)

    @torch.inference_mode()
    def examples(self, batch: SpeechBatch, count: int, sampling: Sampling) -> list[Example]:
        """The first clips of a batch, to look at: generated from their texts, and how the recordings are aligned."""
        spoken = self.generate([SpeechRequest(batch.texts[i], batch.speakers[i], seed=i) for i in range(count)], sampling)
        speaker = self.speaker(self.speaker_index(batch.speakers))
        durations = self.align(batch, self.text(batch.symbols, batch.symbols_mask, speaker))
        return [Example(s.mel, d[m]) for s, d, m in zip(spoken, durations, batch.symbols_mask, strict=False)]

    def _encode(self, piece: Piece, vector: Tensor, adapter: Tensor) -> EncodedSymbols:
        symbols = torch.tensor([piece.encoded.ids], device=vector.device)
        with speaking(adapter[None]):
            return self.text(symbols, torch.ones_like(symbols, dtype=torch.bool), vector[None])

    def _render(
        self,
        encoded: list[EncodedSymbols],
        durations: list[Tensor],
        vectors: Tensor,
        octaves: Tensor,
        seeds: list[int],
        sampling: Sampling,
    ) -> list[Tensor]:
        def pad(rows: list[Tensor]) -> Tensor:
            return nn.utils.rnn.pad_sequence(rows, batch_first=True)

        lengths = torch.stack([d.sum() for d in durations])
        mask = length_mask(lengths)
        together = EncodedSymbols(*[pad([getattr(e, f.name)[0] for e in encoded]) for f in fields(EncodedSymbols)])
        mean, frames = self.text.frames(together, pad(durations), mask.shape[1])
        x0_mean = mean if self.prior_start else None
        cond = Cond(frames=frames, vector=vectors)
        if self.pitch is not None:
            log_pitch = self.pitch(cond, mask) + math.log(2) * octaves[:, None]
            cond = Cond(frames=self.pitch.tell(frames, log_pitch), vector=vectors)
        mel = self.head.sample(mask, cond, sampling, seeds, x0_mean=x0_mean)
        return [row[:n] for row, n in zip(mel, lengths.tolist(), strict=True)]
