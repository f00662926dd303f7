"""What tests of converted models share: files in published layouts with random numbers, and a reader of letters as phones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from fm_audio.checkpoint import instantiate
from fm_audio.cli import main
from fm_audio.convert import f5, hifigan, matcha
from fm_audio.convert.e2 import to_e2
from fm_audio.data.text.frontend import EDGE, Encoded
from fm_audio.data.text.matcha import SYMBOLS, MatchaPhones, with_blanks
from tests.unit.conftest import VOCABULARY


def drawn(node: dict[str, Any]) -> dict[str, Tensor]:
    """The state of a model of random numbers, none of them left at its start."""
    torch.manual_seed(0)
    model = instantiate(node)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.state_dict()


def convert(family: str, source: Path, out: Path, *more: str) -> int:
    return main(["convert", family, str(source), str(out), *more])


def e2_published(folder: Path) -> None:
    """e2.safetensors in E2-TTS's layout, a tenth of its width; the vocabulary is that of `published`."""
    backbone = {"width": 64, "layers": 2, "heads": 1, "feedforward": 2.0, "rotary_heads": 1}
    node = {
        "class_path": "fm_audio.tasks.infill_tts.InfillTTS",
        "init_args": {
            "spec": {},
            "frontend": {"class_path": "fm_audio.data.text.f5.F5Characters", "init_args": {"vocabulary": VOCABULARY}},
            "backbone": {"class_path": "fm_audio.backbones.unett.UNetT", "init_args": backbone},
            "text_width": 100, "text_layers": 0,
        },
    }  # fmt: skip
    save_file({f5.PREFIX + k: v for k, v in to_e2(drawn(node)).items()}, folder / "e2.safetensors")


def matcha_voice(root: Path, speakers: int) -> Path:
    """Matcha-TTS and HiFi-GAN, converted; with one speaker as that of LJSpeech is, without a vector for him."""
    width = 8 if speakers > 1 else 0
    spec = hifigan.MEL | {"bands": 80, "mean": -6.630575, "std": 2.482914}
    backbone = {"in_width": 160, "channels": [16, 24], "heads": 1, "vector_width": width}
    text = {"symbols": len(SYMBOLS), "bands": 80, "speaker_width": width, "width": 16, "hidden": 24, "layers": 1}
    node: dict[str, Any] = {
        "class_path": "fm_audio.tasks.aligned_tts.AlignedTTS",
        "init_args": {
            "spec": spec, "frontend": {"class_path": "fm_audio.data.text.matcha.MatchaPhones"},
            "speakers": [str(i) for i in range(speakers)],
            "backbone": {"class_path": "fm_audio.backbones.matcha.MatchaUNet", "init_args": backbone},
            "text": {"class_path": "fm_audio.encoders.matcha.MatchaText", "init_args": text | {"durations_width": 8}},
            "speaker_width": width, "frames_per_token": 1, "projected": False, "whole_durations": True,
        },
    }  # fmt: skip
    state = drawn(node)
    state["text.durations.out.bias"].fill_(1.0)  # about three frames a symbol
    torch.save({"state_dict": matcha.to_matcha(state, spec)}, root / "matcha.ckpt")
    sizes = {"channels": 16, "rates": [8, 8, 2, 2], "kernels": [16, 16, 4, 4], "block_kernels": [3], "weight_norm": True}
    hifi = {"class_path": "fm_audio.decoders.hifigan.HiFiGAN", "init_args": {"spec": hifigan.MEL | {"bands": 80}, **sizes}}
    torch.save({hifigan.GENERATOR: hifigan.to_hifigan(drawn(hifi), "weight_g")}, root / "generator_v1")
    assert convert("hifigan", root / "generator_v1", root / "hifigan") == 0
    assert convert("matcha", root / "matcha.ckpt", root / "matcha", "--vocoder", str(root / "hifigan")) == 0
    return root / "matcha"


def spelt(self: MatchaPhones, text: str) -> Encoded:
    """Letters for phones: eSpeak is not asked."""
    symbols, places = [EDGE], []
    for word in re.findall(r"[a-z]+", text.lower()):
        symbols += [" "] if places else []
        places.append((word, len(symbols), len(symbols) + len(word)))
        symbols += word
    return with_blanks(Encoded([0] * (len(symbols) + 1), [*symbols, EDGE], places))
