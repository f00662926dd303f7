"""Text one token after the other, for a source or freely: the baseline beside `TextToText`, with its vocabularies, source encoder
and blocks.

    loss = −Σ log P(token | tokens before it, source)          generate: token = argmax (log P / temperature + Gumbel noise)

A causal Transformer with cross-attention (Vaswani et al. 2017), without it where there is no source. Temperature 0 writes the
likeliest token each time. In generation keys and values of what is written are kept, so that each token costs one forward of one
position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.data.batches import TextBatch
from fm_audio.data.text.vocabulary import END, Vocabulary, until_end
from fm_audio.encoders.filler_text import positions
from fm_audio.encoders.tokens import TokenEncoder, source_states
from fm_audio.flow.noise import noise
from fm_audio.layers import Block, Modulation, modulate
from fm_audio.tasks.text_requests import GeneratedText, TextRequest, Try, decided, seeds_of
from fm_audio.types import Cond, FmAudioError, Mask, length_mask, masked_mean

TOGETHER = 256  # texts that are written in one batch


class AutoregressiveText(nn.Module):
    """`text_*` size the source's encoder as in `TextToText`; `width`, `layers`, `heads`, `feedforward` the decoder. Where
    `source` is None it writes freely."""

    def __init__(
        self,
        source: Vocabulary | None,
        target: Vocabulary,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        feedforward: float = 2.0,
        text_width: int = 128,
        text_layers: int = 2,
        text_heads: int = 4,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0.0 <= label_smoothing < 1.0:
            raise FmAudioError(f"AutoregressiveText: label_smoothing is {label_smoothing}; give a number in [0, 1), often 0.")
        self.source, self.target, self.label_smoothing = source, target, label_smoothing
        self.encoder = TokenEncoder(len(source.symbols), text_width, text_layers, text_heads, dropout=dropout) if source else None
        self.embedding = nn.Embedding(len(target.symbols), width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, 1, feedforward, context_width=text_width if source else None, causal=True) for _ in range(layers)
        )
        self.last = Modulation(1, width, 2)
        self.out = nn.Linear(width, len(target.symbols))

    def loss(self, batch: TextBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalar "loss"; nothing is drawn but dropout."""
        before, after, mask = _shifted(batch.target, batch.target_mask)
        cond = source_states(self.encoder, batch.source, batch.source_mask, len(batch))
        logits = self(before, mask, cond)
        each = F.cross_entropy(logits.mT, after, reduction="none", label_smoothing=self.label_smoothing)
        return {"loss": masked_mean(each, mask)}

    @torch.inference_mode()
    def log_probability(self, batch: TextBatch) -> Float[Tensor, "b"]:
        """Natural log probability of each target, its end included, given its source."""
        before, after, mask = _shifted(batch.target, batch.target_mask)
        cond = source_states(self.encoder, batch.source, batch.source_mask, len(batch))
        each = F.cross_entropy(self(before, mask, cond).mT, after, reduction="none")
        return -each.masked_fill(~mask, 0.0).sum(1)

    def forward(self, before: Int[Tensor, "b n"], mask: Mask, cond: Cond) -> Float[Tensor, "b n v"]:
        """Logits of the token after each of `before`, float32."""
        steady = self.out.weight.new_ones(len(before), 1)
        x = self.dropout(self.embedding(before) + positions(before.shape[1], self.embedding.embedding_dim, before.device))
        for block in self.blocks:
            x = block(x, steady, mask, cond.tokens, cond.tokens_mask)
        return self.out(modulate(x, *self.last(steady))).float()

    @torch.inference_mode()
    def generate(
        self,
        requests: Sequence[TextRequest],
        temperature: float | None = None,
        samples: int = 1,
        progress: Callable[[float], None] | None = None,
    ) -> list[GeneratedText]:
        """One text for each request; the same alone and in any company. `progress` hears the share that is done, up to 1.

        temperature: 0 takes the likeliest token each time and reads no seed, 1 draws from what was learnt; None is 0 with a
        source, 1 without. samples: so many are drawn, from seeds of their own, and the one nearest to all is kept (minimum
        Bayes risk).
        Raises FmAudioError for a text that the vocabulary refuses, and for a text, or none, that the model was not trained for.
        """
        if temperature is None:
            temperature = 0.0 if self.source else 1.0
        if temperature < 0 or samples < 1:
            raise FmAudioError(f"text: temperature {temperature} and {samples} samples; give 0 or more, and 1 or more")
        if samples > 1 and not temperature:
            raise FmAudioError(f"text: {samples} samples at temperature 0 are all the same; raise it, or take 1 sample")
        sources = [self._source(r.text) for r in requests]
        wanted = [(i, seed) for i, r in enumerate(requests) for seed in seeds_of(r.seed, samples)]
        wanted.sort(key=lambda w: len(sources[w[0]]))
        tries: list[list[Try]] = [[] for _ in requests]
        for at in range(0, len(wanted), TOGETHER):
            rows = wanted[at : at + TOGETHER]
            made = self._written([sources[i] for i, _ in rows], [seed for _, seed in rows], temperature)
            for (i, _), one in zip(rows, made, strict=True):
                tries[i].append(one)
            if progress is not None:
                progress((at + len(rows)) / len(wanted))
        return [decided([[one] for one in of_one], self.target.decode) for of_one in tries]

    def _source(self, text: str | None) -> list[int]:
        """No ids where nothing is answered."""
        if self.source is None:
            if text is not None:
                raise FmAudioError("text: this model answers nothing, it writes freely; ask with text None")
            return []
        if text is None:
            raise FmAudioError("text: this model always had a source and cannot write freely; give a text")
        return self.source.encode(text)

    def _written(self, sources: Sequence[Sequence[int]], seeds: Sequence[int], temperature: float) -> list[Try]:
        device = self.out.weight.device
        cond = self._condition(sources)
        layers = [_Layer(block, cond) for block in self.blocks]  # type: ignore[arg-type]
        steady = self.out.weight.new_ones(len(sources), 1)
        room, vocabulary = self.target.longest + 1, len(self.target.symbols)
        table = positions(room, self.embedding.embedding_dim, device)
        drawn = noise(seeds, [room] * len(seeds), room, vocabulary, device) if temperature else None
        token = torch.full((len(sources),), END, device=device)
        rows = torch.arange(len(sources), device=device)
        tokens, log_probabilities = [], []
        done = torch.zeros_like(token, dtype=torch.bool)
        for k in range(room):
            x = (self.embedding(token) + table[k])[:, None]
            for layer in layers:
                x = layer.step(x, steady)
            log_p = self.out(modulate(x, *self.last(steady)))[:, 0].float().log_softmax(-1)
            token = (log_p if drawn is None else log_p / temperature + _gumbel(drawn[:, k])).argmax(-1)
            tokens.append(token)
            log_probabilities.append(log_p[rows, token])
            done = done | (token <= END)
            if done.all():
                break
        return [self._answer(t, p) for t, p in zip(torch.stack(tokens, 1), torch.stack(log_probabilities, 1), strict=True)]

    def _condition(self, sources: Sequence[Sequence[int]]) -> Cond:
        if self.encoder is None:
            return Cond()
        device = self.out.weight.device
        mask = length_mask(torch.tensor([len(s) for s in sources], device=device))
        ids = nn.utils.rnn.pad_sequence([torch.tensor(s, device=device) for s in sources], batch_first=True)
        return self.encoder(ids, mask)

    def _answer(self, tokens: Int[Tensor, "n"], log_probabilities: Float[Tensor, "n"]) -> Try:
        ids = until_end(tokens.tolist())[: self.target.longest]
        counted = log_probabilities[: len(ids) + 1]
        return Try(tuple(ids), float(counted.mean()), len(counted))


