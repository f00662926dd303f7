"""Writing down what is heard, in place: a symbol or none for each state of speech, all of them out of noise at once.

    loss = cross-entropy of the symbol at every state, told the states   +   ctc · −log P(transcript | states) / its length

The symbols to learn are laid along the states by connectionist temporal classification off the same states (`Spelling.held`), and
a path becomes a text as there: runs count once. So nothing is learned of lengths, and a letter that the states alone do not hear
has its place. Imputer (Chan et al. 2020) and Align-Refine (Chi et al. 2021) write paths too, by masks and by edits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fm_audio.data.text.vocabulary import Vocabulary
from fm_audio.encoders.spelling import Spelling, collapsed
from fm_audio.encoders.tokens import with_positions
from fm_audio.flow.guidance import drop_conditions
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import Path
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.time_law import TimeLaw, Undecided
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.in_place import require_in_place, written_in_place
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding
from fm_audio.tasks.text_writer import POSITIONS_WIDTH, trimmed
from fm_audio.types import Cond, FmAudioError, Mask


class AlignmentWriter(nn.Module):
    """`backbone` (a `types.Backbone`) attends to no tokens: states of `source_width` come in as its frames, in their places.

    ctc: the weight of that loss. The others are those of `TextWriter`; a `port` must have room in its frames for positions and
    states.
    """

    def __init__(
        self,
        target: Vocabulary,
        backbone: nn.Module,
        source_width: int,
        channels: int = 64,
        condition_drop: float = 0.0,
        prediction: str = "logits",
        evidence: bool = True,
        label_smoothing: float = 0.0,
        self_conditioning: float = 0.0,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        port: nn.Module | None = None,
        ctc: float = 0.3,
    ) -> None:
        super().__init__()
        if not 0.0 <= condition_drop < 1.0:
            raise FmAudioError(f"condition_drop is {condition_drop}; give a probability in [0, 1), usually 0")
        self.target, self.condition_drop, self.ctc = target, condition_drop, ctc
        tokens = len(target.symbols)
        self.spelling = Spelling(source_width, tokens)
        port = port or TokenPort(
            tokens, channels, backbone.width, POSITIONS_WIDTH + source_width, prediction, evidence,  # type: ignore[arg-type]
            label_smoothing, self_conditioning,
        )  # fmt: skip
        self.head = FlowHead(backbone, {"text": port}, path, time_law=time_law or Undecided(tokens, channels))

    def loss(self, cond: Cond, target: Tensor, target_mask: Mask, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss" (what to minimise) and its parts "flow" and "ctc" of targets (b n) and states `cond.tokens` (b m).

        A transcript that has more symbols than its recording has states teaches nothing.
        """
        assert cond.tokens_mask is not None
        ctc = self.spelling.loss(cond, target, target_mask)
        ids, possible = self.spelling.held(cond, target, target_mask)
        mask = cond.tokens_mask
        told = drop_conditions(self._placed(cond), len(ids), self.condition_drop, ids.device, generator)
        x1 = self._port.table(ids)
        flow = self.head.loss(x1, mask, told, "text", generator, scored=mask & possible[:, None])
        return {"loss": flow + self.ctc * ctc, "flow": flow, "ctc": ctc}

    def default_sampling(self) -> Sampling:
        return Sampling(steps=4, grid="quantile", temperature=0.0)

    def default_decoding(self) -> TextDecoding:
        return TextDecoding()

    def write(
        self,
        conds: Cond,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        decoding: TextDecoding | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[GeneratedText]:
        """One text for each row of `conds`; the same alone and in any company. `progress` hears the share that is done.

        `log_probability` is the mean over states. Raises FmAudioError for guidance that was not trained, samples that would all
        be the same, and ways to choose a length, of which there is none.
        """
        assert conds.tokens_mask is not None
        sampling, decoding = sampling or self.default_sampling(), decoding or self.default_decoding()
        require_in_place(sampling, decoding, self.condition_drop)
        places = conds.tokens_mask.sum(1).tolist()
        return written_in_place(
            self.head, places, lambda rows: self._told(conds, rows), seeds, sampling, decoding, self.target.decode, collapsed,
            progress,
        )  # fmt: skip

    def greedy(self, conds: Cond) -> list[GeneratedText]:
        """What the states alone spell, without the flow; its log probability is not told (0)."""
        return [GeneratedText(self.target.decode(ids), tuple(ids), 0.0, 0) for ids in self.spelling.greedy(conds)]

    def _told(self, conds: Cond, rows: list[int]) -> tuple[Cond, Mask]:
        own = trimmed(conds.rows(torch.tensor(rows, device=self._port.bias.device)))
        assert own.tokens_mask is not None
        return self._placed(own), own.tokens_mask

    def _placed(self, cond: Cond) -> Cond:
        """States as frames, with how far from the start they are."""
        assert cond.tokens is not None
        b, m, _ = cond.tokens.shape
        return with_positions(Cond(frames=cond.tokens), m, POSITIONS_WIDTH, b, cond.tokens.device)

    @property
    def _port(self) -> TokenPort:
        return self.head.ports["text"]  # type: ignore[return-value]
