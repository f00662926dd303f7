"""Speech by infilling: part of a recording is seen, the rest is generated to the text of both, in the voice of what is seen.

    cond.frames = [ visible mel, zeros where hidden | text laid along the frames ],   loss on hidden frames only

Voicebox (Le et al. 2023, arXiv 2306.15687), E2-TTS, F5-TTS (Chen et al. 2024, arXiv 2410.06885), ZipVoice (2025). In training a
span of 70 to 100 % of each clip is hidden; the visible part is dropped with `drop_visible`, everything with `drop_all`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.frontend import COMMON_SYMBOLS, FrontEnd
from fm_audio.encoders.filler_text import FillerText
from fm_audio.flow.head import FlowHead
from fm_audio.flow.ports import MelPort
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw, uniforms
from fm_audio.tasks.infill_guidance import InfillGuidance, WithoutBoth
from fm_audio.tasks.speech_requests import Example
from fm_audio.types import Cond, FmAudioError, Frames, Mask, length_mask


@dataclass(frozen=True)
class InfillRequest:
    """Say `text` as `reference`, normalised log-mel (n bands) of someone saying `reference_text`, is said.

    `frames` fixes the length of the answer; otherwise it is spoken at the reference's rate of symbols, times `speed`. What comes
    after the answer may be given too: `after` (k bands), which says `after_text`. Either side may be empty, and so may `text`
    when `frames` are given.
    """

    text: str
    reference: Float[Tensor, "n d"]
    reference_text: str
    seed: int = 0
    speed: float = 1.0
    frames: int | None = None
    after: Float[Tensor, "k d"] | None = None
    after_text: str = ""


@runtime_checkable
class LaidText(Protocol):
    """A text encoder without durations, as `FillerText`: symbols (b m), padded with 0, and mask (b n) -> (b n width).

    Items that are `dropped` (b,) come out as the model's idea of no text.
    """

    width: int

    def __call__(self, symbols: Tensor, mask: Mask, dropped: Tensor | None = None) -> Frames: ...


class InfillTTS(nn.Module):
    """`backbone` (a `types.Backbone`) needs no vector and no tokens: the voice is in the frames.

    `fill`, `mask_filler`, `text_width` and `text_layers` are those of `FillerText`, in whose place another encoder may be given
    as `text`. `guidance` says what sampling leans away from, by default from neither text nor visible frames. With `count_all`
    lengths go by all symbols, spaces and punctuation too, and are rounded up, as in ZipVoice.
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
        text: LaidText | None = None,
        guidance: InfillGuidance | None = None,
        count_all: bool = False,
    ):
        super().__init__()
        for name, share in (("least_hidden", least_hidden), ("drop_visible", drop_visible), ("drop_all", drop_all)):
            if not 0 <= share <= 1:
                raise FmAudioError(f"InfillTTS: {name} is {share}; give a share from 0 to 1")
        self.spec, self.frontend = spec, frontend
        self.least_hidden, self.drop_visible, self.drop_all = least_hidden, drop_visible, drop_all
        self.text: LaidText = text or FillerText(len(frontend.symbols), text_width, text_layers, fill, mask_filler)
        self.guidance: InfillGuidance = guidance or WithoutBoth()
        self.count_all = count_all
        port = MelPort(spec.bands, backbone.width, spec.bands + self.text.width)  # type: ignore[arg-type]
        self.head = FlowHead(backbone, {"mel": port}, time_law=time_law)

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """{"loss"}: flow matching on hidden frames."""
        hidden = hidden_span(batch.mask, self.least_hidden, generator)
        b, device = len(batch), batch.mask.device
        dropped = uniforms(b, False, generator, device) < self.drop_all
        unseen = dropped | (uniforms(b, False, generator, device) < self.drop_visible)
        visible = batch.mel.masked_fill((hidden | ~batch.mask | unseen[:, None])[..., None], 0.0)
        cond = self.guidance.trained(self._cond(visible, batch.symbols, batch.mask, dropped))
        return {"loss": self.head.loss(batch.mel, batch.mask, cond, generator=generator, scored=hidden)}

    def _cond(self, visible: Frames, symbols: Tensor, mask: Mask, dropped: Bool[Tensor, "b"] | None = None) -> Cond:
        return Cond(frames=torch.cat([visible, self.text(symbols, mask, dropped)], -1))

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
            mels.append(self._answer(request, sampling or Sampling()))
            if progress is not None:
                progress(done / len(requests))
        return mels

    def _answer(self, request: InfillRequest, sampling: Sampling) -> Tensor:
        device = next(self.parameters()).device
        before = request.reference.to(device).float()
        after = before[:0] if request.after is None else request.after.to(device).float()
        texts = (t.strip() for t in (request.reference_text, request.text, request.after_text))
        ids = self.frontend.encode(" ".join(t for t in texts if t)).ids
        frames = request.frames or self.frames_for(request)
        total = len(before) + frames + len(after)
        if total < len(ids):
            raise FmAudioError(f"{len(ids)} symbols do not fit into {total} frames; ask for more seconds or a lower speed")
        return self._fill(before, frames, after, torch.tensor(ids, device=device), request.seed, sampling)

    @torch.inference_mode()
    def _fill(self, before: Tensor, frames: int, after: Tensor, symbols: Tensor, seed: int, sampling: Sampling) -> Tensor:
        """So many frames between (n bands) and (k bands), to the symbols (m,) of all three."""
        seen = len(before)
        mask = length_mask(torch.tensor([seen + frames + len(after)], device=before.device))
        visible = torch.cat([before, before.new_zeros(frames, self.spec.bands), after])[None]

        def told(show: bool, read: bool) -> Cond:
            unread = torch.full((1,), not read, device=mask.device)
            return self._cond(visible if show else torch.zeros_like(visible), symbols[None], mask, unread)

        plan = self.guidance.plan(told, sampling)
        return self.head.sample(mask, plan.cond, plan.sampling, [seed], null=plan.null)[0, seen : seen + frames]

    def examples(self, batch: SpeechBatch, count: int, sampling: Sampling) -> list[Example]:
        """The first clips of a batch, to look at: their first 30 % as recorded, the rest generated."""
        shown = []
        for i in range(count):
            mel, symbols = batch.mel[i, batch.mask[i]].float(), batch.symbols[i, batch.symbols_mask[i]]
            seen = round(0.3 * len(mel))
            rest = self._fill(mel[:seen], len(mel) - seen, mel[:0], symbols, i, sampling)
            shown.append(Example(torch.cat([mel[:seen], rest]), None))
        return shown

    def frames_for(self, request: InfillRequest) -> int:
        """Frames for the text at the reference's rate of spoken symbols: phones or letters, no pauses, unless `count_all`."""
        if self.count_all:
            given, asked = (len(self.frontend.encode(t)) for t in (request.reference_text, request.text))
            return math.ceil(len(request.reference) * asked / given / request.speed)
        said, to_say = (spoken_symbols(self.frontend, t) for t in (request.reference_text, request.text))
        return max(1, round(len(request.reference) * to_say / said / request.speed))


def spoken_symbols(frontend: FrontEnd, text: str) -> int:
    """How many symbols of a text are sounds or letters rather than edges, spaces and punctuation; at least 1."""
    return max(1, sum(s not in COMMON_SYMBOLS for s in frontend.encode(text).symbols))


def hidden_span(mask: Mask, least: float, generator: torch.Generator | None = None) -> Mask:
    """One span in each item, of a share of its frames drawn from [least, 1] and at a place drawn evenly: (b n), True = hidden."""
    frames = mask.sum(1)
    share = least + (1 - least) * uniforms(len(mask), False, generator, mask.device)
    span = (share * frames).round().long().clamp(min=1)
    start = (uniforms(len(mask), False, generator, mask.device) * (frames - span + 1)).long().clamp(max=frames - span)
    at = torch.arange(mask.shape[1], device=mask.device)
    return (at >= start[:, None]) & (at < (start + span)[:, None]) & mask
