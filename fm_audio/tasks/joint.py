"""One backbone for three directions: text → speech through a mel port, speech → text and text → text through one token port.

    loss = Σ_k exp(−s_k) L_k + s_k        k: speech, listening, writing

The s_k are learned (after Kendall, Gal and Cipolla 2018, "Multi-task learning using uncertainty to weigh losses") or stay where
they are put. The three parts are the tasks that train alone. Each sees the backbone through a `View`, which tells it by a vector
of its own what is meant. A state holds what the parts share once, under its first name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import JointBatch
from fm_audio.data.perturb import SpectralMasking, VoicePerturbation
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.flow.path import Path
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.tasks.speech_to_text import SpeechToText
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_requests import TextRequest
from fm_audio.tasks.text_writer import POSITIONS_WIDTH
from fm_audio.tasks.transcription import TranscriptRequest
from fm_audio.types import Cond, FmAudioError, Frames, Mask, Times

DIRECTIONS = {"speech": SpeechRequest, "listening": TranscriptRequest, "writing": TextRequest}
LARGEST_SCALE = 3.0  # of |s|: a learned weight stays within e^-3 and e^3, about 0.05 and 20


class View(nn.Module):
    """The shared backbone as one direction sees it: a `types.Backbone` with a modality vector of its own.

    The vector (vector_width) joins `cond.vector`, or stands in its place where the direction has none. It begins at zero, so that
    a backbone that speaks already goes on as it did.
    """

    def __init__(self, backbone: nn.Module, vector_width: int) -> None:
        super().__init__()
        self.width: int = backbone.width  # type: ignore[assignment]
        self.backbone = backbone
        self.modality = nn.Parameter(torch.zeros(vector_width))

    def forward(self, h: Frames, t: Times, mask: Mask, cond: Cond) -> Frames:
        vector = self.modality.expand(len(h), -1)
        return self.backbone(h, t, mask, replace(cond, vector=vector if cond.vector is None else cond.vector + vector))


class Joint(nn.Module):
    """`backbone` (a `types.Backbone`) has `speaker_width` as its vector width and attends to no tokens.

    Listening and writing both are in place: a symbol or none for each state of speech (`SpeechToText` with `ctc`), one for each
    token of the source (`TextInPlace`), so that what the port is told is the same as of a mel: frames.
    frontend: what is spoken, in symbols; source, target: what texts are asked and written in. Transcripts and answers are written
    in `target` both, so it must know the letters of the one and the symbols of the other (`LettersAndPhones`).
    text_*, frames_*, durations_width, condition_drop, pitch, time_law: of speaking, as in `AlignedTTS`. speech_*: of the encoder
    that listens, source_*: of the one that reads, both `states_width` wide. ctc, perturb, masking: of listening, as in
    `SpeechToText`.
    scales: what the losses of speech, listening and writing are multiplied with, at first where `learned_scales`, else always.
    directions: those that are learnt, of "speech", "listening" and "writing"; with one, a specialist of the same sizes.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: FrontEnd,
        source: Vocabulary,
        target: Vocabulary,
        backbone: nn.Module,
        speakers: list[str],
        speaker_width: int = 64,
        states_width: int = 192,
        channels: int = 64,
        text_width: int = 192,
        text_layers: int = 4,
        text_heads: int = 4,
        frames_width: int = 128,
        frames_per_token: int = 2,
        durations_width: int | None = None,
        pitch: bool = False,
        speech_layers: int = 6,
        speech_heads: int = 4,
        speech_frames_per_token: int = 2,
        source_layers: int = 2,
        source_heads: int = 4,
        dropout: float = 0.1,
        condition_drop: float = 0.05,
        learned_scales: bool = True,
        scales: tuple[float, float, float] = (1.0, 1.0, 1.0),
        directions: tuple[str, ...] = tuple(DIRECTIONS),
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        ctc: float = 0.5,
        perturb: VoicePerturbation | None = None,
        masking: SpectralMasking | None = None,
    ) -> None:
        super().__init__()
        if not directions or set(directions) - set(DIRECTIONS):
            raise FmAudioError(f"directions are {list(directions)}; give one or more of {', '.join(DIRECTIONS)}")
        if len(scales) != len(DIRECTIONS) or not all(abs(math.log(max(s, 1e-9))) < LARGEST_SCALE for s in scales):
            raise FmAudioError(f"scales are {list(scales)}; give three numbers above 0.05 and below 20, often 1")
        if not ctc > 0.0:
            raise FmAudioError(f"ctc is {ctc}; listening is in place here, which needs a weight above 0, often 0.5")
        self.spec, self.frontend, self.source, self.target = spec, frontend, source, target
        self.directions = [name for name in DIRECTIONS if name in directions]
        self.backbone = backbone  # first, so that a state has it under this name
        if set(directions) != {"speech"}:
            told = POSITIONS_WIDTH + states_width  # of each place: how far from the start, and the states that lie there
            self.port = TokenPort(len(target.symbols), channels, int(backbone.width), told)  # type: ignore[arg-type]
        if "speech" in directions:
            self.speech = AlignedTTS(
                spec, frontend, View(backbone, speaker_width), speakers, speaker_width, text_width, text_layers,
                text_heads, frames_width, frames_per_token, dropout, condition_drop, pitch=pitch, durations_width=durations_width,
                time_law=time_law, path=path,
            )  # fmt: skip
        if "listening" in directions:
            self.listening = SpeechToText(
                spec, Spelled(target), View(backbone, speaker_width), channels, states_width,
                speech_layers, speech_heads, speech_frames_per_token, dropout=dropout, path=path, port=self.port, ctc=ctc,
                perturb=perturb, masking=masking,
            )  # fmt: skip
        if "writing" in directions:
            self.writing = TextInPlace(
                source, target, View(backbone, speaker_width), channels, states_width, source_layers, source_heads, dropout,
                path=path, port=self.port,
            )  # fmt: skip
        self.fixed_scales = [scale for name, scale in zip(DIRECTIONS, scales, strict=True) if name in directions]
        self.log_scales: nn.Parameter | None = None
        if learned_scales:
            start = -torch.tensor(self.fixed_scales).log()
            self.log_scales = nn.Parameter(LARGEST_SCALE * (start / LARGEST_SCALE).atanh())
        self.register_state_dict_post_hook(_hold_once)
        self.register_load_state_dict_pre_hook(_find_again)

    @property
    def speakers(self) -> dict[str, int] | None:
        """Who can be asked to speak, and which row of `speech.speaker` is whose."""
        return self.speech.speakers if "speech" in self.directions else None

    def scales(self) -> Float[Tensor, "k"]:
        """What the losses of the directions are multiplied with: exp(−s)."""
        if self.log_scales is None:
            return torch.tensor(self.fixed_scales, device=next(self.backbone.parameters()).device)
        return (-LARGEST_SCALE * (self.log_scales.float() / LARGEST_SCALE).tanh()).exp()

    def loss(self, batch: JointBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars: "loss" (what to minimise), and of each direction its loss, its "…_scale" and the parts of its own task."""
        of_each = {name: getattr(self, name).loss(getattr(batch, name), generator) for name in self.directions}
        losses, scales = torch.stack([parts["loss"].float() for parts in of_each.values()]), self.scales()
        total = scales * losses
        if self.log_scales is not None:
            total = total - scales.log()
        report = {"loss": total.sum()}
        for scale, (name, parts) in zip(scales, of_each.items(), strict=True):
            report |= {name: parts["loss"], f"{name}_scale": scale.detach()}
            report |= {f"{name}_{part}": value for part, value in parts.items() if part != "loss"}
        return report

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[Any],
        sampling: Sampling | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[Any]:
        """What each request asks for, a `SpeechRequest`, a `TranscriptRequest` or a `TextRequest`; all kinds may be mixed.

        Without `sampling` each direction takes its own default. `progress` hears the share that is done, up to 1.
        """
        made: dict[int, Any] = {}
        for name, kind in DIRECTIONS.items():
            asked = [i for i, request in enumerate(requests) if isinstance(request, kind)]
            if asked:
                part: Any = part_of(self, name)
                answers = part.generate([requests[i] for i in asked], sampling)
                made.update(zip(asked, answers, strict=True))
            if progress is not None and requests:
                progress(len(made) / len(requests))
        strange = [type(request).__name__ for i, request in enumerate(requests) if i not in made]
        if strange:
            wanted = ", ".join(kind.__name__ for kind in DIRECTIONS.values())
            raise FmAudioError(f"requests: a joint model answers {wanted}; given {', '.join(strange[:3])}")
        return [made[i] for i in range(len(requests))]


def part_of(model: nn.Module, name: str) -> nn.Module:
    """The part of a joint model that has that direction, a whole task on the same weights; any other model as it is."""
    if not isinstance(model, Joint):
        return model
    if name not in model.directions:
        raise FmAudioError(f"this joint model has no part {name!r}; it has {', '.join(model.directions)}")
    return getattr(model, name)


def _again(model: nn.Module) -> dict[str, str]:
    """Weights that a state would hold again: the second name and those after it, with the first."""
    first: dict[int, str] = {}
    named = chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    return {name: first[id(value)] for name, value in named if first.setdefault(id(value), name) != name}


def _hold_once(model: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in _again(model):
        state.pop(prefix + name, None)


def _find_again(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, first in _again(model).items():
        if prefix + first in state:
            state.setdefault(prefix + name, state[prefix + first])
