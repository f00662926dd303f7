"""Every network of fm_audio's backbones, encoders, decoders and tasks, small, with items for it and the way to run a batch.

A new class is one more line in `CASES`; `test_contract` fails until it stands here, by itself or inside of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.backbones.matcha import MatchaUNet
from fm_audio.backbones.multi_rate import MultiRate
from fm_audio.backbones.unet import UNet
from fm_audio.backbones.unett import UNetT
from fm_audio.backbones.zipformer import Zipformer
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.characters import Characters
from fm_audio.data.text.vocabulary import Letters, LettersAndPhones
from fm_audio.decoders.bigvgan import BigVGAN
from fm_audio.decoders.griffin_lim import GriffinLim
from fm_audio.decoders.harmonic import HarmonicPlusNoise
from fm_audio.decoders.hifigan import HiFiGAN
from fm_audio.decoders.nearest import NearestToken
from fm_audio.decoders.refined import Refined
from fm_audio.decoders.renormalised import Renormalised
from fm_audio.decoders.vocos import Vocos
from fm_audio.encoders.aligned_text import AlignedText, EncodedSymbols
from fm_audio.encoders.filler_text import FillerText
from fm_audio.encoders.matcha import MatchaText
from fm_audio.encoders.pitch import FramePitch
from fm_audio.encoders.tokens import TokenEncoder, TokenLengths
from fm_audio.encoders.zipformer_text import ZipformerText
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.aligned_tts import AlignedTTS
from fm_audio.tasks.autoregressive_text import AutoregressiveText
from fm_audio.tasks.infill_requests import InfillRequest
from fm_audio.tasks.infill_tts import InfillTTS, told
from fm_audio.tasks.joint import Joint
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.tasks.text_in_place import TextInPlace
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding, TextRequest
from fm_audio.tasks.text_to_text import TextToText
from fm_audio.tokens import TokenTable
from fm_audio.types import Cond
from fm_audio.zipformer import Heads
from tests.invariance import listening, states
from tests.invariance.company import padded
from tests.invariance.vocoders import SPEC, speecht5, univnet

# Odd, even, one frame, shorter than a group of the lowest rate, and the longest.
LENGTHS = (13, 16, 1, 3, 23)
WIDTH, TOKENS, VECTOR = 16, 6, 4
NAN = float("nan")
UNCENTRED = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12, centred=False)

Outputs = list[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Case:
    """`make` the network, `items` for it, `run(net, items, padding)` as `company.Run` says.

    `gradients` names the precision in which they are held to it too.
    """

    make: Callable[[], nn.Module]
    items: Callable[[], Sequence[Any]]
    run: Callable[[Any, Sequence[Any], int], Outputs]
    gradients: torch.dtype | None = None
    length: Callable[[Any], int] = len
    amount: float = 0.1  # how far parameters are moved off their start


def cut(out: Tensor, mask: Tensor) -> list[Tensor]:
    return [row[keep] for row, keep in zip(out, mask, strict=True)]


# Backbones: (h, t, mask, cond) -> h


def frames_items(tokens: int = 0, vector: int = 0, width: int = WIDTH) -> list[dict[str, Tensor | None]]:
    return [
        {
            "h": torch.randn(n, width),
            "t": torch.rand(()),
            "tokens": torch.randn(1 + n % 5, tokens) if tokens else None,
            "vector": torch.randn(vector) if vector else None,
        }
        for n in LENGTHS
    ]


def through_backbone(net: nn.Module, items: Sequence[dict[str, Any]], padding: int) -> Outputs:
    h, mask = padded([i["h"] for i in items], padding, NAN)
    tokens = tokens_mask = None
    if items[0]["tokens"] is not None:
        tokens, tokens_mask = padded([i["tokens"] for i in items], padding // 2, NAN)
    vector = torch.stack([i["vector"] for i in items]) if items[0]["vector"] is not None else None
    out = net(h, torch.stack([i["t"] for i in items]), mask, Cond(tokens=tokens, tokens_mask=tokens_mask, vector=vector))
    return [(row,) for row in cut(out, mask)]


def backbone(make: Callable[[], nn.Module], tokens: int = 0, vector: int = 0, width: int = WIDTH) -> Case:
    return Case(make, lambda: frames_items(tokens, vector, width), through_backbone, torch.float64, by("h"))


# Encoders


def symbols_items(symbols: int, speaker: int) -> list[dict[str, Tensor]]:
    return [
        {
            "symbols": torch.randint(1, symbols, (n,)),
            "speaker": torch.randn(speaker),
            "durations": torch.randint(1, 4, (n,)),
        }
        for n in LENGTHS
    ]


def through_text(net: Any, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    """The three things that a text is encoded to, and the two that lie along the frames. Padding is some symbol or other."""
    symbols, mask = padded([i["symbols"] for i in items], padding, 3)
    durations, _ = padded([i["durations"] for i in items], padding, 0)
    encoded: EncodedSymbols = net(symbols, mask, torch.stack([i["speaker"] for i in items]))
    frames = durations.sum(1)
    n = int(frames.max()) + padding
    laid = net.frames(encoded, durations, n)
    assert not any(part[row, k:].any() for part in laid for row, k in enumerate(frames.tolist())), "zeros past the last frame"
    along = [[part[row, :k] for part in laid] for row, k in enumerate(frames.tolist())]
    parts = zip(*(cut(p, mask) for p in (encoded.hidden, encoded.mean, encoded.log_durations)), strict=True)
    return [(*of_text, *of_frames) for of_text, of_frames in zip(parts, along, strict=True)]


def text(make: Callable[[], nn.Module], symbols: int, speaker: int) -> Case:
    return Case(make, lambda: symbols_items(symbols, speaker), through_text, torch.float32, by("symbols"))


def filler_items(drop: bool = True) -> list[dict[str, Any]]:
    def symbols(n: int) -> Tensor:
        return torch.randint(1, 9, (1 + n // 3,))

    return [{"symbols": symbols(n), "frames": n, "dropped": drop and i % 3 == 1} for i, n in enumerate(LENGTHS)]


def through_filler(net: nn.Module, items: Sequence[dict[str, Any]], padding: int) -> Outputs:
    symbols, _ = padded([i["symbols"] for i in items], 0, 0)
    _, mask = padded([torch.zeros(i["frames"]) for i in items], padding, 0.0)
    out = net(symbols, mask, torch.tensor([i["dropped"] for i in items]))
    assert not out[~mask].any(), "zeros past the last frame"
    return [(row,) for row in cut(out, mask)]


def through_pitch(net: FramePitch, items: Sequence[dict[str, Any]], padding: int) -> Outputs:
    frames, mask = padded([i["h"] for i in items], padding, NAN)
    log_pitch = net(Cond(frames=frames, vector=torch.stack([i["vector"] for i in items])), mask)
    told = net.tell(frames, log_pitch)
    return list(zip(cut(log_pitch, mask), cut(told, mask), strict=True))


# Decoders: (x, mask) -> wave


def decoded(net: Any, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    x, mask = padded([i["x"] for i in items], padding, NAN)
    wave = net(x, mask) if torch.is_grad_enabled() else net.decode(x, mask)
    ends = (mask.sum(1) * SPEC.hop_samples).tolist()
    assert wave.shape == (len(x), x.shape[1] * SPEC.hop_samples)
    assert not any(row[end:].any() for row, end in zip(wave, ends, strict=True)), "zeros past the last frame"
    return [(row[:end],) for row, end in zip(wave, ends, strict=True)]


def decoder(make: Callable[[], nn.Module], gradients: torch.dtype | None = None) -> Case:
    def items() -> list[dict[str, Tensor]]:
        return [{"x": torch.randn(n, SPEC.bands)} for n in LENGTHS]

    return Case(make, items, decoded, gradients, by("x"))


# Tasks

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


def token_items() -> list[dict[str, Tensor]]:
    return [{"ids": torch.randint(1, 9, (n,))} for n in LENGTHS]


def through_tokens(net: nn.Module, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    """A source's states, and the lengths of its answer."""
    ids, mask = padded([i["ids"] for i in items], padding, 3)
    cond = net.encoder(ids, mask)  # type: ignore[operator]
    assert cond.tokens is not None and not cond.tokens[~mask].any()
    return list(zip(cut(cond.tokens, mask), net.lengths(cond, len(ids)), strict=True))  # type: ignore[operator]


