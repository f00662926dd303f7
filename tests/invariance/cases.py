"""Every network of fm_audio's backbones, encoders, decoders and tasks, small, with items for it and the way to run a batch.

A new class is one more line in `CASES`; `test_contract` fails until it stands here, by itself or inside of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.backbones.matcha import MatchaUNet
from fm_audio.backbones.multi_rate import MultiRate
from fm_audio.backbones.two_times import TwoTimes
from fm_audio.backbones.unet import UNet
from fm_audio.backbones.unett import UNetT
from fm_audio.backbones.zipformer import Zipformer
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
from fm_audio.layers import jumping
from fm_audio.tokens import TokenTable
from fm_audio.types import Cond
from fm_audio.zipformer import Heads
from tests.invariance import codecs, joint, listening, sounding, speaking, writing
from tests.invariance.case import LENGTHS, NAN, TOKENS, VECTOR, WIDTH, Case, Outputs, by, cut
from tests.invariance.company import padded
from tests.invariance.vocoders import SPEC, speecht5, univnet

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


def jumped(net: nn.Module, items: Sequence[dict[str, Any]], padding: int) -> Outputs:
    with jumping(0.5):
        return through_backbone(net, items, padding)


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


def filler(make: Callable[[], nn.Module], drop: bool = True) -> Case:
    return Case(make, lambda: filler_items(drop), through_filler, torch.float32, by("frames"), 0.3)


class Source(nn.Module):
    """The two networks that read a source."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.lengths = TokenEncoder(9, 12, 2, 2), TokenLengths(7, 12, 8)


UNCENTRED = AudioSpec(sample_rate=8000, n_fft=64, hop_samples=16, window_samples=64, bands=12, centred=False)
HEADS = Heads(number=2, query_width=4, value_width=3, position_width=2, offsets_width=6)
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
    "dit of two times": Case(
        lambda: TwoTimes(DiT(WIDTH, 2, 2, VECTOR, TOKENS, position_kernel=0)),
        lambda: frames_items(TOKENS, VECTOR),
        jumped,
        torch.float64,
        by("h"),
    ),
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
    "source tokens": Case(Source, token_items, through_tokens, torch.float32, by("ids"), 0.3),
    "nearest token": Case(
        lambda: NearestToken(TokenTable(9, 8)), lambda: [{"x": torch.randn(n, 8)} for n in LENGTHS], nearest, length=by("x")
    ),
    **speaking.CASES,
    **writing.CASES,
    **listening.CASES,
    **joint.CASES,
    **sounding.CASES,
    **codecs.CASES,
}
