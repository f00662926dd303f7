"""The joint model and its three parts, in company."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from fm_audio.backbones.dit import DiT
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.vocabulary import LettersAndPhones
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.joint import Joint
from fm_audio.tasks.text_requests import TextDecoding
from tests.invariance import listening
from tests.invariance.case import WIDTH, Case, Outputs, task
from tests.invariance.speaking import GUIDED, REQUESTS, spoken
from tests.invariance.writing import ALPHABET, TEXTS, text_task, writes


def joint() -> Joint:
    net = DiT(WIDTH, 2, 2, 4, position_kernel=0)
    made = Joint(
        listening.SPEC, Arpabet(), ALPHABET, LettersAndPhones("abcdefg", 9, ["_", "X", "Y", "Z+Z"]), net, ["a", "b"], 4, 12, 8,
        WIDTH, 1, 2, frames_width=6, speech_layers=1, speech_heads=2, source_layers=1, source_heads=2, ctc=0.3,
    )  # fmt: skip
    nn.init.constant_(made.speech.text.durations.out.bias, 1.0)
    return made


def of_part(name: str, run: Callable[..., Outputs]) -> Callable[..., Outputs]:
    return lambda net, items, padding: run(getattr(net, name), items, padding)


CASES: dict[str, Case] = {
    "joint, speaking": task(
        joint, of_part("speech", spoken(GUIDED)), lambda: REQUESTS, lambda request: len(request.text)
    ),
    "joint, listening": Case(
        joint, listening.recordings, of_part("listening", listening.listens), length=lambda r: len(r.audio.samples), amount=0.3
    ),
    "joint, writing": text_task(
        joint, of_part("writing", writes(Sampling(6, temperature=1.0), TextDecoding(samples=2))),
        [t for t in TEXTS if t.text],
    ),
}
