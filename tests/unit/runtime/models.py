"""Small models of every class that can be exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from fm_audio.checkpoint import instantiate
from fm_audio.runtime.weights import OnnxWeights

SPEC = {"sample_rate": 8000, "n_fft": 256, "hop_samples": 64, "window_samples": 256, "bands": 12, "mean": -1.7, "std": 2.6}
ARPABET = {"class_path": "fm_audio.data.text.arpabet.Arpabet"}
LETTERS = {
    "class_path": "fm_audio.data.text.vocabulary.Letters",
    "init_args": {"alphabet": "abcdefghijklmnopqrstuvwxyz' ", "longest": 40},
}


def backbone(**widths: int) -> dict[str, Any]:
    arguments = {"width": 16, "layers": 2, "heads": 2, "attention_every": 2, "kernel": 3, "position_kernel": 0, **widths}
    return {"class_path": "fm_audio.backbones.dit.DiT", "init_args": arguments}


def node(task: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"fm_audio.{task}", "init_args": arguments}


HARMONIC = node("decoders.harmonic.HarmonicPlusNoise", spec=SPEC)
NODES = {
    "aligned_tts": node(
        "tasks.aligned_tts.AlignedTTS", spec=SPEC, frontend=ARPABET, backbone=backbone(vector_width=8), speakers=["anna", "bert"],
        speaker_width=8, text_width=16, text_layers=1, text_heads=2, frames_width=8, pitch=True,
    ),
    "infill_tts": node(
        "tasks.infill_tts.InfillTTS", spec=SPEC, frontend=ARPABET, backbone=backbone(vector_width=8), text_width=16,
        text_layers=1, text_heads=2, fill="aligned", frames_per_token=2, voice_width=8, learned_length=True,
    ),
    "text_to_audio": node(
        "tasks.text_to_audio.TextToAudio", spec=SPEC, frontend=node("data.text.spelled.Spelled", target=LETTERS),
        backbone=backbone(vector_width=4, tokens_width=8), caption_width=8, caption_layers=1, caption_heads=2, vector_width=4,
        retrieval=True, clips_gist=True,
    ),
    "text_in_place": node(
        "tasks.text_in_place.TextInPlace", source=LETTERS, target=LETTERS, backbone=backbone(), channels=8, text_width=8,
        text_layers=1, text_heads=2,
    ),
    "phone_reader": node("tasks.phone_reader.PhoneReader", spec=SPEC, frontend=ARPABET, width=8, layers=2, heads=2),
    "listening_reader": node(
        "tasks.phone_reader.PhoneReader", spec=SPEC, frontend=ARPABET, width=8, layers=2, heads=2,
        listener=node("data.frozen_whisper.FrozenWhisper", model="whisper-tiny.en"),
    ),
    "text_matcher": node(
        "tasks.text_matcher.TextMatcher", spec=SPEC, frontend=ARPABET, reader_width=8, width=8, token_layers=1, layers=1, heads=2,
        phone_width=4,
    ),
    "harmonic": HARMONIC,
    "griffin_lim": node("decoders.griffin_lim.GriffinLim", spec=SPEC, iterations=1, rounds=1),
    "vocos": node("decoders.vocos.Vocos", spec=SPEC, width=8, layers=1, hidden=8),
}  # fmt: skip
PARTS = {
    "aligned_tts": ("speaker", "text", "pitch", "field"),
    "infill_tts": ("voice", "text", "weights", "length", "field"),
    "text_to_audio": ("captions", "gist", "clips", "clips_gist", "field"),
    "text_in_place": ("source", "field", "velocity"),
    "phone_reader": ("states", "phones"),
    "listening_reader": ("states", "phones"),
    "text_matcher": ("match",),
    "harmonic": ("vocoder",),
    "griffin_lim": ("vocoder", "round", "magnitude"),
    "vocos": ("vocoder",),
}
# Making a file of a network with attention takes some seconds; of these, one.
QUICK = {("aligned_tts", "speaker"), ("aligned_tts", "pitch"), ("text_in_place", "velocity"), ("phone_reader", "phones")}
QUICK.add(("listening_reader", "phones"))


def made(name: str) -> nn.Module:
    """A model in which every weight matters: last layers begin at zero."""
    torch.manual_seed(0)
    model = instantiate(NODES[name]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def assembled(name: str, folder: Path) -> nn.Module:
    """The model from its parts, built with weights of its own that must not matter."""
    torch.manual_seed(1)
    return OnnxWeights().given_to(instantiate(NODES[name]), folder)
