"""Text to text, one token after the other: the baseline beside `TextToText`, with its vocabularies, source encoder and blocks.

    loss = −Σ log P(token | tokens before it, source)          generate: the likeliest token each time, until the end

A causal Transformer with cross-attention (Vaswani et al. 2017). In generation keys and values of what is written are kept, so
that each token costs one forward of one position.
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
from fm_audio.encoders.tokens import TokenEncoder
from fm_audio.layers import Block, Modulation, modulate
from fm_audio.tasks.text_requests import GeneratedText, TextRequest
from fm_audio.types import Cond, FmAudioError, Mask, length_mask, masked_mean

TOGETHER = 256  # requests that are written in one batch


class AutoregressiveText(nn.Module):
    """`text_*` size the source's encoder as in `TextToText`; `width`, `layers`, `heads`, `feedforward` the decoder."""

    def __init__(
        self,
        source: Vocabulary,
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
        self.encoder = TokenEncoder(len(source.symbols), text_width, text_layers, text_heads, dropout=dropout)
        self.embedding = nn.Embedding(len(target.symbols), width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, 1, feedforward, context_width=text_width, causal=True) for _ in range(layers)
        )
        self.last = Modulation(1, width, 2)
        self.out = nn.Linear(width, len(target.symbols))

    def loss(self, batch: TextBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalar "loss"; nothing is drawn but dropout."""
        if batch.source is None or batch.source_mask is None:
            raise FmAudioError(f"this task answers a source and {len(batch)} pairs have none; give files with two columns")
        cond = self.encoder(batch.source, batch.source_mask)
        lengths = batch.target_mask.sum(1)
        before = F.pad(batch.target, (1, 0), value=END)  # what stands before the first token is the end of another text
        after = F.pad(batch.target.masked_fill(~batch.target_mask, 0), (0, 1))
        after[torch.arange(len(after), device=after.device), lengths] = END
        mask = length_mask(lengths + 1)
        logits = self(before, mask, cond)
        each = F.cross_entropy(logits.mT, after, reduction="none", label_smoothing=self.label_smoothing)
        return {"loss": masked_mean(each, mask)}

    def forward(self, before: Int[Tensor, "b n"], mask: Mask, cond: Cond) -> Float[Tensor, "b n v"]:
        """Logits of the token after each of `before`, float32."""
        steady = self.out.weight.new_ones(len(before), 1)
        x = self.dropout(self.embedding(before) + positions(before.shape[1], self.embedding.embedding_dim, before.device))
        for block in self.blocks:
            x = block(x, steady, mask, cond.tokens, cond.tokens_mask)
        return self.out(modulate(x, *self.last(steady))).float()

    @torch.inference_mode()
    def generate(self, requests: Sequence[TextRequest], progress: Callable[[float], None] | None = None) -> list[GeneratedText]:
        """One text for each request; the same alone and in any company. Nothing is drawn: the seed is not read."""
        if any(r.text is None for r in requests):
            raise FmAudioError("text: this model always had a source and cannot write freely; give a text")
        sources = [self.source.encode(r.text) for r in requests]  # type: ignore[arg-type]
        order = sorted(range(len(requests)), key=lambda i: len(sources[i]))
        written: list[GeneratedText | None] = [None] * len(requests)
        for at in range(0, len(order), TOGETHER):
            rows = order[at : at + TOGETHER]
            for i, made in zip(rows, self._written([sources[i] for i in rows]), strict=True):
                written[i] = made
            if progress is not None:
                progress((at + len(rows)) / len(order))
        return [w for w in written if w is not None]

    def _written(self, sources: Sequence[Sequence[int]]) -> list[GeneratedText]:
        device = self.out.weight.device
        mask = length_mask(torch.tensor([len(s) for s in sources], device=device))
        ids = nn.utils.rnn.pad_sequence([torch.tensor(s, device=device) for s in sources], batch_first=True)
        cond = self.encoder(ids, mask)
        layers = [_Layer(block, cond) for block in self.blocks]  # type: ignore[arg-type]
        steady = self.out.weight.new_ones(len(sources), 1)
        table = positions(self.target.longest + 1, self.embedding.embedding_dim, device)
        token = torch.full((len(sources),), END, device=device)
        tokens, log_probabilities = [], []
        done = torch.zeros_like(token, dtype=torch.bool)
        for k in range(self.target.longest + 1):
            x = (self.embedding(token) + table[k])[:, None]
            for layer in layers:
                x = layer.step(x, steady)
            best, token = self.out(modulate(x, *self.last(steady)))[:, 0].float().log_softmax(-1).max(-1)
            tokens.append(token)
            log_probabilities.append(best)
            done = done | (token <= END)
            if done.all():
                break
        return [self._answer(t, p) for t, p in zip(torch.stack(tokens, 1), torch.stack(log_probabilities, 1), strict=True)]

    def _answer(self, tokens: Int[Tensor, "n"], log_probabilities: Float[Tensor, "n"]) -> GeneratedText:
        ids = until_end(tokens.tolist())[: self.target.longest]
        counted = log_probabilities[: len(ids) + 1]
        return GeneratedText(self.target.decode(ids), tuple(ids), float(counted.mean()), len(counted))


class _Layer:
    """One causal block in generation: the keys and values of the source, and of every token written so far."""

    def __init__(self, block: Block, cond: Cond) -> None:
        assert block.attention is not None and block.cross is not None and cond.tokens is not None
        self.block, self.attention, self.cross = block, block.attention, block.cross
        self.source = block.cross.keys_values(cond.tokens)
        self.visible: Bool[Tensor, "b 1 1 m"] = cond.tokens_mask[:, None, None, :]  # type: ignore[index]
        self.keys = self.values = self.source[0][:, :, :0]

    def step(self, x: Float[Tensor, "b 1 d"], c: Tensor) -> Float[Tensor, "b 1 d"]:
        """The next token's state: what `Block` does with a whole sequence, for its last position."""
        start = self.keys.shape[2]
        shift, scale, gate, cross_shift, cross_scale, cross_gate, last_shift, last_scale, last_gate = self.block.modulation(c)
        y = modulate(x, shift, scale)
        k, v = self.attention.keys_values(y, start)
        self.keys, self.values = torch.cat([self.keys, k], 2), torch.cat([self.values, v], 2)
        written = torch.ones(len(x), 1, 1, start + 1, dtype=torch.bool, device=x.device)
        x = x + gate * self.attention.read(y, self.keys, self.values, written, start)
        x = x + cross_gate * self.cross.read(modulate(x, cross_shift, cross_scale), *self.source, self.visible)
        whole = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return x + last_gate * self.block.feedforward(modulate(x, last_shift, last_scale), whole)
