"""What makes sounds of captions, in company."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.vocabulary import LOWER_CASE, Letters
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.text_to_audio import TextToAudio
from tests.invariance.case import WIDTH, Case, Outputs, task

SPEC = AudioSpec(sample_rate=8000, n_fft=256, hop_samples=128, window_samples=256, bands=8)
SAMPLING = Sampling(3, guidance=2.0, guidance_rescale=0.5)


def of_frames(frames: int) -> float:
    return SPEC.seconds_of_frames(frames)


def requests() -> Sequence[SoundRequest]:
    drawn = torch.Generator().manual_seed(0)
    begun, given = torch.randn(9, 8, generator=drawn), torch.randn(15, 8, generator=drawn)
    return (
        SoundRequest("rain", of_frames(7), 1),
        SoundRequest("two low beeps, then rain", of_frames(23), 2, negative="wind"),
        SoundRequest("a bell", of_frames(9), 3, start=begun, strength=0.5),
        SoundRequest("wind", of_frames(15), 4, given=given, kept=torch.arange(15) % 5 < 3),
        SoundRequest("a", of_frames(9), 5, start=begun, strength=0.8),
    )


def with_found() -> Sequence[SoundRequest]:
    drawn = torch.Generator().manual_seed(1)
    clips = [torch.randn(n, 8, generator=drawn) for n in (5, 19, 8)]
    return (
        SoundRequest("rain", of_frames(7), 1, found=(clips[0],)),
        SoundRequest("two low beeps, then rain", of_frames(23), 2, negative="wind", found=tuple(clips)),
        SoundRequest("a bell", of_frames(9), 3),
    )


def looker() -> nn.Module:
    net = DiT(WIDTH, 2, 2, 4, 12, position_kernel=0)
    return TextToAudio(SPEC, Spelled(Letters(LOWER_CASE + "' ", 40)), net, 12, 1, 2, 4, retrieval=True, clips_gist=True)


def maker() -> nn.Module:
    net = DiT(WIDTH, 2, 2, 4, 12, position_kernel=0)
    return TextToAudio(SPEC, Spelled(Letters(LOWER_CASE + "' ", 40)), net, 12, 1, 2, 4)


def made(net: TextToAudio, items: Sequence[SoundRequest], padding: int) -> Outputs:
    others = [SoundRequest("a long sound of many words", of_frames(30), 9)] * padding
    return [(mel,) for mel in net.generate([*items, *others], SAMPLING, batch_frames=10_000)[: len(items)]]


CASES: dict[str, Case] = {
    "sounds of captions": task(maker, made, requests, lambda r: round(r.seconds * 1000)),
    "sounds of captions and clips": task(looker, made, with_found, lambda r: round(r.seconds * 1000)),
}