def nearest(net: NearestToken, items: Sequence[dict[str, Tensor]], padding: int) -> Outputs:
    x, mask = padded([i["x"] for i in items], padding, NAN)
    ids = net.decode(x, mask)
    assert (ids[~mask] == -1).all()
    return [(1.0 + row.double(),) for row in cut(ids, mask)]


ALPHABET = Letters("abcdefg", longest=9)
TEXTS = (TextRequest("gfedcba", 3), TextRequest("a", 1), TextRequest("bad", 2), TextRequest(None, 5), TextRequest("abcdefgab", 4))


def writing(source: bool = True, **arguments: Any) -> nn.Module:
    net = DiT(WIDTH, 2, 2, tokens_width=12 if source else 0, position_kernel=0)
    return TextToText(ALPHABET if source else None, ALPHABET, net, 8, 12, 1, 2, **arguments)


def writing_in_place() -> nn.Module:
    return TextInPlace(ALPHABET, ALPHABET, DiT(WIDTH, 2, 2, position_kernel=0), 8, 12, 1, 2, self_conditioning=0.5)


def written(texts: Sequence[GeneratedText]) -> Outputs:
    """Tokens, that could not be nearly the same, beside how sure of them the model was."""
    return [(torch.tensor([*t.ids, 1]).double(), torch.tensor([t.log_probability, t.forwards])) for t in texts]


