"""Judge of sound quality: DNSMOS, a network that predicts what listeners would say of speech, noise and the whole (1 to 5).

Reddy, Gopal and Cutler 2022, https://arxiv.org/abs/2110.01763, with the models inside the package speechmos. It is coarse: a
formant synthesiser and a good voice lie 0.6 apart. Do not choose a model by it alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fm_audio.audio import Audio, resample
from fm_audio.extras import DNSMOS_COMMAND, require

SAMPLE_RATE = 16_000


class QualityJudge:
    """DNSMOS P.835 and P.808 on `threads` CPU threads."""

    settings: dict[str, Any] = {"name": "dnsmos"}

    def __init__(self, threads: int = 2) -> None:
        dnsmos = require("speechmos.dnsmos", "DNSMOS", DNSMOS_COMMAND)
        onnxruntime = require("onnxruntime", "DNSMOS", DNSMOS_COMMAND)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        models = Path(str(dnsmos.__file__)).parent / "dnsmos_models"

        def session(name: str) -> Any:
            return onnxruntime.InferenceSession(str(models / name), options, providers=["CPUExecutionProvider"])

        self._scorer = dnsmos.DNSMOS.__new__(dnsmos.DNSMOS)  # its own constructor takes every core
        self._scorer.onnx_sess = session("sig_bak_ovr.onnx")
        self._scorer.p808_onnx_sess = session("model_v8.onnx")

    def score(self, audio: Audio) -> dict[str, float]:
        """Overall, speech, background and P.808, each on the scale 1 to 5. Silence of no length scores as one second of it."""
        samples = np.clip(resample(audio.samples, audio.sample_rate, SAMPLE_RATE), -1, 1)
        if not len(samples):
            samples = np.zeros(SAMPLE_RATE, dtype=np.float32)
        scores = self._scorer(samples, SAMPLE_RATE, False)
        return {
            "overall": float(scores["ovrl_mos"]),
            "speech": float(scores["sig_mos"]),
            "background": float(scores["bak_mos"]),
            "p808": float(scores["p808_mos"]),
        }
