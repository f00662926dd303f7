"""F5-TTS v1 Base (Chen et al. 2024; package f5-tts 1.1.22), random weights, its own sampler and training loss.

Speech: 32 steps, strength 2, sway -1, after a reference of three seconds, through Vocos; reading the text is left out. A batch is
one to its sampler, although its command line asks for one text at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmarks.contenders import vocos
from benchmarks.sentences import asked
from benchmarks.worker import Made, Part, Ready
from tests.parity.peers import f5_package

SYMBOLS = 2545
STEPS, STRENGTH, SWAY = 32, 2.0, -1.0
REFERENCE_SECONDS = 3.0
LETTERS_HZ = 15.0
HZ = vocos.SAMPLE_RATE / vocos.HOP_SAMPLES


def speech(setting: Mapping[str, Any]) -> Ready:
    """setting: batch, seconds, peer_steps (so many of its steps are taken and stand for all; None: all), tiny, device."""
    device, wanted = setting["device"], asked(setting["batch"], setting["seconds"])
    steps = setting["peer_steps"] or STEPS
    net, vocoder = cfm(setting["tiny"]).eval().to(device), vocos.network(setting["tiny"], device)
    reference = torch.randn(len(wanted), round(REFERENCE_SECONDS * HZ), vocos.BANDS, device=device)
    text = letters([REFERENCE_SECONDS + a.seconds for a in wanted], device)
    frames = [a.frames(HZ) for a in wanted]
    duration = torch.tensor(frames, device=device) + reference.shape[1]

    @torch.inference_mode()
    def once() -> Made:
        with Part(device) as flow:
            mel, _ = net.sample(reference, text, duration, steps=steps, cfg_strength=STRENGTH, sway_sampling_coef=SWAY, seed=0)
        vocoder.decode(mel[:, reference.shape[1] :].mT).clamp(-1, 1).cpu()
        return Made(sum(frames) / HZ, flow.seconds * (STEPS / steps - 1))

    parameters = sum(p.numel() for part in (net, vocoder) for p in part.parameters())
    return Ready(once, {"parameters": parameters, "forwards": 2 * STEPS, "steps timed": steps})


def cfm(tiny: bool) -> Any:
    """Network and sampler, 337 M parameters, or few."""
    sizes = {"dim": 128, "depth": 2, "heads": 2, "text_dim": 32, "conv_layers": 1}
    if not tiny:
        sizes = {"dim": 1024, "depth": 22, "heads": 16, "text_dim": 512, "conv_layers": 4}
    with f5_package():
        from f5_tts.model.backbones.dit import DiT
        from f5_tts.model.cfm import CFM

        net = DiT(**sizes, ff_mult=2, mel_dim=vocos.BANDS, text_num_embeds=SYMBOLS, text_mask_padding=True)
        return CFM(net, num_channels=vocos.BANDS)


def letters(seconds: list[float], device: str) -> Tensor:
    """Texts of about so many seconds as ids (b m), padded with -1."""
    rows = [torch.randint(SYMBOLS, (max(1, round(s * LETTERS_HZ)),)) for s in seconds]
    return pad_sequence(rows, batch_first=True, padding_value=-1).to(device)
