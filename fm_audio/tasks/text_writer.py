"""Writing a text by flow, told a condition: noise → token embeddings → tokens. What reads a source is the task's own.

    loss = flow: cross-entropy of target, end and one padding   +   0.1 · length: −log P(tokens of the target | source)

A text is generated in a canvas: as many places as it may have tokens and one for its end. In training a canvas has up to `pads`
places more, so that a model is used to canvases that are too long, and knows where to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fm_audio.data.text.vocabulary import END, PAD, Vocabulary, until_end
from fm_audio.encoders.firing import Firing
from fm_audio.encoders.tokens import TokenLengths, with_positions
from fm_audio.flow.guidance import drop_conditions
from fm_audio.flow.head import FlowHead
from fm_audio.flow.path import Path
from fm_audio.flow.sampling import Sampling
from fm_audio.flow.settling import Settled, sample_tokens
from fm_audio.flow.time_law import TimeLaw, Undecided
from fm_audio.flow.token_port import TokenPort
from fm_audio.tasks.groups import groups
from fm_audio.tasks.text_requests import Draft, GeneratedText, TextDecoding, Try, decided, seeds_of
from fm_audio.types import Cond, FmAudioError, Mask, length_mask

LENGTH_WEIGHT = 0.1
PLAUSIBLE = 0.99  # share of the lengths that a canvas of decoding "end" has room for
POSITIONS_WIDTH = 32
GROUP_TOKENS = 4096  # padded tokens that are generated together


class TextWriter(nn.Module):
    """`backbone` (a `types.Backbone`) attends to tokens of `source_width`, or to none where that is 0.

    channels: of a token's embedding. condition_drop: share of training items without a source, which guidance needs. time_law:
    `Undecided` of the target's vocabulary where none is given. prediction, evidence, label_smoothing, self_conditioning: see
    `TokenPort`, whose place another `port` may take. firing: the answer runs in the order of its source, and each place is told
    the states that lie there (`encoders.firing`, one of its modules or True); a `port` must have room for them in its frames.
    """

    def __init__(
        self,
        target: Vocabulary,
        backbone: nn.Module,
        source_width: int,
        channels: int = 64,
        condition_drop: float = 0.1,
        pads: int = 4,
        prediction: str = "logits",
        evidence: bool = True,
        label_smoothing: float = 0.0,
        self_conditioning: float = 0.0,
        time_law: TimeLaw | None = None,
        path: Path | None = None,
        port: nn.Module | None = None,
        firing: bool | Firing = False,
    ) -> None:
        super().__init__()
        if not 0.0 <= condition_drop < 1.0:
            raise FmAudioError(f"condition_drop is {condition_drop}; give a probability in [0, 1), usually 0.1")
        if pads < 0:
            raise FmAudioError(f"pads is {pads}; give 0 or more")
        self.target, self.answers, self.pads = target, source_width > 0, pads
        self.condition_drop = condition_drop if self.answers else 0.0
        tokens = len(target.symbols)
        if firing and not source_width:
            raise FmAudioError("firing: a text that is written freely has no source to lie along; leave it out")
        if not isinstance(firing, Firing) and firing:
            firing = Firing(target.longest, source_width)
        self.lengths: Firing | TokenLengths = firing or TokenLengths(target.longest, source_width)
        told = POSITIONS_WIDTH + (source_width if firing else 0)
        port = port or TokenPort(
            tokens, channels, backbone.width, told, prediction, evidence, label_smoothing, self_conditioning  # type: ignore[arg-type]
        )  # fmt: skip
        self.head = FlowHead(backbone, {"text": port}, path, time_law=time_law or Undecided(tokens, channels))

    def loss(
        self, cond: Cond, target: Int[Tensor, "b m"], target_mask: Bool[Tensor, "b m"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Scalars "loss" (what to minimise) and its parts "flow" and "length"; `cond` is the source, if there is one."""
        ids, mask, scored = self.canvas(target, target_mask, generator)
        cond = drop_conditions(cond, len(ids), self.condition_drop, ids.device, generator)
        length = self.lengths.loss(cond, target_mask.sum(1))
        sizes, distilled = target_mask.sum(1), self.head.objective is not None
        null = self.placed(cond.null(), sizes, ids.shape[1]) if distilled else None  # of the teacher's guidance, as in sampling
        cond = self.placed(cond, sizes, ids.shape[1])
        x1 = self._port.table(ids)
        flow = self.head.loss(x1, mask, cond, "text", generator, scored=scored, null=null)
        return {"loss": flow + LENGTH_WEIGHT * length, "flow": flow, "length": length}

    def canvas(
        self, target: Int[Tensor, "b m"], target_mask: Bool[Tensor, "b m"], generator: torch.Generator | None = None
    ) -> tuple[Int[Tensor, "b n"], Mask, Mask]:
        """Targets with their end and 0 to `pads` paddings (drawn for each): ids (b n), where they are, what counts of them."""
        lengths = target_mask.sum(1)
        at = generator.device if generator is not None else torch.device("cpu")
        drawn = torch.randint(0, self.pads + 1, (len(target),), generator=generator, device=at).to(target.device)
        mask = length_mask(lengths + 1 + drawn)
        ids = torch.zeros_like(mask, dtype=torch.long)
        ids[:, : target.shape[1]] = target.masked_fill(~target_mask, 0)[:, : mask.shape[1]]
        ids[torch.arange(len(ids), device=ids.device), lengths] = END
        return ids, mask, mask & length_mask(lengths + 2, mask.shape[1])

    def default_sampling(self) -> Sampling:
        """Few steps without noise for answers, more from full noise for open generation."""
        steps, temperature = (4, 0.0) if self.answers else (16, 1.0)
        return Sampling(steps=steps, grid="quantile", temperature=temperature)

    def default_decoding(self) -> TextDecoding:
        return TextDecoding("predicted" if self.answers else "drawn")

    def write(
        self,
        conds: Cond,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        decoding: TextDecoding | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[GeneratedText]:
        """One text for each seed, told that row of `conds`; the same alone and in any company. `progress` hears the share done.

        Raises FmAudioError for guidance that was not trained and for samples that would all be the same.
        """
        if not seeds:
            return []
        sampling, decoding = sampling or self.default_sampling(), decoding or self.default_decoding()
        require_samples_differ(sampling, decoding)
        require_guidance_was_trained(sampling, self.condition_drop)
        drafts = [d for i, seed in enumerate(seeds) for d in self._drafts(i, seed, conds.rows(slice(i, i + 1)), decoding)]
        tries: dict[int, Try] = {}
        for group in groups([d.tokens + 1 for d in drafts], GROUP_TOKENS):
            made = self._written([drafts[k] for k in group], conds, sampling, decoding.patience)
            tries.update(zip(group, made, strict=True))
            if progress is not None:
                progress(len(tries) / len(drafts))
        samples: list[dict[int, list[Try]]] = [{} for _ in seeds]
        for k, draft in enumerate(drafts):
            samples[draft.request].setdefault(draft.sample, []).append(tries[k])
        return [decided(list(of_one.values()), self.target.decode) for of_one in samples]

    def _drafts(self, i: int, seed: int, cond: Cond, decoding: TextDecoding) -> list[Draft]:
        log_lengths = self.lengths(cond, 1)[0].cpu()
        seeds = seeds_of(seed, decoding.samples)
        tokens = [_lengths(log_lengths, decoding, seed) for seed in seeds]
        return [Draft(i, s, n, seed) for s, (seed, sizes) in enumerate(zip(seeds, tokens, strict=True)) for n in sizes]

    def _written(self, drafts: Sequence[Draft], conds: Cond, sampling: Sampling, patience: int | None) -> list[Try]:
        device = self._port.bias.device
        tokens = torch.tensor([d.tokens for d in drafts], device=device)
        mask = length_mask(tokens + 1)
        sources = trimmed(conds.rows(torch.tensor([d.request for d in drafts], device=device)))
        cond, null = (self.placed(c, tokens, mask.shape[1]) for c in (sources, sources.null()))
        settled = sample_tokens(self.head, mask, cond, sampling, [d.seed for d in drafts], "text", null, patience, (PAD, END))
        return _tries(settled, mask)

    def placed(self, cond: Cond, lengths: Int[Tensor, "b"], n: int) -> Cond:
        """A condition that also tells each of n places of a canvas how far from the start it is, and what lies there."""
        cond_n = with_positions(cond, n, POSITIONS_WIDTH, len(lengths), lengths.device)
        if not isinstance(self.lengths, Firing):
            return cond_n
        return Cond.join(cond_n, Cond(frames=self.lengths.places(cond, lengths, n)))

    @property
    def _port(self) -> TokenPort:
        return self.head.ports["text"]  # type: ignore[return-value]


def require_samples_differ(sampling: Sampling, decoding: TextDecoding) -> None:
    """Raises FmAudioError for several samples from no noise."""
    if decoding.samples > 1 and sampling.temperature == 0.0:
        raise FmAudioError(
            f"decoding: {decoding.samples} samples at temperature 0 are all the same; raise the temperature, or take 1 sample"
        )


def require_guidance_was_trained(sampling: Sampling, condition_drop: float) -> None:
    """Raises FmAudioError for guidance of a model that always had its source."""
    if sampling.guidance != 1.0 and not condition_drop:
        raise FmAudioError(
            f"sampling: guidance is {sampling.guidance}, and this model was not trained without its source "
            "(condition_drop 0); leave guidance at 1"
        )


def _lengths(log_lengths: Float[Tensor, "longest"], decoding: TextDecoding, seed: int) -> list[int]:
    """How many tokens to make room for, in the order of preference."""
    if decoding.length == "predicted":
        return (log_lengths.topk(min(decoding.candidates, len(log_lengths))).indices + 1).tolist()
    if decoding.length == "drawn":
        drawn = torch.Generator().manual_seed(seed ^ 0x5EED)
        return [1 + int(torch.multinomial(log_lengths.exp(), 1, generator=drawn))]
    room = int((log_lengths.double().exp().cumsum(0) < PLAUSIBLE).sum()) + 1
    return [min(room, len(log_lengths))]


def trimmed(cond: Cond) -> Cond:
    """The condition without the source positions that are padding to all."""
    if cond.tokens is None or cond.tokens_mask is None:
        return cond
    m = int(cond.tokens_mask.sum(1).max())
    return Cond(tokens=cond.tokens[:, :m], tokens_mask=cond.tokens_mask[:, :m])


def _tries(settled: Settled, mask: Mask) -> list[Try]:
    """Each row up to its end; the end counts in the mean log probability."""
    made = []
    for ids, log_probabilities, forwards, keep in zip(
        settled.ids, settled.log_probability, settled.forwards.tolist(), mask, strict=True
    ):
        kept = until_end(ids[keep].tolist())
        counted = log_probabilities[keep][: len(kept) + 1]
        made.append(Try(tuple(kept), float(counted.mean()), forwards))
    return made
