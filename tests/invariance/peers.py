"""What company does to an item in F5-TTS and Matcha-TTS, and in the same weights converted to ours.

    python -m tests.invariance.peers          the table of docs/batch_invariance.md

An item alone is what the peer's own sampler makes of a batch of one: F5-TTS hands its network no mask then, Matcha-TTS fills the
length up to a multiple of four. In company, items lie beside longer ones under the masks that the same samplers make. Weights are
random, in the packages' own initialisation, and parameters that it leaves at zero are drawn: behind a zero no difference shows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.checkpoint import instantiate
from fm_audio.convert.f5 import from_f5
from fm_audio.convert.matcha import from_matcha
from fm_audio.data.text.frontend import Encoded
from fm_audio.data.text.matcha import SYMBOLS
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.speech_requests import SpeechRequest
from fm_audio.types import Cond
from tests.invariance.company import COUNT, Composition, Run, compositions, differences, padded
from tests.parity.peers import bare_packages, matcha_package

VOCABULARY = [" ", *"abcdefghijklmnopqrstuvwxyz,.!?'"]
BANDS = 20
FRAMES = (37, 64, 18, 51, 90, 25, 73)
SAMPLED = 12  # compositions that whole samplers are run on
STEPS = 8


@dataclass(frozen=True)
class Row:
    """One comparison; `moved` holds the largest difference of every composition."""

    network: str
    what: str
    whose: str
    moved: list[float]


def main(argv: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(prog="python -m tests.invariance.peers", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--count", type=int, default=COUNT, help=f"compositions of each comparison (default: {COUNT})")
    given = made.parse_args(argv)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        print(f"f5-tts {_version('f5-tts')}, matcha-tts {_version('matcha-tts')}, torch {torch.__version__}\n")
        print("| network | what | whose | largest | median |\n|---|---|---|---|---|")
        for row in rows(given.count):
            figures = f"{max(row.moved):.1e} | {statistics.median(row.moved):.1e}"
            print(f"| {row.network} | {row.what} | {row.whose} | {figures} |", flush=True)
    except pytest.skip.Exception as e:
        print(f"{e}; .ci/run shows how it is installed", file=sys.stderr)
        return 2
    return 0


def rows(count: int = COUNT) -> Iterator[Row]:
    """Every comparison, over so many compositions."""
    yield from f5("F5-TTS v1", count, text_mask_padding=True)
    yield from f5("F5-TTS v0", count, text_mask_padding=False, pe_attn_head=1)
    yield from matcha(count)


@torch.no_grad()
def compared(run: Run, items: Sequence[Any], lengths: Sequence[int], count: int) -> list[float]:
    """The largest difference of each composition that has company in it; padding is only as long as the longest needs."""
    drawn = [Composition(c.kind, tuple((rows, 0) for rows, _ in c.batches)) for c in compositions(lengths, 2 * count)]
    company = [c for c in drawn if any(len({lengths[i] for i in rows}) > 1 for rows, _ in c.batches)]
    return [moved for _, moved in differences(run, items, company[:count])]


def drawn(net: nn.Module) -> nn.Module:
    """Parameters that begin at zero are drawn as torch draws a linear layer's; vectors, from ±0.1."""
    with torch.no_grad():
        for p in net.parameters():
            if p.numel() and not p.any():
                p.uniform_(-1, 1).mul_(p.shape[-1] ** -0.5 if p.ndim > 1 else 0.1)
    return net.eval()


def rows_of(out: Tensor, mask: Tensor) -> list[tuple[Tensor, ...]]:
    return [(row[: len(keep)][keep],) for row, keep in zip(out, mask, strict=True)]


# F5-TTS


def f5_package() -> Any:
    absent = ("torchaudio", "rjieba", "pypinyin")
    return bare_packages("f5_tts.model", "f5_tts.model.backbones", "x_transformers", absent=absent)


