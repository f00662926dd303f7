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
from fm_audio.flow.settling import sample_tokens
from fm_audio.flow.time_law import TimeLaw, Undecided
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.groups import groups
from fm_audio.tasks.text_requests import GeneratedText, TextDecoding, Try, decided, seeds_of
from fm_audio.tasks.text_writer import GROUP_TOKENS, POSITIONS_WIDTH, require_guidance_was_trained, require_samples_differ
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
        require_samples_differ(sampling, decoding)
        require_guidance_was_trained(sampling, self.condition_drop)
        if decoding.length != "predicted" or decoding.candidates > 1:
            raise FmAudioError("decoding: this model writes in place and chooses no length; leave length and candidates alone")
        sizes = conds.tokens_mask.sum(1).tolist()
        drafts = [(i, seed) for i, own in enumerate(seeds) for seed in seeds_of(own, decoding.samples)]
        samples: list[list[Try]] = [[] for _ in seeds]
        done = 0
        for group in groups([sizes[i] for i, _ in drafts], GROUP_TOKENS):
            chosen = sorted(group)
            for k, made in zip(chosen, self._written([drafts[k] for k in chosen], conds, sampling, decoding), strict=True):
                samples[drafts[k][0]].append(made)
            done += len(group)
            if progress is not None:
                progress(done / len(drafts))
        return [decided([[one] for one in of_one], self.target.decode) for of_one in samples]

    def greedy(self, conds: Cond) -> list[GeneratedText]:
        """What the states alone spell, without the flow; its log probability is not told (0)."""
        return [GeneratedText(self.target.decode(ids), tuple(ids), 0.0, 0) for ids in self.spelling.greedy(conds)]

    def _written(
        self, drafts: Sequence[tuple[int, int]], conds: Cond, sampling: Sampling, decoding: TextDecoding
    ) -> list[Try]:
        assert conds.tokens is not None and conds.tokens_mask is not None
        rows = torch.tensor([i for i, _ in drafts], device=conds.tokens.device)
        m = int(conds.tokens_mask[rows].sum(1).max())
        own = Cond(tokens=conds.tokens[rows, :m], tokens_mask=conds.tokens_mask[rows, :m])
        cond, mask = self._placed(own), conds.tokens_mask[rows, :m]
        settled = sample_tokens(
            self.head, mask, cond, sampling, [s for _, s in drafts], "text", cond.null(), decoding.patience
        )  # fmt: skip
        return [
            Try(tuple(collapsed(found[keep].tolist())), float(p[keep].mean()), forwards)
            for found, p, forwards, keep in zip(
                settled.ids, settled.log_probability, settled.forwards.tolist(), mask, strict=True
            )
        ]

    def _placed(self, cond: Cond) -> Cond:
        """States as frames, with how far from the start they are."""
        assert cond.tokens is not None
        b, m, _ = cond.tokens.shape
        return with_positions(Cond(frames=cond.tokens), m, POSITIONS_WIDTH, b, cond.tokens.device)

    @property
    def _port(self) -> TokenPort:
        return self.head.ports["text"]  # type: ignore[return-value]
