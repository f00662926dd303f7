"""ZipVoice (Zhu et al. 2025) from a checkout of its source, at its published size, random weights, by its own sampler.

16 steps, scale 1, times shifted by 0.5, as its command line samples, after a prompt of three seconds, through Vocos; reading the
text is left out. Without k2, which gives it fused activations, it takes torch's, as for everybody who lacks that package.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import vocos
from benchmarks.sentences import asked
from benchmarks.worker import Made, Part, Ready
from fm_audio.types import FmAudioError

SYMBOLS = 360
STEPS, SCALE, SHIFT = 16, 1.0, 0.5
PROMPT_SECONDS = 3.0
SYMBOLS_HZ = 14.0
HZ = vocos.SAMPLE_RATE / vocos.HOP_SAMPLES
TINY: dict[str, Any] = {
    "fm_decoder_num_layers": [1, 1, 1, 1, 1], "fm_decoder_feedforward_dim": 24, "fm_decoder_dim": 16,
    "text_encoder_num_layers": 1, "text_encoder_feedforward_dim": 16, "text_encoder_dim": 12,
    "time_embed_dim": 10, "text_embed_dim": 8,
}  # fmt: skip


def speech(setting: Mapping[str, Any]) -> Ready:
    """setting: zipvoice (the checkout, or None), batch, seconds, peer_steps (as in `f5`), tiny, device."""
    device, wanted = setting["device"], asked(setting["batch"], setting["seconds"])
    net, vocoder = network(setting["zipvoice"], setting["tiny"]).to(device), vocos.network(setting["tiny"], device)
    steps = setting["peer_steps"] or STEPS
    b, prompt = len(wanted), torch.randn(len(wanted), round(PROMPT_SECONDS * HZ), vocos.BANDS, device=device)
    before = torch.randint(1, SYMBOLS, (b, round(PROMPT_SECONDS * SYMBOLS_HZ))).tolist()
    after = [torch.randint(1, SYMBOLS, (max(1, round(a.seconds * SYMBOLS_HZ)),)).tolist() for a in wanted]
    frames = torch.tensor([a.frames(HZ) for a in wanted], device=device)
    prompt_frames = torch.full((b,), prompt.shape[1], device=device)

    @torch.inference_mode()
    def once() -> Made:
        with Part(device) as flow:
            mel, *_ = net.sample(
                after, before, prompt, prompt_frames, frames, duration="real", t_shift=SHIFT, num_step=steps, guidance_scale=SCALE
            )
        vocoder.decode(mel.mT).clamp(-1, 1).cpu()
        return Made(int(frames.sum()) / HZ, flow.seconds * (STEPS / steps - 1))

    parameters = sum(p.numel() for part in (net, vocoder) for p in part.parameters())
    return Ready(once, {"parameters": parameters, "forwards": 2 * STEPS, "steps timed": steps})


def network(checkout: str | None, tiny: bool) -> Any:
    if checkout is None:
        raise FmAudioError("it is on no index; give --zipvoice DIR, a checkout of github.com/k2-fsa/ZipVoice")
    if not Path(checkout, "zipvoice/models/zipvoice.py").is_file():
        raise FmAudioError(f"--zipvoice {checkout}: has no zipvoice/models/zipvoice.py; give a checkout of k2-fsa/ZipVoice")
    sys.path.insert(0, checkout)
    from zipvoice.models.zipvoice import ZipVoice

    return ZipVoice(**(TINY if tiny else {}), feat_dim=vocos.BANDS, vocab_size=SYMBOLS).eval()