def f5(name: str, count: int, **layout: Any) -> Iterator[Row]:
    """One velocity and a whole guided sample: theirs with attention as published (not masked) and masked, then ours."""
    torch.manual_seed(0)
    items = [
        {
            "x": torch.randn(n, BANDS),
            "visible": torch.randn(n // 3, BANDS),
            "text": torch.randint(len(VOCABULARY), (n // 4,)),
            "t": torch.rand(()),
            "frames": n,
        }
        for n in FRAMES
    ]
    few, state = min(count, SAMPLED), {}
    for masked in (False, True):
        net = f5_sampler(masked, layout)
        state = state or dict(net.transformer.state_dict())
        net.transformer.load_state_dict(state)
        whose = f"theirs, attention {'masked' if masked else 'as published'}"
        yield Row(name, "one velocity", whose, compared(lambda some, _, net=net: f5_velocity(net, some), items, FRAMES, count))
        yield Row(name, "whole sample", whose, compared(lambda some, _, net=net: f5_sample(net, some), items, FRAMES, few))
    node, weights = from_f5(state, "f5-v1" if layout["text_mask_padding"] else "f5-v0", VOCABULARY)
    ours = instantiate(node).eval()
    ours.load_state_dict(weights)
    yield Row(name, "one velocity", "ours", compared(lambda some, _: our_f5_velocity(ours, some), items, FRAMES, count))
    yield Row(name, "whole sample", "ours", compared(lambda some, _: our_f5_sample(ours, some), items, FRAMES, few))


def f5_sampler(masked: bool, layout: dict[str, Any]) -> Any:
    with f5_package():
        from f5_tts.model.backbones.dit import DiT
        from f5_tts.model.cfm import CFM

        torch.manual_seed(1)
        net = DiT(
            dim=128, depth=4, heads=2, ff_mult=2, mel_dim=BANDS, text_dim=32, conv_layers=2, text_num_embeds=len(VOCABULARY),
            attn_mask_enabled=masked, **layout,
        )  # fmt: skip
        return CFM(drawn(net), num_channels=BANDS).eval()


def f5_batch(items: Sequence[dict[str, Any]], text_fill: int) -> tuple[Tensor, Tensor, Tensor]:
    """Visible frames with zeros up to the whole length; texts; mask."""
    whole = [torch.cat([i["visible"], i["visible"].new_zeros(i["frames"] - len(i["visible"]), BANDS)]) for i in items]
    visible, mask = padded(whole, 0, 0.0)
    return visible, padded([i["text"] + 1 + text_fill for i in items], 0, text_fill)[0], mask


def f5_velocity(sampler: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    visible, text, mask = f5_batch(items, -1)
    t, x = torch.stack([i["t"] for i in items]), padded([i["x"] for i in items], 0, 0.0)[0]
    v = sampler.transformer(x=x, cond=visible, text=text, time=t, mask=mask if len(items) > 1 else None)
    return rows_of(v, mask)


def f5_sample(sampler: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    """The peer's own sampler, guided as it comes (strength 2, sway -1), every item from the noise of one seed."""
    visible, mask = padded([i["visible"] for i in items], 0, 0.0)
    text, frames = padded([i["text"] for i in items], 0, -1)[0], torch.tensor([i["frames"] for i in items])
    out, _ = sampler.sample(
        visible, text, frames, lens=mask.sum(1), steps=STEPS, cfg_strength=2.0, sway_sampling_coef=-1.0, seed=3
    )
    return [(row[len(i["visible"]) : i["frames"]],) for row, i in zip(out, items, strict=True)]


def our_f5_velocity(task: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    visible, symbols, mask = f5_batch(items, 0)
    t, x = torch.stack([i["t"] for i in items]), padded([i["x"] for i in items], 0, 0.0)[0]
    return rows_of(task.head.velocity(x, t, mask, task._cond(visible, symbols, mask)), mask)


def our_f5_sample(task: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    visible, symbols, mask = f5_batch(items, 0)
    cond = task._cond(visible, symbols, mask)
    null = task._cond(torch.zeros_like(visible), symbols, mask, torch.ones_like(mask[:, 0]))
    mel = task.head.sample(mask, cond, Sampling(steps=STEPS, guidance=3.0), [3] * len(items), null=null)
    return [(row[len(i["visible"]) : i["frames"]],) for row, i in zip(mel, items, strict=True)]


# Matcha-TTS


def matcha(count: int) -> Iterator[Row]:
    """Encoder, one velocity of the decoder, and from symbols to mel; there without noise, which the peer draws for the batch."""
    theirs = matcha_network()
    converted = from_matcha(theirs.state_dict())
    ours: Any = instantiate(converted.node).eval()
    ours.load_state_dict(converted.weights)
    torch.manual_seed(0)
    items = [
        {
            "x": torch.randn(n, BANDS),
            "mean": torch.randn(n, BANDS),
            "t": torch.rand(()),
            "symbols": torch.randint(len(SYMBOLS), (n // 4,)),
            "speaker": i % 2,
        }
        for i, n in enumerate(FRAMES)
    ]
    symbols = [len(i["symbols"]) for i in items]
    few = min(count, SAMPLED)
    pairs: list[tuple[str, Callable[..., Any], Callable[..., Any], list[int], int]] = [
        ("encoder", matcha_encoded, our_matcha_encoded, symbols, count),
        ("one velocity", matcha_velocity, our_matcha_velocity, list(FRAMES), count),
        ("whole sample", matcha_sample, our_matcha_sample, symbols, few),
    ]
    for what, run_theirs, run_ours, lengths, times in pairs:
        for whose, net, run in (("theirs", theirs, run_theirs), ("ours", ours, run_ours)):
            moved = compared(lambda some, _, net=net, run=run: run(net, some), items, lengths, times)
            yield Row("Matcha-TTS", what, whose, moved)


def matcha_network() -> Any:
    encoder = SimpleNamespace(
        n_feats=BANDS, n_channels=32, filter_channels=48, n_heads=2, n_layers=2, kernel_size=3, p_dropout=0.1, spk_emb_dim=8,
        n_spks=1, prenet=True,
    )  # fmt: skip
    durations = SimpleNamespace(filter_channels_dp=24, kernel_size=3, p_dropout=0.1)
    decoder = {
        "channels": [64, 64], "dropout": 0.05, "attention_head_dim": 64, "n_blocks": 1, "num_mid_blocks": 2, "num_heads": 2,
        "act_fn": "snakebeta",
    }  # fmt: skip
    with matcha_package():
        from matcha.models.matcha_tts import MatchaTTS

        torch.manual_seed(1)
        net = MatchaTTS(
            len(SYMBOLS), 109, 8, BANDS,
            SimpleNamespace(encoder_type="RoPE Encoder", encoder_params=encoder, duration_predictor_params=durations),
            decoder, SimpleNamespace(solver="euler", sigma_min=1e-4), {"mel_mean": -6.6, "mel_std": 2.5}, None,
        )  # fmt: skip
    drawn(net)
    nn.init.constant_(net.encoder.proj_w.proj.bias, 1.2)  # about four frames a symbol
    return net


def matcha_encoded(net: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    symbols, mask = padded([i["symbols"] for i in items], 0, 0)
    mean, log_durations, _ = net.encoder(symbols, mask.sum(1), net.spk_emb(torch.tensor([i["speaker"] for i in items])))
    return [(m.mT[keep], d[0][keep]) for m, d, keep in zip(mean, log_durations, mask, strict=True)]


def matcha_velocity(net: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    lengths = [len(i["x"]) for i in items]
    filled = -max(lengths) % 4
    (x, mask), (mean, _) = (padded([i[key] for i in items], filled, 0.0) for key in ("x", "mean"))
    speaker = net.spk_emb(torch.tensor([i["speaker"] for i in items]))
    v = net.decoder.estimator(x.mT, mask[:, None].float(), mean.mT, torch.stack([i["t"] for i in items]), speaker)
    return rows_of(v.mT, mask)


def matcha_sample(net: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    symbols, mask = padded([i["symbols"] for i in items], 0, 0)
    made = net.synthesise(symbols, mask.sum(1), STEPS, temperature=0.0, spks=torch.tensor([i["speaker"] for i in items]))
    lengths = made["mel_lengths"].tolist()
    return [(mel[:, :n].mT,) for mel, n in zip(made["decoder_outputs"], lengths, strict=True)]


def our_matcha_encoded(task: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    symbols, mask = padded([i["symbols"] for i in items], 0, 0)
    encoded = task.text(symbols, mask, task.speaker(torch.tensor([i["speaker"] for i in items])))
    return [(m[k], d[k]) for m, d, k in zip(encoded.mean, encoded.log_durations, mask, strict=True)]


def our_matcha_velocity(task: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    (x, mask), (mean, _) = (padded([i[key] for i in items], 0, 0.0) for key in ("x", "mean"))
    cond = Cond(frames=mean, vector=task.speaker(torch.tensor([i["speaker"] for i in items])))
    return rows_of(task.head.velocity(x, torch.stack([i["t"] for i in items]), mask, cond), mask)


def our_matcha_sample(task: Any, items: Sequence[dict[str, Any]]) -> list[tuple[Tensor, ...]]:
    task.frontend = Numbers()
    asked = [SpeechRequest(" ".join(map(str, i["symbols"].tolist())), str(i["speaker"])) for i in items]
    made = task.generate(asked, Sampling(steps=STEPS, temperature=0.0), batch_frames=100_000)
    return [(m.mel,) for m in made]


class Numbers:
    """A front-end that reads the numbers of symbols."""

    symbols = SYMBOLS

    def encode(self, text: str) -> Encoded:
        ids = [int(number) for number in text.split()]
        return Encoded(ids, [SYMBOLS[i] for i in ids], [("word", 0, len(ids))])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from source"


if __name__ == "__main__":
    sys.exit(main())
