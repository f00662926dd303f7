"""Latents in place of log-mels: the codec that an `AudioSpec` names, found once and held against it.

A codec is a folder of `fm-audio export` whose model encodes and decodes (`tasks.mel_autoencoder`), or `transformers:NAME`, one of
the library's audio codecs (EnCodec, DAC) by name or folder. Fewer, wider frames make long sounds affordable: generating costs by
the frame.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from torch import nn

from fm_audio.audio import AudioSpec
from fm_audio.checkpoint import instantiate, load_model
from fm_audio.types import Codec, FmAudioError, Frames, Wave

THEIRS = "transformers:"


def frames_of(spec: AudioSpec, wave: Wave) -> Frames:
    """wave (b s) in [-1, 1] -> normalised log-mel (b n bands), or the latents of the codec that the spec names."""
    if spec.codec is None:
        return spec.log_mel(wave)
    return (codec_of(spec).to(wave.device).encode(wave) - spec.mean) / spec.std


def codec_of(spec: AudioSpec) -> Any:
    """The codec (`types.Codec`) that a spec names. Raises FmAudioError where there is none, and where the two do not agree."""
    if spec.codec is None:
        raise FmAudioError("spec: names no codec; this is a mel, which a vocoder decodes")
    codec = _codec(spec.codec)
    theirs = {"sample_rate": codec.sample_rate, "hop_samples": codec.hop_samples, "bands": codec.channels}
    ours = {name: getattr(spec, name) for name in theirs}
    off = [f"{name} {ours[name]}, where it has {value}" for name, value in theirs.items() if ours[name] != value]
    if off:
        raise FmAudioError(f"spec: says of the codec {spec.codec}: {'; '.join(off)}; write what it has")
    return codec


@lru_cache(maxsize=4)
def _codec(name: str) -> Any:
    if name.startswith(THEIRS):
        path = "fm_audio.decoders.transformers_codecs.TransformersCodec"
        codec = instantiate({"class_path": path, "init_args": {"model": name.removeprefix(THEIRS)}})
    else:
        codec = load_model(name)
    if not isinstance(codec, Codec) or not isinstance(codec, nn.Module):
        raise FmAudioError(f"codec {name}: is a {type(codec).__name__}, which encodes no sound; give the folder of a codec")
    return codec.eval().requires_grad_(False)
