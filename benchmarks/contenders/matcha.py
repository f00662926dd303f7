"""Matcha-TTS (Mehta et al. 2024; package matcha-tts 0.0.7.2) at its published size, random weights, through HiFi-GAN v1.

From symbols to samples by its own `synthesise`, 10 steps at temperature 0.667, as its command line samples; reading the text is
left out, and so is the denoiser behind the vocoder. Its durations are set, so that it speaks for as long as it is asked to.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from benchmarks.sentences import asked
from benchmarks.worker import Made, Ready
from fm_audio.data.text.matcha import SYMBOLS
from tests.parity.peers import matcha_package

SAMPLE_RATE, HOP_SAMPLES, BANDS = 22_050, 256, 80
STEPS, TEMPERATURE = 10, 0.667
FRAMES_PER_SYMBOL = 3  # blanks between phones are symbols too: about 29 symbols a second, as in LJ Speech


def speech(setting: Mapping[str, Any]) -> Ready:
    """setting: batch, seconds, tiny, device."""
    device, wanted = setting["device"], asked(setting["batch"], setting["seconds"])
    net, vocoder = acoustic(setting["tiny"]).to(device), hifigan(setting["tiny"]).to(device)
    counts = [max(1, round(a.frames(SAMPLE_RATE / HOP_SAMPLES) / FRAMES_PER_SYMBOL)) for a in wanted]
    symbols = torch.randint(len(SYMBOLS), (len(counts), max(counts)), device=device)
    lengths = torch.tensor(counts, device=device)

    @torch.inference_mode()
    def once() -> Made:
        made = net.synthesise(symbols, lengths, STEPS, TEMPERATURE)
        vocoder(made["mel"]).clamp(-1, 1).cpu()
        return Made(int(made["mel_lengths"].sum()) * HOP_SAMPLES / SAMPLE_RATE)

    parameters = sum(p.numel() for part in (net, vocoder) for p in part.parameters())
    return Ready(once, {"parameters": parameters, "forwards": STEPS, "steps timed": STEPS})


def acoustic(tiny: bool) -> Any:
    """The LJ Speech model, 18.2 M parameters; every symbol lasts `FRAMES_PER_SYMBOL` frames."""
    width, filters, layers, channels = (32, 48, 2, 64) if tiny else (192, 768, 6, 256)
    encoder = SimpleNamespace(
        n_feats=BANDS, n_channels=width, filter_channels=filters, n_heads=2, n_layers=layers, kernel_size=3, p_dropout=0.1,
        spk_emb_dim=64, n_spks=1, prenet=True,
    )  # fmt: skip
    durations = SimpleNamespace(filter_channels_dp=256, kernel_size=3, p_dropout=0.1)
    decoder = {
        "channels": [channels, channels], "dropout": 0.05, "attention_head_dim": 64, "n_blocks": 1, "num_mid_blocks": 2,
        "num_heads": 2, "act_fn": "snakebeta",
    }  # fmt: skip
    with matcha_package():
        from matcha.models.matcha_tts import MatchaTTS

        net = MatchaTTS(
            len(SYMBOLS), 1, 64, BANDS,
            SimpleNamespace(encoder_type="RoPE Encoder", encoder_params=encoder, duration_predictor_params=durations),
            decoder, SimpleNamespace(solver="euler", sigma_min=1e-4), {"mel_mean": -5.536622, "mel_std": 2.116101}, None,
        )  # fmt: skip
    nn.init.zeros_(net.encoder.proj_w.proj.weight)
    nn.init.constant_(net.encoder.proj_w.proj.bias, math.log(FRAMES_PER_SYMBOL - 0.5))  # it rounds up
    return net.eval()


def hifigan(tiny: bool) -> nn.Module:
    """The generator of HiFi-GAN v1 (Kong et al. 2020), 13.9 M parameters, weight norm folded as for speaking."""
    with matcha_package(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matcha.hifigan.config import v1
        from matcha.hifigan.models import Generator

        net = Generator(SimpleNamespace(**(v1 | {"upsample_initial_channel": 32 if tiny else 512})))
    net.remove_weight_norm()
    return net.eval()
