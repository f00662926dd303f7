"""Speech by infilling: part of a recording is seen, the rest is generated to the text of both, in the voice of what is seen.

    cond.frames = [ visible mel, zeros where hidden | text laid along the frames ],   loss on hidden frames only

Voicebox (Le et al. 2023, arXiv 2306.15687), E2-TTS, F5-TTS (Chen et al. 2024, arXiv 2410.06885), ZipVoice (2025). In training a
span of `least_hidden` to 100 % of a clip is hidden; what is visible is dropped with `drop_visible`, everything with `drop_all`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.perturb import VoicePerturbation
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.encoders.alignment import aligned_durations
from fm_audio.encoders.filler_text import FILLS, FillerText
from fm_audio.encoders.length import Length, LengthPredictor
from fm_audio.encoders.timed_text import TimedText
from fm_audio.encoders.voice import VoiceVector
from fm_audio.flow.guidance import Nulls
from fm_audio.flow.head import FlowHead
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw, uniforms
from fm_audio.lora import speaking
from fm_audio.tasks.infill_guidance import InfillGuidance, Told, WithoutBoth
from fm_audio.tasks.infill_length import learned_length, length_loss, rate_length
from fm_audio.tasks.infill_requests import LENGTHS, InfillRequest, symbols_of_parts
from fm_audio.tasks.speech_requests import Example
from fm_audio.types import Cond, FmAudioError, Frames, Mask, length_mask

LENGTH_SHARE = 0.01  # of the length's loss: it is steep where it is sure, and all gradients are clipped as one


@runtime_checkable
class LaidText(Protocol):
    """A text encoder without durations, as `FillerText`: symbols (b m), padded with 0, and mask (b n) -> (b n width).

    Items that are `dropped` (b,) come out as the model's idea of no text.
    """

    width: int

    def __call__(self, symbols: Tensor, mask: Mask, dropped: Tensor | None = None) -> Frames: ...


class InfillTTS(nn.Module):
    """`fill` says how the text lies along the frames: "filled" and "stretched" are those of `FillerText`, whose sizes are
    `text_width` and `text_layers` (`mask_filler` too); "aligned" follows durations (`TimedText`; `text_heads`, `dropout`).

    `frames_per_token` sizes the patches that the backbone sees. With `voice_width`, which "aligned" needs, a vector of what is
    visible goes to the backbone (a `types.Backbone`, which must take that vector width) and to aligned text. `learned_length`
    trains a `LengthPredictor` along.

    Another encoder without durations may be given as `text`. `guidance` says what sampling leans away from, by default from
    neither text nor visible frames. With `count_all` lengths by rate go by all symbols, spaces and punctuation too, and are
    rounded up, as in ZipVoice. `perturb` makes new voices of the clips of a batch in training, and does nothing elsewhere.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: FrontEnd,
        backbone: nn.Module,
        text_width: int = 512,
        text_layers: int = 4,
        fill: str = "filled",
        mask_filler: bool = True,
        least_hidden: float = 0.7,
        drop_visible: float = 0.3,
        drop_all: float = 0.2,
        time_law: TimeLaw | None = None,
        frames_per_token: int = 1,
        voice_width: int = 0,
        text_heads: int = 4,
        dropout: float = 0.1,
        learned_length: bool = False,
        text: LaidText | None = None,
        guidance: InfillGuidance | None = None,
        count_all: bool = False,
        perturb: VoicePerturbation | None = None,
    ):
        super().__init__()
        for name, share in (("least_hidden", least_hidden), ("drop_visible", drop_visible), ("drop_all", drop_all)):
            if not 0 <= share <= 1:
                raise FmAudioError(f"InfillTTS: {name} is {share}; give a share from 0 to 1")
        if fill not in (*FILLS, "aligned"):
            raise FmAudioError(f"InfillTTS: fill is {fill!r}; give one of {', '.join(FILLS)}, aligned")
        if fill == "aligned" and not voice_width:
            raise FmAudioError("InfillTTS: aligned text is read in a voice; give voice_width, for example 64")
        self.spec, self.frontend = spec, frontend
        # Of adapters that are worn: their numbers (fm_audio.lora), and the front-ends they read with, if others.
        self.adapters: dict[str, int] = {}
        self.front_ends: dict[str, FrontEnd] = {}
        self.least_hidden, self.drop_visible, self.drop_all = least_hidden, drop_visible, drop_all
        symbols = len(frontend.symbols)
        self.text: LaidText | TimedText
        if text is not None:
            self.text = text
        elif fill == "aligned":
            self.text = TimedText(symbols, spec.bands, voice_width, text_width, text_layers, text_heads, dropout)
        else:
            self.text = FillerText(symbols, text_width, text_layers, fill, mask_filler)
        self.guidance: InfillGuidance = guidance or WithoutBoth()
        self.count_all, self.perturb = count_all, perturb
        self.voice = VoiceVector(spec.bands, voice_width) if voice_width else None
        self.lengths = LengthPredictor(symbols) if learned_length else None
        width: Any = backbone.width
        port = MelPort(spec.bands, width, spec.bands + self.text.width, frames_per_token)
        self.head = FlowHead(backbone, {"mel": port}, time_law=time_law)

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The "loss" and its parts: "flow" matching on hidden frames; with aligned text "prior" and "duration" of `TimedText`;
        with a learned length its "length", a negative log likelihood that counts for little (`LENGTH_SHARE`).
        """
        if self.perturb is not None and self.training:
            batch = replace(batch, mel=self.perturb(batch.mel, batch.mask, self.spec, generator))
        hidden = hidden_span(batch.mask, self.least_hidden, generator)
        b, device = len(batch), batch.mask.device
        dropped = uniforms(b, False, generator, device) < self.drop_all
        unseen = dropped | (uniforms(b, False, generator, device) < self.drop_visible)
        seen = batch.mask & ~hidden & ~unseen[:, None]
        visible = batch.mel.masked_fill(~seen[..., None], 0.0)
        voice = None if self.voice is None else self.voice(visible, seen)
        durations, known, parts = batch.durations_frames, batch.has_durations, {}
        if isinstance(self.text, TimedText):
            assert voice is not None
            encoded = self.text.encode(batch.symbols, batch.symbols_mask, voice)
            durations, known = self._align(batch, encoded.mean), torch.ones_like(known)
            parts = self.text.losses(encoded, durations, batch.symbols_mask, batch.mel, batch.mask)
            text = self.text(encoded, durations, batch.mask, dropped)
        else:
            text = self.text(batch.symbols, batch.mask, dropped)
        cond, null = self.guidance.trained(condition(visible, text, voice)), self._null_of_teacher(batch, visible, text, voice)
        parts["flow"] = self.head.loss(batch.mel, batch.mask, cond, generator=generator, scored=hidden, null=null)
        loss = torch.stack(list(parts.values())).sum()
        if self.lengths is not None:
            parts["length"] = length_loss(self.lengths, batch, hidden, durations, known, unseen)
            loss = loss + LENGTH_SHARE * parts["length"]
        return {"loss": loss, **parts}

    def _null_of_teacher(
        self, batch: SpeechBatch, visible: Frames, text: Float[Tensor, "b n e"], voice: Float[Tensor, "b g"] | None
    ) -> Nulls:
        """In distillation, what the guidance of a teacher leans away from, the same as in sampling. Raises FmAudioError for one
        that is told its guidance."""
        if self.head.objective is None or self.head.objective.guidance == 1.0:
            return None
        no_text = torch.zeros_like(text)
        if not isinstance(self.text, TimedText):
            no_text = self.text(batch.symbols, batch.mask, torch.ones_like(batch.mask[:, 0]))
        asked = Sampling(guidance=self.head.objective.guidance)
        plan = self.guidance.plan(told(visible, text, no_text, voice), asked)
        if plan.sampling.guidance != asked.guidance:
            raise FmAudioError(f"distillation: guidance is baked into this teacher ({type(self.guidance).__name__}); give 1")
        return plan.null

    @torch.no_grad()
    def _align(self, batch: SpeechBatch, mean: Float[Tensor, "b m d"]) -> Int[Tensor, "b m"]:
        """Frames per symbol: the corpus's where it has them, else the most likely monotonic alignment to the means."""
        durations, found = batch.durations_frames, ~batch.has_durations
        if found.any():
            path = aligned_durations(mean[found], batch.symbols_mask[found], batch.mel[found], batch.mask[found])
            durations = durations.clone()
            durations[found] = path.to(durations)
        return durations

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[InfillRequest],
        sampling: Sampling | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Tensor]:
        """Normalised log-mel (frames bands) of each request's text, without what it was given; one at a time: company is none."""
        mels = []
        for done, request in enumerate(requests, 1):
            with self._speaking(request):
                mels.append(self._answer(request, sampling or Sampling()))
            if progress is not None:
                progress(done / len(requests))
        return mels

    def forwards(self, sampling: Sampling) -> int | None:
        """Network evaluations of a request, guided ones counted twice; None where they depend on the item."""
        plan = self.guidance.plan(lambda show, read: Cond(frames=torch.zeros(1, 1, 1)), sampling)
        return self.head.forwards(plan.sampling)

    def reads(self, voice: str | None) -> FrontEnd:
        """The front-end that texts of this adapter's voice are read with, or the model's own."""
        return self.front_ends.get(voice or "", self.frontend)

    def _speaking(self, request: InfillRequest) -> AbstractContextManager[None]:
        return speaking(torch.tensor([self.adapters.get(request.voice or "", 0)], device=next(self.parameters()).device))

    def _answer(self, request: InfillRequest, sampling: Sampling) -> Tensor:
        device = next(self.parameters()).device
        before = request.reference.to(device).float()
        after = before[:0] if request.after is None else request.after.to(device).float()
        frames, reads = request.frames or self.length(request).frames, self.reads(request.voice)
        if isinstance(self.text, TimedText):
            parts = symbols_of_parts(reads, request.texts, [len(before) > 0, True, len(after) > 0])
        else:  # one text, as the published models read it
            parts = [reads.encode(" ".join(t for t in request.texts if t)).ids]
        ids = [i for part in parts for i in part]
        total = len(before) + frames + len(after)
        if total < len(ids):
            raise FmAudioError(f"{len(ids)} symbols do not fit into {total} frames; ask for more seconds or a lower speed")
        symbols, counts = torch.tensor(ids, device=device), [len(p) for p in parts]
        return self._fill(before, frames, after, symbols, request.seed, sampling, counts)

    @torch.inference_mode()
    def _fill(
        self,
        before: Tensor,
        frames: int,
        after: Tensor,
        symbols: Tensor,
        seed: int,
        sampling: Sampling,
        counts: Sequence[int] = (),
        durations: Tensor | None = None,
    ) -> Tensor:
        """So many frames between (n bands) and (k bands), to the symbols (m,) of all three.

        Aligned text needs the number of symbols in each of the three, or the durations (m,) of all symbols.
        """
        start = len(before)
        mask = length_mask(torch.tensor([start + frames + len(after)], device=before.device))
        at = torch.arange(mask.shape[1], device=before.device)[None]
        seen = (at < start) | (at >= start + frames)
        visible = torch.cat([before, before.new_zeros(frames, self.spec.bands), after])[None]
        voice = None if self.voice is None else self.voice(visible, seen)
        if isinstance(self.text, TimedText):
            assert voice is not None
            encoded = self.text.encode(symbols[None], torch.ones_like(symbols[None], dtype=torch.bool), voice)
            if durations is None:
                laid = self.text.durations(encoded, counts, (start, frames, len(after)), visible)
            else:
                laid = durations[None]
            text = self.text(encoded, laid, mask)
            no_text = torch.zeros_like(text)
        else:
            text, no_text = (self.text(symbols[None], mask, torch.full_like(mask[:, 0], gone)) for gone in (False, True))
        plan = self.guidance.plan(told(visible, text, no_text, voice), sampling)
        return self.head.sample(mask, plan.cond, plan.sampling, [seed], null=plan.null)[0, start : start + frames]

    def examples(self, batch: SpeechBatch, count: int, sampling: Sampling) -> list[Example]:
        """The first clips of a batch, to look at: their first 30 % as recorded, the rest generated."""
        shown = []
        known = self._known_durations(batch)
        for i in range(count):
            mel, symbols = batch.mel[i, batch.mask[i]].float(), batch.symbols[i, batch.symbols_mask[i]]
            seen = round(0.3 * len(mel))
            durations = None if known is None else known[i, batch.symbols_mask[i]]
            rest = self._fill(mel[:seen], len(mel) - seen, mel[:0], symbols, i, sampling, durations=durations)
            shown.append(Example(torch.cat([mel[:seen], rest]), durations))
        return shown

    @torch.inference_mode()
    def _known_durations(self, batch: SpeechBatch) -> Tensor | None:
        """How the recordings are aligned, (b m), where the text lies by durations."""
        if not isinstance(self.text, TimedText) or self.voice is None:
            return None
        encoded = self.text.encode(batch.symbols, batch.symbols_mask, self.voice(batch.mel, batch.mask))
        return self._align(batch, encoded.mean)

    def length(self, request: InfillRequest) -> Length:
        """Frames for the text and how sure they are, by the rule that is asked for.

        Raises FmAudioError for rules that there are not, or that this model has not learned.
        """
        rule, reads = self.length_rule(request.length), self.reads(request.voice)
        if rule == "rate" or self.lengths is None:
            return rate_length(reads, request, self.count_all)
        with self._speaking(request):
            return learned_length(self.lengths, reads, request)

    def length_rule(self, asked: str | None) -> str:
        """The rule that is asked for, the learned one where None is asked for and the model has it."""
        if asked is None:
            return LENGTHS[self.lengths is not None]
        if asked not in LENGTHS:
            raise FmAudioError(f"length: {asked!r} is no rule; give {' or '.join(LENGTHS)}")
        if asked == "learned" and self.lengths is None:
            raise FmAudioError("length: this model was trained without learned_length; ask for rate")
        return asked


