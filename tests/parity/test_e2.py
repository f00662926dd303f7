"""E2-TTS's own network and ours, with the same random weights, say the same of one item; the file goes there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fm_audio.checkpoint import instantiate
from fm_audio.cli import main
from fm_audio.convert.e2 import from_e2
from fm_audio.convert.f5 import PREFIX
from fm_audio.types import FmAudioError, length_mask
from tests.parity.peers import close, f5_package, shaken, told

pytestmark = pytest.mark.slow  # needs the peer's package
VOCABULARY = [" ", *"abcdefghijklmnopqrstuvwxyz,.!?'"]
BASE = {"dim": 1024, "depth": 24, "heads": 16, "mel_dim": 100, "text_num_embeds": 2545}


def published(**sizes: Any) -> nn.Module:
    """Their network with the arguments that E2-TTS Base and Small share."""
    with f5_package():
        from f5_tts.model.backbones.unett import UNetT

        torch.manual_seed(0)
        return UNetT(ff_mult=4, text_mask_padding=False, pe_attn_head=1, **sizes)


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return shaken(published(dim=128, depth=6, heads=2, mel_dim=20, text_num_embeds=len(VOCABULARY)), 0.05)


@pytest.fixture(scope="module")
def ours(theirs: nn.Module) -> Any:
    node, weights = from_e2(theirs.state_dict(), VOCABULARY)
    task = instantiate(node).eval()
    task.load_state_dict(weights)
    return task


@torch.no_grad()
def velocity(ours: Any, x: Tensor, t: Tensor, mask: Tensor, visible: Tensor, text: Tensor, dropped: bool = False) -> Tensor:
    """`text` with 0 where there is none."""
    visible = visible.masked_fill(~mask[..., None] | dropped, 0.0)
    return ours.head.velocity(x, t, mask, told(ours, visible, text, mask, torch.full((len(x),), dropped)))


@pytest.mark.parametrize("n", [57, 31, 20])
@pytest.mark.parametrize("dropped", [False, True])
def test_one_velocity_agrees(theirs: nn.Module, ours: Any, n: int, dropped: bool) -> None:
    for text in (torch.tensor([[3, 7, 0, 5, 5, 9, 2, 30, 11]]), torch.arange(min(n, 31))[None]):
        x, visible, t = torch.randn(1, n, 20), torch.randn(1, n, 20), torch.rand(1)
        with torch.no_grad():
            expected = theirs(x=x, cond=visible, text=text, time=t, drop_audio_cond=dropped, drop_text=dropped)
        assert expected.std() > 0.05
        close(velocity(ours, x, t, length_mask(torch.tensor([n])), visible, text + 1, dropped), expected)


def test_ours_is_the_same_in_company(ours: Any) -> None:
    lengths = torch.tensor([57, 31, 40])
    mask, t = length_mask(lengths), torch.tensor([0.2, 0.5, 0.9])
    x, visible = torch.randn(3, 57, 20).masked_fill(~mask[..., None], torch.nan), torch.randn(3, 57, 20)
    symbols = torch.tensor([[3, 7, 9, 12, 4], [4, 5, 0, 0, 0], [6, 6, 6, 2, 0]])
    together = velocity(ours, x, t, mask, visible, symbols)
    for i, n in enumerate(lengths.tolist()):
        one = slice(i, i + 1)
        alone = velocity(ours, x[one, :n], t[one], mask[one, :n], visible[one, :n], symbols[one])
        close(together[one, :n], alone)


def test_the_file_goes_there_and_back(theirs: nn.Module, tmp_path: Path) -> None:
    before = {PREFIX + k: v.clone() for k, v in theirs.state_dict().items()} | {"initted": torch.tensor(True)}
    save_file(before | {"step": torch.tensor(3)}, tmp_path / "model.safetensors")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    folder, back = str(tmp_path / "e2"), str(tmp_path / "back.safetensors")
    assert main(["convert", "e2", str(tmp_path / "model.safetensors"), folder, "--vocabulary", str(tmp_path / "vocab.txt")]) == 0
    assert main(["convert", "e2", folder, back]) == 0
    after = load_file(back)
    assert before.keys() == after.keys() - {"step"} and all(torch.equal(after[k], v) for k, v in before.items())


def test_other_tensors_are_refused_by_name(theirs: nn.Module) -> None:
    state = theirs.state_dict()
    for change in ({"layers.5.0.weight": None}, {"layers.0.4.ff.0.0.weight": None}, {"layers.0.0.weight": torch.zeros(1)}):
        changed = {k: v for k, v in (state | change).items() if v is not None}
        with pytest.raises(FmAudioError, match=f"{next(iter(change))} is (missing|unknown)"):
            from_e2(changed, VOCABULARY)


def test_our_defaults_are_the_published_base() -> None:
    with torch.device("meta"):
        theirs = published(**BASE)
        node, _ = from_e2(theirs.state_dict(), [" "] * 2545)
        ours = instantiate(node)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) == 333_470_444
    given = node["init_args"]["backbone"]["init_args"]
    assert (given["width"], given["layers"], given["heads"], given["feedforward"], given["rotary_heads"]) == (1024, 24, 16, 4, 1)
