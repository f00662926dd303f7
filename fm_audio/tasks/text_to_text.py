"""Text to text by flow: source tokens → states, noise → token embeddings → tokens; or, without a source, text from noise alone.

What is written, and its loss, are `fm_audio.tasks.text_writer`'s; here stands what reads a source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fm_audio.data.batches import TextBatch
from fm_audio.data.text.vocabulary import END, Vocabulary
from fm_audio.encoders.tokens import TokenEncoder, source_states
from fm_audio.flow.path import Path
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw
from fm_audio.tasks.states_writer import StatesWriter, require_pieces
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding, TextRequest
from fm_audio.tasks.text_writer import TextWriter
from fm_audio.types import Cond, FmAudioError, length_mask


class TextToText(nn.Module):
    """`backbone` (a `types.Backbone`) attends to `text_width` wide tokens, or to none where `source` is None.

    text_*: size of the source's encoder. condition_drop: share of training items without a source, which guidance and requests
    without a text need. The others are those of `TextWriter`. With `states` the flow makes contextual states of a frozen encoder
    (`StatesWriter`), whose pieces the target must be; of the others it reads only the time law and the path.
    """

    def __init__(
        self,
        source: Vocabulary | None,
        target: Vocabulary,
        backbone: nn.Module,
        channels: int = 64,
        text_width: int = 128,
        text_layers: int = 2,
        text_heads: int = 4,
        dropout: float = 0.1,
        condition_drop: float = 0.1,
        pads: int = 4,
        prediction: str = "logits",
        evidence: bool = True,
        label_smoothing: float = 0.0,
        self_conditioning: float = 0.0,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        states: bool = False,
        firing: bool = False,
    ) -> None:
        super().__init__()
        self.source, self.target = source, target
        self.encoder = TokenEncoder(len(source.symbols), text_width, text_layers, text_heads, dropout=dropout) if source else None
        width = text_width if source else 0
        if states:
            self.writer: TextWriter = StatesWriter(require_pieces(target), backbone, width, condition_drop, time_law, path)
        else:
            self.writer = TextWriter(
                target, backbone, width, channels, condition_drop, pads, prediction, evidence, label_smoothing, self_conditioning,
                time_law, path, None, firing,
            )  # fmt: skip

    def loss(self, batch: TextBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss" (what to minimise) and its parts "flow" and "length"."""
        cond = source_states(self.encoder, batch.source, batch.source_mask, len(batch))
        return self.writer.loss(cond, batch.target, batch.target_mask, generator)

    def default_sampling(self) -> Sampling:
        return self.writer.default_sampling()

    def default_decoding(self) -> TextDecoding:
        return self.writer.default_decoding()

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[TextRequest],
        sampling: Sampling | None = None,
        decoding: TextDecoding | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[GeneratedText]:
        """One text for each request; the same alone and in any company. `progress` hears the share that is done, up to 1.

        Raises FmAudioError for a text that the vocabulary refuses, and for guidance or free writing that was not trained.
        """
        conds = self._conditions(requests) if requests else Cond()
        return self.writer.write(conds, [r.seed for r in requests], sampling, decoding, progress)

    def _conditions(self, requests: Sequence[TextRequest]) -> Cond:
        """The encoded sources; the null condition for requests without a text."""
        if self.encoder is None or self.source is None:
            if any(r.text is not None for r in requests):
                raise FmAudioError("text: this model answers nothing, it writes freely; ask with text None")
            return Cond()
        open_ended = [r.text is None for r in requests]
        if any(open_ended) and not self.writer.condition_drop:
            raise FmAudioError("text: None asks a model that always had a source (condition_drop 0) to write freely; give a text")
        ids = [[END] if r.text is None else self.source.encode(r.text) for r in requests]
        device = self.encoder.embedding.weight.device
        mask = length_mask(torch.tensor([len(row) for row in ids], device=device))
        padded = nn.utils.rnn.pad_sequence([torch.tensor(row, device=device) for row in ids], batch_first=True)
        return self.encoder(padded, mask).drop(~torch.tensor(open_ended, device=device))

