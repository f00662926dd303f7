"""Speech to text by flow: log-mel → states, noise → token embeddings → letters or subwords.

    ctc > 0     a symbol or none for each state, in its place (`AlignmentWriter`), beside connectionist temporal classification
    ctc = 0     a canvas of tokens that attends to the states (`TextWriter`), as in text to text

The head, the port and the way to decide on tokens are those of text to text; only what reads the source is another. In place a
model of few hours of speech learns most; a canvas needs far more, and can write what is not said in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fm_audio.audio import Audio, AudioSpec, resample
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.perturb import SpectralMasking, VoicePerturbation
from fm_audio.data.text.spelled import Spelled
from fm_audio.encoders.firing import Firing
from fm_audio.encoders.speech import SpeechEncoder
from fm_audio.flow.path import Path
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw
from fm_audio.tasks.alignment_writer import AlignmentWriter
from fm_audio.tasks.groups import groups
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding
from fm_audio.tasks.text_writer import TextWriter
from fm_audio.tasks.transcription import Passage, Transcript, TranscriptRequest, pieces_of
from fm_audio.types import Cond, FmAudioError, Frames, Mask, length_mask

GROUP_FRAMES = 8192  # padded frames that are heard together


class SpeechToText(nn.Module):
    """`frontend` says what is written, in which letters. `backbone` (a `types.Backbone`) attends to no tokens; with ctc 0 to
    tokens of `speech_width`.

    speech_*: size of the encoder, `frames_per_token` and `kernel` as in `SpeechEncoder`; with ctc 1 or 2 frames, as every letter
    needs a state. ctc: the weight of that loss, often 0.3. `perturb` makes new voices of the clips of a batch, and `masking`
    takes parts away, in training only. The others are those of the writer; `pads` matters with ctc 0 alone.
    `listener`: a frozen speech encoder, the same as the data's, whose states are read instead of mels (one or two a token); it
    hears recordings as they are, neither perturbed nor masked.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: Spelled,
        backbone: nn.Module,
        channels: int = 64,
        speech_width: int = 144,
        speech_layers: int = 4,
        speech_heads: int = 4,
        frames_per_token: int = 4,
        kernel: int = 7,
        dropout: float = 0.1,
        condition_drop: float = 0.0,
        pads: int = 4,
        prediction: str = "logits",
        evidence: bool = True,
        label_smoothing: float = 0.0,
        self_conditioning: float = 0.0,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        port: nn.Module | None = None,
        ctc: float = 0.0,
        perturb: VoicePerturbation | None = None,
        masking: SpectralMasking | None = None,
        listener: FrozenListener | None = None,
    ) -> None:
        super().__init__()
        if not ctc >= 0.0:
            raise FmAudioError(f"ctc is {ctc}; give the weight of that loss, 0 or more, often 0.3")
        self.spec, self.frontend = spec, frontend
        self.perturb, self.masking, self.listener = perturb, masking, listener
        if listener is not None and (perturb is not None or masking is not None):
            raise FmAudioError(f"{listener} listens to samples: leave perturb and masking out, which change mels")
        read = listener.channels if listener else spec.bands
        self.encoder = SpeechEncoder(read, speech_width, speech_layers, speech_heads, frames_per_token, kernel, dropout=dropout)
        port_of = (prediction, evidence, label_smoothing, self_conditioning, time_law, path, port)
        self.writer: AlignmentWriter | TextWriter
        if ctc:
            self.writer = AlignmentWriter(
                frontend.target, backbone, speech_width, channels, condition_drop, *port_of, ctc=ctc
            )  # fmt: skip
        else:
            firing = Firing(frontend.target.longest, speech_width)
            self.writer = TextWriter(frontend.target, backbone, speech_width, channels, condition_drop, pads, *port_of, firing)

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss" (what to minimise) and its parts, "flow" and "ctc" or "length"; a batch's symbols are transcripts."""
        cond = self.encoder(*self._given(batch, generator))
        return self.writer.loss(cond, batch.symbols, batch.symbols_mask, generator)

    def _given(self, batch: SpeechBatch, generator: torch.Generator | None) -> tuple[Frames, Mask]:
        """What the encoder reads of a batch, and where it is."""
        if self.listener is not None:
            if batch.heard is None or batch.heard_mask is None:
                raise FmAudioError(f"this task listens through {self.listener}, and the data does not; name it at the top")
            return batch.heard, batch.heard_mask
        mel = batch.mel
        if self.training and self.perturb is not None:
            mel = self.perturb(mel, batch.mask, self.spec, generator)
        if self.training and self.masking is not None:
            mel = self.masking(mel, batch.mask, generator)
        return mel, batch.mask

    def default_sampling(self) -> Sampling:
        return self.writer.default_sampling()

    def default_decoding(self) -> TextDecoding:
        return self.writer.default_decoding()

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[TranscriptRequest],
        sampling: Sampling | None = None,
        decoding: TextDecoding | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Transcript]:
        """What is said in each recording; the same alone and in any company. `progress` hears the share that is done, up to 1.

        Long recordings are heard in pieces, cut where they are quiet. Raises FmAudioError where nobody speaks.
        """
        return self._by_pieces(requests, lambda cond, seeds: self.writer.write(cond, seeds, sampling, decoding), progress)

    @torch.inference_mode()
    def greedy(self, requests: Sequence[TranscriptRequest]) -> list[Transcript]:
        """What connectionist temporal classification hears by itself, without the flow: to compare with. Needs ctc above 0."""
        writer = self.writer
        if not isinstance(writer, AlignmentWriter):
            raise FmAudioError("greedy: this model was trained without ctc; use generate")
        return self._by_pieces(requests, lambda cond, _: writer.greedy(cond))

    def _by_pieces(
        self,
        requests: Sequence[TranscriptRequest],
        write: Callable[[Cond, list[int]], list[GeneratedText]],
        progress: Callable[[float], None] | None = None,
    ) -> list[Transcript]:
        pieces = [(i, start, piece) for i, r in enumerate(requests) for start, piece in pieces_of(r.audio)]
        mels = [self._read(piece) for _, _, piece in pieces]
        heard: dict[int, GeneratedText] = {}
        for group in groups([len(mel) for mel in mels], GROUP_FRAMES):
            made = write(self._heard([mels[k] for k in group]), [requests[pieces[k][0]].seed for k in group])
            heard.update(zip(group, made, strict=True))
            if progress is not None:
                progress(len(heard) / len(pieces))
        of_each: list[list[int]] = [[] for _ in requests]
        for k, (i, _, _) in enumerate(pieces):
            of_each[i].append(k)
        return [self._joined([(pieces[k], heard[k]) for k in own]) for own in of_each]

    def _read(self, audio: Audio) -> Tensor:
        """Log-mel (n bands) of a piece, or the listener's states (k e)."""
        if self.listener is not None:
            return self.listener.hear(audio, self.encoder.patch.weight.device)
        wave = torch.from_numpy(resample(audio.samples.astype(np.float32), audio.sample_rate, self.spec.sample_rate))
        return self.spec.log_mel(wave[None].to(self.encoder.patch.weight.device))[0]

    def _heard(self, mels: Sequence[Tensor]) -> Cond:
        mask = length_mask(torch.tensor([len(mel) for mel in mels], device=mels[0].device))
        return self.encoder(nn.utils.rnn.pad_sequence(list(mels), batch_first=True), mask)

    @staticmethod
    def _joined(found: Sequence[tuple[tuple[int, float, Audio], GeneratedText]]) -> Transcript:
        passages = tuple(
            Passage(made.text.strip(), round(start, 3), round(start + piece.seconds, 3), made.log_probability)
            for (_, start, piece), made in found
        )
        text = " ".join(p.text for p in passages if p.text)
        return Transcript(text, passages, sum(made.forwards for _, made in found))
