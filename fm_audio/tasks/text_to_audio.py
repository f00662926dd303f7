"""Text to audio: a caption and a length in seconds become a log-mel of any sound, on the shared head.

    caption ─▶ states ─┬▶ Cond.tokens          seconds ─▶ sinusoids of log₂ ─┐
                       └▶ their mean ─────────────────────────────────────────┴▶ Cond.vector
    clips that were found for the caption ─▶ states ─▶ Cond.tokens, behind those of the caption (and their mean to Cond.vector)
    frames that are given (to extend or to fill) and where they are ─▶ Cond.frames

The caption alone is dropped in training, so that guidance leans away from "any sound of that length", or from a negative prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.clips import side_by_side
from fm_audio.data.frozen_captions import FrozenCaptions
from fm_audio.data.text.spelled import Spelled
from fm_audio.encoders.clips import ClipEncoder
from fm_audio.encoders.tokens import TokenEncoder
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import Path
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw, uniforms
from fm_audio.tasks.groups import groups
from fm_audio.tasks.infill_tts import hidden_span
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.speech_requests import GROUP_FRAMES, Example
from fm_audio.tasks.text_writer import require_guidance_was_trained
from fm_audio.types import Cond, FmAudioError, Frames, Mask, length_mask
from fm_audio.zipformer import sinusoids

RETRIEVE = 4  # clips that training data bring to a model that looks at any
OCTAVE = 25.0  # radians at the fastest sinusoid for twice the length: lengths a few per cent apart are told apart


class TextToAudio(nn.Module):
    """`backbone` (a `types.Backbone`) takes `vector_width` and attends to tokens of `caption_width`.

    frontend: the letters or pieces that captions are read in, by an encoder that is trained with the rest; or a text encoder of
    `transformers`, which stays as it is: caption_layers and caption_heads are not used then.
    condition_drop: the share of training items without a caption. infill: the share that sees a part of its sound.
    retrieval: looks at clips found for the caption (`SpeechDataModule(retrieve=…)`, `SoundRequest.found`); in training a
    share of `retrieval_drop` of the items sees none of them, and the others each of theirs half of the time. clips_gist: is told
    the mean of their states as well, in `Cond.vector`.
    prediction: as in `MelPort`; with "velocity" the backbone must be wider than frames_per_token · bands.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: Spelled | FrozenCaptions,
        backbone: nn.Module,
        caption_width: int = 128,
        caption_layers: int = 3,
        caption_heads: int = 4,
        vector_width: int = 64,
        frames_per_token: int = 2,
        dropout: float = 0.1,
        condition_drop: float = 0.1,
        infill: float = 0.2,
        retrieval: bool = False,
        retrieval_drop: float = 0.3,
        clips_gist: bool = False,
        prediction: str = "velocity",
        time_law: TimeLaw | None = None,
        path: Path | None = None,
    ) -> None:
        super().__init__()
        for name, share in (("condition_drop", condition_drop), ("infill", infill), ("retrieval_drop", retrieval_drop)):
            if not 0.0 <= share < 1.0:
                raise FmAudioError(f"TextToAudio: {name} is {share}; give a share in [0, 1)")
        self.spec, self.frontend = spec, frontend
        self.condition_drop, self.infill, self.retrieval_drop = condition_drop, infill, retrieval_drop
        self.encoder: nn.Module
        if isinstance(frontend, FrozenCaptions):
            self.encoder = nn.Linear(frontend.channels, caption_width)
        else:
            self.encoder = TokenEncoder(len(frontend.symbols), caption_width, caption_layers, caption_heads, dropout=dropout)
        self.clips = ClipEncoder(spec.bands, caption_width) if retrieval else None
        self.gist = nn.Linear(caption_width, vector_width)
        if clips_gist and not retrieval:
            raise FmAudioError("TextToAudio: clips_gist is of clips that are found; give retrieval: true as well")
        self.clips_gist = nn.Linear(caption_width, vector_width) if clips_gist else None
        self.vector_width = vector_width
        width: int = backbone.width  # type: ignore[assignment]
        port = MelPort(spec.bands, width, spec.bands + 1, frames_per_token, prediction)
        self.head = FlowHead(backbone, {"mel": port}, path, time_law=time_law)

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalar "loss". A batch's symbols are captions; its speakers and durations are not read."""
        b, device = len(batch), batch.mask.device
        read = uniforms(b, False, generator, device) >= self.condition_drop
        filled = uniforms(b, False, generator, device) < self.infill
        hidden = hidden_span(batch.mask, 0.3, generator) | (batch.mask & ~filled[:, None])
        found = self._seen(batch, read, generator)
        states = self._states(batch.symbols, batch.symbols_mask)
        cond = self._cond(states.drop(read), batch.mask, batch.mel, batch.mask & ~hidden, found)
        null = None
        if self.head.objective is not None:  # a teacher's guidance leans away from the same as in `generate`
            unseen = None
            if self.clips is not None and batch.found is not None and batch.found_mask is not None:
                unseen = self.clips(batch.found, torch.zeros_like(batch.found_mask))
            null = self._cond(states.null(), batch.mask, batch.mel, batch.mask & ~hidden, unseen)
        return {"loss": self.head.loss(batch.mel, batch.mask, cond, generator=generator, scored=hidden, null=null)}

    def _seen(self, batch: SpeechBatch, read: Tensor, generator: torch.Generator | None) -> Cond | None:
        """States of the clips that each item is shown: none without its caption, else each of them half of the time."""
        if self.clips is None:
            return None
        if batch.found is None or batch.found_mask is None:
            raise FmAudioError("TextToAudio: is to look at clips that were found, but the data bring none; give data retrieve: 4")
        b, r = batch.found.shape[:2]
        device = batch.mask.device
        some = read & (uniforms(b, False, generator, device) >= self.retrieval_drop)
        shown = some[:, None] & (uniforms(b * r, False, generator, device).view(b, r) < 0.5)
        return self.clips(batch.found, batch.found_mask & shown[..., None])

    def default_sampling(self) -> Sampling:
        return Sampling(steps=16, guidance=3.0, guidance_rescale=0.5)

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[SoundRequest],
        sampling: Sampling | None = None,
        progress: Callable[[float], None] | None = None,
        batch_frames: int | None = None,
    ) -> list[Tensor]:
        """Normalised log-mel (n bands) of each request; the same alone and in any company. `progress` hears the share done.

        Raises FmAudioError for captions that cannot be read, for guidance of a model that was not trained for it, for given
        frames that are not as many as the seconds ask for, and for found clips where the model does not look at any.
        """
        sampling = sampling or self.default_sampling()
        if self.clips is None and any(r.found for r in requests):
            raise FmAudioError("found: this model does not look at other clips; ask without, or train one with retrieval: true")
        require_guidance_was_trained(sampling, self.condition_drop)
        device = self.gist.weight.device
        lengths = [self._frames(r) for r in requests]
        read = [tuple(self.frontend.encode(text).ids if text else [] for text in (r.prompt, r.negative)) for r in requests]
        if batch_frames is None:
            batch_frames = 0 if device.type == "cpu" else GROUP_FRAMES
        made: dict[int, Tensor] = {}
        for since in sorted({_since(r) for r in requests}):
            these = [i for i, r in enumerate(requests) if _since(r) == since]
            for group in groups([lengths[i] for i in these], batch_frames):
                own = [these[k] for k in group]
                mels = self._made([requests[i] for i in own], [lengths[i] for i in own], [read[i] for i in own], sampling, since)
                made.update(zip(own, mels, strict=True))
                if progress is not None:
                    progress(sum(lengths[i] for i in made) / sum(lengths))
        return [made[i] for i in range(len(requests))]

    @torch.inference_mode()
    def examples(self, batch: SpeechBatch, count: int, sampling: Sampling) -> list[Example]:
        """The first clips of a batch, to look at: made from their captions, as long as they are."""
        seconds = [self.spec.seconds_of_frames(int(n)) for n in batch.mask.sum(1)[:count]]
        asked = [SoundRequest(batch.texts[i], s, seed=i) for i, s in enumerate(seconds)]
        return [Example(mel, None) for mel in self.generate(asked, self.default_sampling().changed(steps=sampling.steps))]

    def _frames(self, request: SoundRequest) -> int:
        frames = self.spec.frames_of_seconds(request.seconds)
        for name, mel in (("start", request.start), ("given", request.given)):
            if mel is not None and mel.shape != (frames, self.spec.bands):
                wanted = frames, self.spec.bands
                raise FmAudioError(f"{name}: is {tuple(mel.shape)}; {request.seconds:g} s are {wanted} here, frames and bands")
        return frames

    def _made(
        self,
        requests: Sequence[SoundRequest],
        lengths: Sequence[int],
        read: Sequence[tuple[list[int], ...]],
        sampling: Sampling,
        since: float,
    ) -> list[Tensor]:
        device = self.gist.weight.device
        mask = length_mask(torch.tensor(lengths, device=device))
        given, kept = mask.new_zeros(*mask.shape, self.spec.bands).float(), torch.zeros_like(mask)
        begin = torch.zeros_like(given)
        for i, r in enumerate(requests):
            if r.given is not None and r.kept is not None:
                given[i, : lengths[i]], kept[i, : lengths[i]] = r.given.to(given), r.kept.to(device)
            if r.start is not None:
                begin[i, : lengths[i]] = r.start.to(given)
        captions = self._captions([ids[k] for k in (0, 1) for ids in read])  # asked for, then negative, in one width
        found, unseen = self._found(requests)
        cond = self._cond(captions.rows(slice(len(requests))), mask, given, kept, found)
        null = self._cond(captions.rows(slice(len(requests), None)), mask, given, kept, unseen)
        x1 = self.head.sample(
            mask, cond, sampling, [r.seed for r in requests], null=null, begin=begin if since else None, since=since
        )
        x1 = torch.where(kept[..., None], given, x1)
        return [row[:n] for row, n in zip(x1, lengths, strict=True)]

    def _found(self, requests: Sequence[SoundRequest]) -> tuple[Cond | None, Cond | None]:
        """States of the clips that were found, and the same with none to be seen."""
        if self.clips is None:
            return None, None
        device = self.gist.weight.device
        mels, mask = (x.to(device) for x in side_by_side([r.found for r in requests], self.spec))
        return self.clips(mels, mask), self.clips(mels, torch.zeros_like(mask))

    def _captions(self, ids: Sequence[list[int]]) -> Cond:
        """States of captions; of an empty one, those of no caption."""
        device = self.gist.weight.device
        known = torch.tensor([len(row) > 0 for row in ids], device=device)
        rows = [torch.tensor(row or [1], device=device) for row in ids]
        mask = length_mask(torch.tensor([len(row) for row in rows], device=device))
        return self._states(nn.utils.rnn.pad_sequence(rows, batch_first=True), mask).drop(known)

    def _states(self, ids: Tensor, mask: Mask) -> Cond:
        if not isinstance(self.frontend, FrozenCaptions):
            return self.encoder(ids, mask)
        states = self.encoder(self.frontend.states(ids, mask)).masked_fill(~mask[..., None], 0.0)
        return Cond(tokens=states, tokens_mask=mask)

    def _cond(self, caption: Cond, mask: Mask, mel: Frames, kept: Mask, found: Cond | None = None) -> Cond:
        """What the head is told: the caption, the seconds, the frames that are kept, the clips that were found."""
        assert caption.tokens is not None and caption.tokens_mask is not None
        mean = caption.tokens.sum(1) / caption.tokens_mask.sum(1, keepdim=True)
        told = (caption.tokens != 0).flatten(1).any(1, keepdim=True)
        vector = self._seconds(mask) + self.gist(mean).float() * told
        if self.clips_gist is not None and found is not None:
            assert found.tokens is not None and found.tokens_mask is not None
            many = found.tokens_mask.sum(1, keepdim=True)
            vector = vector + self.clips_gist(found.tokens.sum(1) / many.clamp(min=1)).float() * (many > 0)
        frames = torch.cat([mel.float().masked_fill(~kept[..., None], 0.0), kept[..., None].float()], -1)
        return Cond.join(caption, *([] if found is None else [found]), Cond(frames=frames, vector=vector))

    def _seconds(self, mask: Mask) -> Float[Tensor, "b g"]:
        """Sinusoids of log₂ of the length, the fastest of which turns by OCTAVE radians for twice the length."""
        return sinusoids(OCTAVE * (mask.sum(1) * self.spec.seconds_of_frames(1)).log2(), self.vector_width)


def _since(request: SoundRequest) -> float:
    """The time t at which the way begins."""
    return 0.0 if request.start is None else 1.0 - request.strength
