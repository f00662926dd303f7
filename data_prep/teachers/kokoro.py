"""Kokoro-82M (ONNX, Apache-2.0) with the durations it gives to each phone.

The model's folder holds one .onnx file and voices as float32 .bin files of shape (510, 1, 256), at any depth. A voice
written as af_heart+bf_emma is the mean of two styles: a speaker of its own. Phones are misaki's alphabet, made from espeak's IPA
(the package's `phonemes` extra, GPL, used as a tool).
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.teachers import Spoken
from fm_audio.types import FmAudioError

RATE_HZ = 24_000
UNIT_SAMPLES = 600
MOST_PHONES = 510
DURATIONS_NODE = "/encoder/Clip_output_0"  # the rounded durations, inside the graph
# symbol and id, from the model's published configuration
TABLE = """;1 :2 ,3 .4 !5 ?6 —9 …10 "11 (12 )13 “14 ”15 ̃17 ʣ18 ʥ19 ʦ20 ʨ21 ᵝ22 ꭧ23 A24 I25 O31 Q33 S35 T36 W39 Y41 ᵊ42 a43 b44
c45 d46 e47 f48 h50 i51 j52 k53 l54 m55 n56 o57 p58 q59 r60 s61 t62 u63 v64 w65 x66 y67 z68 ɑ69 ɐ70 ɒ71 æ72 β75 ɔ76
ɕ77 ç78 ɖ80 ð81 ʤ82 ə83 ɚ85 ɛ86 ɜ87 ɟ90 ɡ92 ɥ99 ɨ101 ɪ102 ʝ103 ɯ110 ɰ111 ŋ112 ɳ113 ɲ114 ɴ115 ø116 ɸ118 θ119 œ120 ɹ123
ɾ125 ɻ126 ʁ128 ɽ129 ʂ130 ʃ131 ʈ132 ʧ133 ʊ135 ʋ136 ʌ138 ɣ139 ɤ140 χ142 ʎ143 ʒ147 ʔ148 ˈ156 ˌ157 ː158 ʰ162 ʲ164 ↓169
→171 ↗172 ↘173 ᵻ177"""
IDS = {" ": 16} | {pair[0]: int(pair[1:]) for pair in TABLE.split()}
# espeak's tied sounds and rarer letters, longest first
_BOTH = [
    ("ʔˌn̩", "tᵊn"),
    ("ʔn̩", "tᵊn"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    ("ə^l", "ᵊl"),
]
_AMERICAN = [("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", "")]
_BRITISH = [("e^ə", "ɛː"), ("iə", "ɪə"), ("ə^ʊ", "Q")]
_LETTERS = [
    ("ʔ", "t"),
    ("e", "A"),
    ("ɚ", "əɹ"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("ɐ", "ə"),
    ("ɬ", "l"),
    ("ʲ", ""),
    ("̃", ""),
    ("^", ""),
]


class Kokoro:
    """`folder` holds the model and its voices."""

    licence = "Apache-2.0"

    def __init__(self, folder: Path) -> None:
        models = sorted(folder.rglob("*.onnx"))
        self._styles = {p.stem: p for p in sorted(folder.rglob("*.bin")) if p.stat().st_size == 510 * 256 * 4}
        if len(models) != 1 or not self._styles:
            raise FmAudioError(f"{folder}: needs one .onnx file and voices (.bin of 510 x 256 float32); "
                               f"has {len(models)} and {len(self._styles)}")  # fmt: skip
        self._model = models[0]
        self._speakers: dict[str, Any] = {}

    def voices(self) -> list[str]:
        return sorted(self._styles)

    def say(self, text: str, voice: str, speed: float) -> Spoken:
        phones = self.phones(text, british=voice.startswith("b"))
        if not phones or len(phones) > MOST_PHONES:
            raise FmAudioError(f"makes {len(phones)} phones; kokoro says 1 to {MOST_PHONES}, so shorten or split it")
        feeds = {
            self._names[0]: np.array([[0, *(IDS[p] for p in phones), 0]], dtype=np.int64),
            self._names[1]: self._style(voice)[len(phones) - 1].reshape(1, 256),
            self._names[2]: np.array([speed], dtype=np.float32),
        }
        wave, durations = self._session.run([self._session.get_outputs()[0].name, DURATIONS_NODE], feeds)
        units = tuple(int(round(float(d))) for d in np.asarray(durations).reshape(-1))
        return Spoken(np.asarray(wave, np.float32).reshape(-1), RATE_HZ, ("^", *phones, "^"), units, UNIT_SAMPLES / RATE_HZ)

    def phones(self, text: str, british: bool) -> str:
        """Misaki's letters for a text, only those that the model knows."""
        speaker = self._speaker("en-gb" if british else "en-us")
        return misaki(speaker.phonemize([text], strip=True)[0], british)

    def _speaker(self, language: str) -> Any:
        try:
            import espeakng_loader
            from phonemizer.backend import EspeakBackend
            from phonemizer.backend.espeak.wrapper import EspeakWrapper
        except ImportError as e:
            raise FmAudioError("kokoro's phones need espeak; pip install 'fm-audio[phonemes]'") from e
        if language not in self._speakers:
            EspeakWrapper.set_library(espeakng_loader.get_library_path())
            EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
            self._speakers[language] = EspeakBackend(language, preserve_punctuation=True, with_stress=True, tie="^")
        return self._speakers[language]

    def _style(self, voice: str) -> np.ndarray:
        """(510, 256): one style for each number of phones; several names joined by + are averaged."""
        names = voice.split("+")
        missing = [n for n in names if n not in self._styles]
        if missing:
            raise FmAudioError(f"voice {missing[0]}: kokoro's folder has {', '.join(self.voices())}")
        styles = np.stack([np.fromfile(self._styles[n], dtype="<f4").reshape(510, 256) for n in names])
        return styles.mean(0)

    @cached_property
    def _session(self) -> Any:
        """The graph with its durations as one more output, on one thread."""
        try:
            import onnx
            import onnxruntime
        except ImportError as e:
            raise FmAudioError("kokoro needs onnx and onnxruntime; pip install onnx onnxruntime") from e
        graph = onnx.load(str(self._model))
        known = {name for node in graph.graph.node for name in node.output}
        if DURATIONS_NODE not in known:
            raise FmAudioError(f"{self._model}: has no {DURATIONS_NODE}; give the ONNX export of Kokoro-82M v1.0")
        graph.graph.output.append(onnx.ValueInfoProto(name=DURATIONS_NODE))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])

    @cached_property
    def _names(self) -> tuple[str, str, str]:
        """The graph's inputs for tokens, style and speed, whatever the export calls the first."""
        names = [i.name for i in self._session.get_inputs()]
        return next(n for n in names if n not in ("style", "speed")), "style", "speed"


def misaki(ipa: str, british: bool) -> str:
    """espeak's IPA with ties (t^ʃ) to misaki's letters; what Kokoro does not know is dropped."""
    for old, new in [*_BOTH, *(_BRITISH if british else _AMERICAN), *_LETTERS]:
        ipa = ipa.replace(old, new)
    ipa = re.sub(r"(\S)̩", r"ᵊ\1", ipa)
    return "".join(c for c in ipa.strip() if c in IDS)
