"""Text in place by flow: one token of the answer for each token of the source, where the two run side by side.

    loss = cross-entropy of the token at every place, told the states of all source tokens, its own in its own place

Spelling to sound is such a task once each letter is dealt the phones it stands for, none or several (`data_prep.pronunciations
--in-place`). Nothing is learned of lengths and of what belongs to what, so that little training goes far; `TextToText` is for
answers that stand in another order or say more than their source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fm_audio.data.batches import TextBatch
from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.encoders.tokens import TokenEncoder, with_positions
from fm_audio.flow.guidance import drop_conditions
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import Path
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw, Undecided
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.in_place import require_in_place, written_in_place
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding, TextRequest
from fm_audio.tasks.text_writer import POSITIONS_WIDTH
from fm_audio.types import Cond, FmAudioError, Mask, length_mask


class TextInPlace(nn.Module):
    """`backbone` (a `types.Backbone`) attends to no tokens: the source's states, `text_width` wide, come in as its frames.

    The arguments are those of `TextToText`. Both vocabularies must give a pair the same number of ids. A `port` that is shared
    with an `AlignmentWriter` is told as there how far from the start each place is, too.
    """

    def __init__(
        self,
        source: Vocabulary,
        target: Vocabulary,
        backbone: nn.Module,
        channels: int = 64,
        text_width: int = 128,
        text_layers: int = 2,
        text_heads: int = 4,
        dropout: float = 0.1,
        condition_drop: float = 0.0,
        prediction: str = "logits",
        evidence: bool = True,
        label_smoothing: float = 0.0,
        self_conditioning: float = 0.0,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        port: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 <= condition_drop < 1.0:
            raise FmAudioError(f"condition_drop is {condition_drop}; give a probability in [0, 1), usually 0")
        self.source, self.target, self.condition_drop = source, target, condition_drop
        self.encoder = TokenEncoder(len(source.symbols), text_width, text_layers, text_heads, dropout=dropout)
        tokens = len(target.symbols)
        self.placed = port is not None
        port = port or TokenPort(
            tokens, channels, backbone.width, text_width, prediction, evidence, label_smoothing, self_conditioning  # type: ignore[arg-type]
        )  # fmt: skip
        self.head = FlowHead(backbone, {"text": port}, path, time_law=time_law or Undecided(tokens, channels))

    def loss(self, batch: TextBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalar "loss". Raises FmAudioError where source and target differ in length."""
        if batch.source is None or batch.source_mask is None:
            raise FmAudioError(f"this task answers a source and {len(batch)} pairs have none; give files with two columns")
        if batch.source_mask.shape != batch.target_mask.shape or (batch.source_mask != batch.target_mask).any():
            raise FmAudioError(
                "this task gives each token of the source one token of the answer, and some pairs differ in length; "
                "make pairs side by side (data_prep.pronunciations --in-place), or use TextToText"
            )
        cond = drop_conditions(self.encoded(batch.source, batch.source_mask), len(batch), self.condition_drop,
                               batch.target.device, generator)  # fmt: skip
        x1 = self._port.table(batch.target)
        return {"loss": self.head.loss(x1, batch.target_mask, cond, "text", generator)}

    def default_sampling(self) -> Sampling:
        return Sampling(steps=2, grid="quantile", temperature=0.0)

    def default_decoding(self) -> TextDecoding:
        return TextDecoding()

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[TextRequest],
        sampling: Sampling | None = None,
        decoding: TextDecoding | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[GeneratedText]:
        """One text for each request; the same alone and in any company. `progress` hears the share that is done, up to 1.

        Raises FmAudioError for a text that the vocabulary refuses or that is None, for samples that would all be the same,
        guidance that was not trained, and ways to choose a length, which is the source's.
        """
        sampling, decoding = sampling or self.default_sampling(), decoding or self.default_decoding()
        require_in_place(sampling, decoding, self.condition_drop)
        if any(r.text is None for r in requests):
            raise FmAudioError("text: this model always had a source and cannot write freely; give a text")
        ids = [self.source.encode(r.text) for r in requests]  # type: ignore[arg-type]
        places, seeds = [len(row) for row in ids], [r.seed for r in requests]
        return written_in_place(
            self.head, places, lambda rows: self._told([ids[i] for i in rows]), seeds, sampling, decoding, self.target.decode,
            progress=progress,
        )  # fmt: skip

    def answers(self, texts: Sequence[str]) -> list[str]:
        """What the model says to each text, as by default."""
        return [made.text for made in self.generate([TextRequest(text) for text in texts])]

    def _told(self, sources: Sequence[Sequence[int]]) -> tuple[Cond, Mask]:
        device = next(self.parameters()).device
        rows = [torch.tensor(row, device=device) for row in sources]
        mask = length_mask(torch.tensor([len(row) for row in rows], device=device))
        return self.encoded(nn.utils.rnn.pad_sequence(rows, batch_first=True), mask), mask

    def encoded(self, ids: Tensor, mask: Tensor) -> Cond:
        cond = Cond(frames=self.encoder(ids, mask).tokens)
        return with_positions(cond, ids.shape[1], POSITIONS_WIDTH, len(ids), ids.device) if self.placed else cond

    @property
    def _port(self) -> TokenPort:
        return self.head.ports["text"]  # type: ignore[return-value]
