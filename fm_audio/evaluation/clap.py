"""How well a sound fits its caption by CLAP: the cosine of what a model of the `transformers` library makes of both.

    score = ⟨audio(sound), text(caption)⟩ / (‖audio(sound)‖ · ‖text(caption)‖)        in [-1, 1]

Elizalde et al. 2023, arXiv 2206.04769; the checkpoints are of Wu et al. 2023, arXiv 2211.06687 (`laion/clap-htsat-unfused`).
Needs `pip install "fm-audio[transformers]"`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from fm_audio.audio import Audio, resample
from fm_audio.hub import from_hub
from fm_audio.types import FmAudioError


class ClapJudge:
    """model: a name on the hub or a folder of `save_pretrained`. Raises FmAudioError where it is none that hears and reads."""

    def __init__(self, model: str) -> None:
        self._clap = from_hub("AutoModel", model).eval()
        if not hasattr(self._clap, "audio_projection") or not hasattr(self._clap, "text_projection"):
            raise FmAudioError(f"{model}: does not compare sounds and captions; give a CLAP such as laion/clap-htsat-unfused")
        self._hearing = from_hub("AutoFeatureExtractor", model)
        self._reading = from_hub("AutoTokenizer", model)

    @torch.inference_mode()
    def scores(self, sounds: Sequence[Audio], captions: Sequence[str]) -> list[float]:
        """One for each sound with its caption. Of a sound longer than the model hears (10 s as published) its start counts."""
        return [self._score(sound, caption) for sound, caption in zip(sounds, captions, strict=True)]

    def _score(self, sound: Audio, caption: str) -> float:
        rate = self._hearing.sampling_rate
        samples = resample(sound.samples, sound.sample_rate, rate)[: self._hearing.nb_max_samples]
        heard = self._hearing(samples, sampling_rate=rate, return_tensors="pt")
        read = self._reading([caption], return_tensors="pt", truncation=True)
        mask = read["attention_mask"]
        found = self._clap(input_ids=read["input_ids"], attention_mask=mask, **heard)
        return float(F.cosine_similarity(found.audio_embeds, found.text_embeds)[0])