def writes(sampling: Sampling, decoding: TextDecoding) -> Callable[..., Outputs]:
    def run(net: TextToText | TextInPlace, items: Sequence[TextRequest], padding: int) -> Outputs:
        """Padding comes of another request that shares the batch, the longest there is."""
        others = [TextRequest("abcdefgab", 99)] * padding if net.source else []
        return written(net.generate([*items, *others], sampling, decoding)[: len(items)])

    return run


def writes_in_turn(net: AutoregressiveText, items: Sequence[TextRequest], padding: int) -> Outputs:
    return written(net.generate([*items, *[TextRequest("abcdefgab")] * padding])[: len(items)])


def joint() -> Joint:
    net = DiT(WIDTH, 2, 2, 4, 12, position_kernel=0)
    made = Joint(
        listening.SPEC, Arpabet(), ALPHABET, LettersAndPhones("abcdefg", 9), net, ["a", "b"], 4, 12, 8, WIDTH, 1, 2,
        frames_width=6, speech_layers=1, speech_heads=2, source_layers=1, source_heads=2, ctc=0.3,
    )  # fmt: skip
    nn.init.constant_(made.speech.text.durations.out.bias, 1.0)
    return made


def of_part(name: str, run: Callable[..., Outputs]) -> Callable[..., Outputs]:
    return lambda net, items, padding: run(getattr(net, name), items, padding)


def by(key: str) -> Callable[[Any], int]:
    """The length of an item that is sorted by this part of it."""
    return lambda item: item[key] if isinstance(item[key], int) else len(item[key])


def filler(make: Callable[[], nn.Module], drop: bool = True) -> Case:
    return Case(make, lambda: filler_items(drop), through_filler, torch.float32, by("frames"), 0.3)


def task(make: Callable[[], nn.Module], run: Callable[..., Outputs], items: Callable[[], Sequence[Any]], length: Any) -> Case:
    return Case(make, items, run, length=length, amount=0.05)


def speech(make: Callable[[], nn.Module], sampling: Sampling) -> Case:
    return task(make, spoken(sampling), lambda: REQUESTS, lambda request: len(request.text))


def text_task(make: Callable[[], nn.Module], run: Callable[..., Outputs], items: Sequence[TextRequest] = TEXTS) -> Case:
    return Case(make, lambda: items, run, length=lambda request: len(request.text or ""), amount=0.3)