def condition(visible: Frames, text: Float[Tensor, "b n e"], voice: Float[Tensor, "b g"] | None = None) -> Cond:
    """What the head is told: visible (b n bands) beside text (b n e), and the voice."""
    return Cond(frames=torch.cat([visible, text], -1), vector=voice)


def told(
    visible: Frames, text: Float[Tensor, "b n e"], no_text: Float[Tensor, "b n e"], voice: Float[Tensor, "b g"] | None = None
) -> Told:
    """(show, read) -> the condition with or without what is visible, and with or without the text."""
    unseen, no_voice = torch.zeros_like(visible), None if voice is None else torch.zeros_like(voice)
    return lambda show, read: condition(visible if show else unseen, text if read else no_text, voice if show else no_voice)


def hidden_span(mask: Mask, least: float, generator: torch.Generator | None = None) -> Mask:
    """One span in each item, of a share of its frames drawn from [least, 1] and at a place drawn evenly: (b n), True = hidden."""
    frames = mask.sum(1)
    share = least + (1 - least) * uniforms(len(mask), False, generator, mask.device)
    span = (share * frames).round().long().clamp(min=1)
    start = (uniforms(len(mask), False, generator, mask.device) * (frames - span + 1)).long().clamp(max=frames - span)
    at = torch.arange(mask.shape[1], device=mask.device)
    return (at >= start[:, None]) & (at < (start + span)[:, None]) & mask
