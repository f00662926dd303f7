"""What speaks, by durations and by infilling, in company."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.backbones.matcha import MatchaUNet
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.characters import Characters
from fm_audio.encoders.matcha import MatchaText
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.infill_requests import InfillRequest
from fm_audio.tasks.infill_tts import InfillTTS, told
from fm_audio.tasks.speech_requests import SpeechRequest
from tests.invariance.case import LENGTHS, NAN, VECTOR, WIDTH, Case, Outputs, by, cut, task
from tests.invariance.company import padded

REQUESTS = (
    SpeechRequest("It slid on smooth planks. Glue it!", "b", seed=2),
    SpeechRequest("No?", "a", seed=3, speed=0.7),
    SpeechRequest("Wait <break 300ms> here.", "b", seed=4),
    SpeechRequest("Yes.", "b", seed=5, seconds=0.5),
)


def aligned(**arguments: Any) -> nn.Module:
    net = AlignedTTS(
        AudioSpec(bands=8, mean=-1.7, std=2.6), Arpabet(), DiT(WIDTH, 1, 2, vector_width=4, kernel=3, position_groups=4),
        ["a", "b"], 4, WIDTH, 1, 2, frames_width=6, **arguments,
    )  # fmt: skip
    nn.init.constant_(net.text.durations.out.bias, 1.0)
    return net


def aligned_as_matcha() -> nn.Module:
    frontend = Arpabet()  # Matcha-TTS's own needs eSpeak
    net = AlignedTTS(
        AudioSpec(bands=8), frontend, MatchaUNet(16, (8, 8), 1, 1, 1, 8, vector_width=4), ["a", "b"], 4, frames_per_token=1,
        text=MatchaText(len(frontend.symbols), 8, 4, 12, 1, hidden=16, durations_width=8), projected=False, whole_durations=True,
    )  # fmt: skip
    nn.init.constant_(net.text.durations.out.bias, 0.5)
    return net


def spoken(sampling: Sampling) -> Callable[..., Outputs]:
    """Generation in batches as on a GPU (a CPU takes one at a time); `padding` decides how many frames may share one."""

    def run(net: AlignedTTS, items: Sequence[SpeechRequest], padding: int) -> Outputs:
        made = net.generate(items, sampling, batch_frames=300 * padding or 10_000)
        words = [torch.tensor([[float(w.start_frames), float(w.end_frames)] for w in m.words]) for m in made]
        return [(m.mel, w) for m, w in zip(made, words, strict=True)]

    return run


def searched_items() -> list[dict[str, Tensor]]:
    return [{"symbols": torch.randint(1, 70, (1 + n // 3,)), "mel": torch.randn(n, 8)} for n in LENGTHS]


def searched(net: AlignedTTS, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    """Durations found by alignment search, as in training."""
    symbols, symbols_mask = padded([i["symbols"] for i in items], padding // 2, 0)
    mel, mask = padded([i["mel"] for i in items], padding, NAN)
    found = torch.zeros(len(items), dtype=torch.bool)
    names = [str(len(i["mel"])) for i in items]
    batch = SpeechBatch(names, names, ["a"] * len(items), symbols, symbols_mask, mel, mask, torch.zeros_like(symbols), found)
    encoded = net.text(symbols, symbols_mask, net.speaker(net.speaker_index(batch.speakers)))
    return [(d.double(),) for d in cut(net.align(batch, encoded), symbols_mask)]


def infilling(**arguments: Any) -> nn.Module:
    net = DiT(WIDTH, 2, 2, arguments.get("voice_width", 0), position_kernel=5, position_groups=4)
    return InfillTTS(AudioSpec(bands=8), Characters(), net, text_width=8, text_layers=1, **arguments)


def infill_requests() -> list[InfillRequest]:
    texts = ("two more words", "no", "and then")
    return [InfillRequest(t, torch.randn(15 + 7 * i, 8), "these six", seed=i) for i, t in enumerate(texts)]


def answered(net: InfillTTS, items: Sequence[InfillRequest], padding: int) -> Outputs:
    return [(mel,) for mel in net.generate(items, Sampling(steps=1))]


def infill_items() -> list[dict[str, Any]]:
    return [{"visible": torch.randn(n, 8), "symbols": torch.randint(1, 30, (1 + n // 2,)), "seed": n} for n in LENGTHS]


def infilled(net: InfillTTS, items: Sequence[dict[str, Any]], padding: int) -> Outputs:
    """A whole guided sample of one batch, which `generate` does not make."""
    visible, mask = padded([i["visible"] for i in items], padding, 0.0)
    symbols, _ = padded([i["symbols"] for i in items], 0, 0)
    text, no_text = (net.text(symbols, mask, torch.full_like(mask[:, 0], gone)) for gone in (False, True))
    plan = net.guidance.plan(told(visible, text, no_text), GUIDED)
    mel = net.head.sample(mask, plan.cond, plan.sampling, [i["seed"] for i in items], null=plan.null)
    return [(row,) for row in cut(mel, mask)]


def speech(make: Callable[[], nn.Module], sampling: Sampling) -> Case:
    return task(make, spoken(sampling), lambda: REQUESTS, lambda request: len(request.text))


ALIGNED = {"fill": "aligned", "voice_width": VECTOR, "learned_length": True, "frames_per_token": 2}
GUIDED = Sampling(steps=2, guidance=2.0, temperature=0.6)

CASES: dict[str, Case] = {
    "aligned speech": speech(aligned, Sampling(steps=1)),
    "aligned speech, guided, from the prior, with pitch": speech(lambda: aligned(pitch=True, prior_start=True), GUIDED),
    "aligned speech, as Matcha-TTS": speech(aligned_as_matcha, Sampling(steps=1)),
    "aligned speech, search": task(aligned, searched, searched_items, by("mel")),
    "infilled speech": task(infilling, answered, infill_requests, lambda request: len(request.reference)),
    "infilled speech, aligned": task(lambda: infilling(**ALIGNED), answered, infill_requests, lambda r: len(r.reference)),
    "infilled speech, one batch": task(infilling, infilled, infill_items, by("visible")),
    "infilled speech, stretched, one batch": task(lambda: infilling(fill="stretched"), infilled, infill_items, by("visible")),
}
