"""F5-TTS's own network and ours, with the same random weights, say the same of one item; and the weights go there and back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.checkpoint import instantiate
from fm_audio.convert.f5 import PREFIX, from_f5, to_f5, transformer_of
from fm_audio.types import FmAudioError, length_mask
from tests.parity.peers import f5_package, told

pytestmark = pytest.mark.slow  # needs the peer's package
VOCABULARY = [" ", *"abcdefghijklmnopqrstuvwxyz,.!?'"]
SIZES: dict[str, dict[str, Any]] = {
    "f5-v1": {"text_mask_padding": True},
    "f5-v0": {"text_mask_padding": False, "pe_attn_head": 1},
}


@pytest.fixture(params=sorted(SIZES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def theirs(family: str) -> nn.Module:
    with f5_package():
        from f5_tts.model.backbones.dit import DiT

        torch.manual_seed(0)
        net = DiT(
            dim=128, depth=3, heads=2, ff_mult=2, mel_dim=20, text_dim=32, conv_layers=2, text_num_embeds=len(VOCABULARY),
            attn_mask_enabled=False, **SIZES[family],
        ).eval()  # fmt: skip
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


def test_outputs_agree_with_and_without_conditions(family: str, theirs: nn.Module) -> None:
    node, weights = from_f5(theirs.state_dict(), family, VOCABULARY)
    task = instantiate(node).eval()
    task.load_state_dict(weights)
    torch.manual_seed(1)
    n, texts = 57, [[3, 7, 0, 5, 5, 9, 2, 30, 11], list(range(31))]
    for text in texts:
        x, visible, t = torch.randn(1, n, 20), torch.randn(1, n, 20), torch.tensor([0.37])
        for dropped in (False, True):
            with torch.no_grad():
                expected = theirs(
                    x=x, cond=visible, text=torch.tensor([text]), time=t, drop_audio_cond=dropped, drop_text=dropped
                )
                mask = length_mask(torch.tensor([n]))
                seen = torch.zeros_like(visible) if dropped else visible
                cond = told(task, seen, torch.tensor([text]) + 1, mask, torch.tensor([dropped]))
                v = task.head.velocity(x, t, mask, cond)
            assert (v - expected).abs().max() <= 1e-5 * expected.abs().max()
            assert expected.std() > 0.05


def test_ours_is_the_same_in_company_where_theirs_is_not_asked(family: str, theirs: nn.Module) -> None:
    node, weights = from_f5(theirs.state_dict(), family, VOCABULARY)
    task = instantiate(node).eval()
    task.load_state_dict(weights)
    lengths = torch.tensor([57, 31, 40])
    x, visible, t = torch.randn(3, 57, 20), torch.randn(3, 57, 20), torch.tensor([0.2, 0.5, 0.9])
    symbols = torch.tensor([[3, 7, 9, 12, 4], [4, 5, 0, 0, 0], [6, 6, 6, 2, 0]])
    with torch.no_grad():
        mask = length_mask(lengths)
        together = task.head.velocity(x, t, mask, task._cond(visible.masked_fill(~mask[..., None], 0), symbols, mask))
        for i, n in enumerate(lengths.tolist()):
            m = length_mask(torch.tensor([n]))
            alone = task.head.velocity(
                x[i : i + 1, :n], t[i : i + 1], m, task._cond(visible[i : i + 1, :n], symbols[i : i + 1], m)
            )
            assert (together[i, :n] - alone[0]).abs().max() <= 1e-5 * alone.abs().max()


def test_weights_go_there_and_back_unchanged(family: str, theirs: nn.Module) -> None:
    state = theirs.state_dict()
    published: dict[str, Tensor] = {PREFIX + k: v for k, v in state.items()} | {
        "initted": torch.tensor(True),
        "step": torch.tensor(3),
    }
    assert transformer_of(published, "x").keys() == state.keys()
    back = to_f5(from_f5(transformer_of(published, "x"), family, VOCABULARY)[1])
    assert back.keys() == state.keys()
    assert all(torch.equal(back[k], v) for k, v in state.items())


def test_other_layouts_and_vocabularies_are_refused(family: str, theirs: nn.Module) -> None:
    state = theirs.state_dict()
    with pytest.raises(FmAudioError, match="31 symbols.*vocab.txt|symbols"):
        from_f5(state, family, VOCABULARY[:-1])
    for change in ({"proj_out.weight": None}, {"extra.weight": torch.zeros(1)}):
        changed = {k: v for k, v in (state | change).items() if v is not None}
        with pytest.raises(FmAudioError, match=f"{next(iter(change))} is (missing|unknown)"):
            from_f5(changed, family, VOCABULARY)
    with pytest.raises(FmAudioError, match="F5-TTS"):
        transformer_of({"a": torch.zeros(1)}, "x")