def _shifted(target: Int[Tensor, "b n"], target_mask: Mask) -> tuple[Int[Tensor, "b m"], Int[Tensor, "b m"], Bool[Tensor, "b m"]]:
    """What stands before each token and the end, these themselves, and which places count; m = n + 1."""
    lengths = target_mask.sum(1)
    before = F.pad(target, (1, 0), value=END)  # what stands before the first token is the end of another text
    after = F.pad(target.masked_fill(~target_mask, 0), (0, 1))
    after[torch.arange(len(after), device=after.device), lengths] = END
    return before, after, length_mask(lengths + 1)


def _gumbel(normal: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
    """Standard Gumbel noise of standard normal noise, by their distribution functions: whose argmax added to logits is a draw."""
    return -(-torch.special.log_ndtr(normal)).log()


class _Layer:
    """One causal block in generation: the keys and values of the source, and of every token written so far."""

    def __init__(self, block: Block, cond: Cond) -> None:
        assert block.attention is not None
        self.block, self.attention, self.cross = block, block.attention, block.cross
        if block.cross is not None:
            assert cond.tokens is not None and cond.tokens_mask is not None
            self.source = block.cross.keys_values(cond.tokens)
            self.visible: Bool[Tensor, "b 1 1 m"] = cond.tokens_mask[:, None, None, :]
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def step(self, x: Float[Tensor, "b 1 d"], c: Tensor) -> Float[Tensor, "b 1 d"]:
        """The next token's state: what `Block` does with a whole sequence, for its last position."""
        start = 0 if self.keys is None else self.keys.shape[2]
        parts = iter(self.block.modulation(c))
        shift, scale, gate = next(parts), next(parts), next(parts)
        y = modulate(x, shift, scale)
        k, v = self.attention.keys_values(y, start)
        self.keys = k if self.keys is None else torch.cat([self.keys, k], 2)
        self.values = v if self.values is None else torch.cat([self.values, v], 2)
        written = torch.ones(len(x), 1, 1, start + 1, dtype=torch.bool, device=x.device)
        x = x + gate * self.attention.read(y, self.keys, self.values, written, start)
        if self.cross is not None:
            shift, scale, gate = next(parts), next(parts), next(parts)
            x = x + gate * self.cross.read(modulate(x, shift, scale), *self.source, self.visible)
        shift, scale, gate = next(parts), next(parts), next(parts)
        whole = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return x + gate * self.block.feedforward(modulate(x, shift, scale), whole)
