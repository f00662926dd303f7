"""How likely texts are to a model that writes one token after the other: the likelihood that stands beside diversity."""

from __future__ import annotations

from collections.abc import Sequence

from fm_audio.checkpoint import load_model
from fm_audio.data.pairs import PairsDataset
from fm_audio.data.text.pairs import Pair
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.evaluation.metrics import Interval, ratio_interval
from fm_audio.tasks.autoregressive_text import TOGETHER, AutoregressiveText
from fm_audio.tasks.text_models import folder_of
from fm_audio.types import FmAudioError


class Likelihood:
    """Σ −log P(text, end | source) / Σ tokens with their ends, by the model of folder `name`: nats of a token, with the 95 %
    interval over texts.

    Texts that its vocabulary refuses, empty ones above all, count as nothing but an end: likely to no model that learnt of texts.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        """Raises FmAudioError for a folder of another kind of model."""
        model = load_model(folder_of(name)).to(device)
        if not isinstance(model, AutoregressiveText):
            raise FmAudioError(
                f"--likelihood {name}: holds a {type(model).__name__}, which has no exact probability of a text; give a model of "
                "autoregressive_text"
            )
        self.model, self.device = model, device

    def __call__(self, pairs: Sequence[Pair], texts: Sequence[str]) -> Interval:
        source, target = self.model.source, self.model.target
        rows = [
            (source.encode(p.source) if source and p.source is not None else [], _ids(text, target))
            for p, text in zip(pairs, texts, strict=True)
        ]
        nats: list[float] = []
        for at in range(0, len(rows), TOGETHER):
            batch = PairsDataset()[rows[at : at + TOGETHER]].to(self.device)
            nats += (-self.model.log_probability(batch)).tolist()
        return ratio_interval(nats, [len(ids) + 1 for _, ids in rows])


def _ids(text: str, vocabulary: Vocabulary) -> list[int]:
    try:
        return vocabulary.encode(text)
    except FmAudioError:
        return []