class Source(nn.Module):
    """The two networks that read a source."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.lengths = TokenEncoder(9, 12, 2, 2), TokenLengths(7, 12, 8)


HEADS = Heads(number=2, query_width=4, value_width=3, position_width=2, offsets_width=6)
ALIGNED = {"fill": "aligned", "voice_width": VECTOR, "learned_length": True, "frames_per_token": 2}
GUIDED = Sampling(steps=2, guidance=2.0, temperature=0.6)
LOUDER = AudioSpec(**{**SPEC.contract(), "mean": 0.0})  # type: ignore[arg-type]

CASES: dict[str, Case] = {
    "dit": backbone(lambda: DiT(WIDTH, 2, 2, VECTOR, TOKENS, kernel=3, position_kernel=7, position_groups=4), TOKENS, VECTOR),
    "dit, every second layer attends": backbone(lambda: DiT(WIDTH, 2, 2, attention_every=2, position_kernel=0)),
    "dit, as F5-TTS": backbone(
        lambda: DiT(WIDTH, 2, 2, position_groups=4, head_norm=False, rotary_heads=1, reaches_slowest=True)
    ),
    "unet": backbone(lambda: UNet(WIDTH, (1, 1.5, 2), 1, 2, VECTOR, TOKENS), TOKENS, VECTOR),
    "unet, unconditioned": backbone(lambda: UNet(WIDTH, (1, 1), 1, 2)),
    "multi-rate": backbone(lambda: MultiRate(WIDTH, (1, 2, 4, 3, 1), (1, 1, 1, 1, 1), 2, VECTOR, TOKENS), TOKENS, VECTOR),
    "multi-rate, unconditioned": backbone(lambda: MultiRate(WIDTH, (1, 4, 1), (1, 1, 1), 2)),
    "matcha's unet": backbone(lambda: MatchaUNet(10, (16, 24), 1, 1, 1, 8, vector_width=VECTOR), vector=VECTOR, width=10),
    "matcha's unet, three rates": backbone(lambda: MatchaUNet(10, (16, 24, 16), 1, 1, 1, 8), width=10),
    "matcha's unet, one rate": backbone(lambda: MatchaUNet(10, (16,), 1, 1, 1, 8), width=10),
    "e2-tts's unet": backbone(lambda: UNetT(WIDTH, 4, 2, position_kernel=7, position_groups=4, rotary_heads=1)),
    "zipformer": backbone(lambda: Zipformer(WIDTH, (1, 2, 4), (1, 1, 1), (5, 3, 3), 24, HEADS, 8, VECTOR), vector=VECTOR),
    "aligned text": text(lambda: AlignedText(20, 6, 4, WIDTH, 2, 2, frames_width=5), 20, 4),
    "matcha's text": text(lambda: MatchaText(20, 6, 4, 12, 2, hidden=16, durations_width=8), 20, 4),
    "filler text": filler(lambda: FillerText(9, 12, 2)),
    "filler text, shown": filler(lambda: FillerText(9, 12, 2, mask_filler=False)),
    "filler text, stretched": filler(lambda: FillerText(9, 12, 2, "stretched")),
    "filler text, no layers": filler(lambda: FillerText(9, 12, 0)),
    "zipformer text": filler(lambda: ZipformerText(9, 12, 16, 8, 1, 16, 3, HEADS), drop=False),  # dropped text is zeros
    "pitch of frames": Case(
        lambda: FramePitch(SPEC, WIDTH, VECTOR, 12), lambda: frames_items(vector=VECTOR), through_pitch, torch.float32, by("h")
    ),
    "vocos": decoder(lambda: Vocos(SPEC, width=16, layers=2, hidden=24), torch.float32),
    "griffin-lim": decoder(lambda: GriffinLim(SPEC, iterations=8)),
    "griffin-lim, uncentred": decoder(lambda: GriffinLim(UNCENTRED, iterations=8)),
    "harmonics plus noise": decoder(lambda: HarmonicPlusNoise(SPEC)),
    "harmonics plus noise, uncentred": decoder(lambda: HarmonicPlusNoise(UNCENTRED)),
    "hifi-gan": decoder(lambda: HiFiGAN(SPEC, 8, (4, 4), (8, 8), (3, 5)), torch.float32),
    "hifi-gan, weight norm": decoder(lambda: HiFiGAN(SPEC, 8, (4, 4), (8, 8), (3,), weight_norm=True)),
    "bigvgan": decoder(lambda: BigVGAN(SPEC, 8, (4, 4), (8, 8), (3,)), torch.float32),
    "bigvgan, weight norm": decoder(lambda: BigVGAN(SPEC, 8, (4, 4), (8, 8), (3,), weight_norm=True)),
    "refined": decoder(lambda: Refined(SPEC, 16, 2, 24, 8)),
    "refined griffin-lim": decoder(lambda: Refined(SPEC, 16, 2, 24, 8, rough=GriffinLim(SPEC, iterations=2)), torch.float32),
    "renormalised": decoder(lambda: Renormalised(Vocos(SPEC, width=16, layers=1, hidden=24), LOUDER)),
    "speecht5": decoder(speecht5),
    "univnet": decoder(univnet),
    "aligned speech": speech(aligned, Sampling(steps=1)),
    "aligned speech, guided, from the prior, with pitch": speech(lambda: aligned(pitch=True, prior_start=True), GUIDED),
    "aligned speech, as Matcha-TTS": speech(aligned_as_matcha, Sampling(steps=1)),
    "aligned speech, search": task(aligned, searched, searched_items, by("mel")),
    "source tokens": Case(Source, token_items, through_tokens, torch.float32, by("ids"), 0.3),
    "nearest token": Case(
        lambda: NearestToken(TokenTable(9, 8)), lambda: [{"x": torch.randn(n, 8)} for n in LENGTHS], nearest, length=by("x")
    ),
    "written text": text_task(writing, writes(Sampling(4, grid="quantile", temperature=0.0), TextDecoding(candidates=2))),
    "written text, guided, self-conditioned, least risk": text_task(
        lambda: writing(self_conditioning=0.5), writes(Sampling(6, guidance=1.5), TextDecoding("end", samples=3))
    ),
    "written text, free": text_task(
        lambda: writing(False), writes(Sampling(6), TextDecoding("drawn")), [TextRequest(None, i) for i in range(5)]
    ),
    "written text, one token after the other": text_task(
        lambda: AutoregressiveText(ALPHABET, ALPHABET, WIDTH, 2, 2, text_width=12, text_layers=1, text_heads=2),
        writes_in_turn,
        [t for t in TEXTS if t.text],
    ),
    "written text, in place": text_task(
        writing_in_place, writes(Sampling(6, grid="quantile"), TextDecoding(samples=2)), [t for t in TEXTS if t.text]
    ),
    "written text, through states": text_task(lambda: states.writing(WIDTH), writes(Sampling(4), TextDecoding())),
    "read phones": Case(listening.reader, listening.mels, listening.read, torch.float32, by("mel"), 0.3),
    "heard mels": Case(listening.encoder, listening.mels, listening.encoded, torch.float32, by("mel"), 0.3),
    "heard speech": Case(
        partial(listening.listener, 0.0), listening.recordings, listening.listens, length=lambda r: len(r.audio.samples),
        amount=0.3,
    ),
    "heard speech in place": Case(
        partial(listening.listener, 0.3), listening.recordings, listening.listens, length=lambda r: len(r.audio.samples),
        amount=0.3,
    ),
    "joint, speaking": task(
        joint, of_part("speech", spoken(GUIDED)), lambda: REQUESTS, lambda request: len(request.text)
    ),
    "joint, listening": Case(
        joint, listening.recordings, of_part("listening", listening.listens), length=lambda r: len(r.audio.samples), amount=0.3
    ),
    "joint, writing": text_task(
        joint, of_part("writing", writes(Sampling(6, guidance=1.5), TextDecoding("end", samples=2))),
        [t for t in TEXTS if t.text],
    ),
    "infilled speech": task(infilling, answered, infill_requests, lambda request: len(request.reference)),
    "infilled speech, aligned": task(lambda: infilling(**ALIGNED), answered, infill_requests, lambda r: len(r.reference)),
    "infilled speech, one batch": task(infilling, infilled, infill_items, by("visible")),
    "infilled speech, stretched, one batch": task(lambda: infilling(fill="stretched"), infilled, infill_items, by("visible")),
}
