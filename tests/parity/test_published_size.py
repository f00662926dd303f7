"""F5-TTS v1 Base and E2-TTS Base as large as they are published: their networks and ours say the same of one item."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fm_audio.checkpoint import instantiate
from fm_audio.convert.e2 import from_e2
from fm_audio.convert.f5 import from_f5
from fm_audio.types import length_mask
from tests.parity.peers import close, f5_package, told

pytestmark = pytest.mark.slow  # 1.3 GB of weights each, shared by both networks where they are alike
SYMBOLS = 2545
VOCABULARY = [" ", *(chr(0x100 + i) for i in range(SYMBOLS - 1))]
F5 = {"depth": 22, "ff_mult": 2, "text_dim": 512, "conv_layers": 4, "text_mask_padding": True}
E2 = {"depth": 24, "ff_mult": 4, "text_mask_padding": False, "pe_attn_head": 1}
SIZES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "f5-v1": ("dit", "DiT", F5, 337_096_804),
    "e2": ("unett", "UNetT", E2, 333_470_444),
}


def theirs_of(family: str, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Their network, every parameter drawn once (layers would otherwise draw theirs first)."""
    file, name, sizes, parameters = SIZES[family]
    for layer in (nn.Linear, nn.Conv1d, nn.Embedding):
        monkeypatch.setattr(layer, "reset_parameters", lambda self: None)
    with f5_package():
        module = __import__(f"f5_tts.model.backbones.{file}", fromlist=[name])
        net = getattr(module, name)(dim=1024, heads=16, mel_dim=100, text_num_embeds=SYMBOLS, **sizes).eval()
    assert sum(p.numel() for p in net.parameters()) == parameters
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            gain = key.endswith((".g", "norm.weight"))
            parameter.normal_(mean=float(gain), std=0.02 if parameter.ndim > 1 else 0.1)
    return net


@pytest.mark.parametrize("family", sorted(SIZES))
@torch.no_grad()
def test_one_velocity_agrees(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = theirs_of(family, monkeypatch)
    state = theirs.state_dict()
    node, weights = from_e2(state, VOCABULARY) if family == "e2" else from_f5(state, family, VOCABULARY)
    with torch.device("meta"):
        ours: Any = instantiate(node).eval()
    ours.load_state_dict(weights, assign=True)
    n, text, t = 24, torch.randint(SYMBOLS, (1, 11)), torch.tensor([0.37])
    x, visible = torch.randn(1, n, 100), torch.randn(1, n, 100)
    expected = theirs(x=x, cond=visible, text=text, time=t)
    mask = length_mask(torch.tensor([n]))
    assert expected.isfinite().all() and expected.std() > 0.05
    close(ours.head.velocity(x, t, mask, told(ours, visible, text + 1, mask)), expected)
