"""What is heard, laid along the gaps and words of a text, becomes log odds of each that it is not as the text has it.

    tokens  blocks(states of a reader, its P, the phones expected there by the shares, how well they fit)
    units   blocks(tokens of each gap and word on the average and at most, its phones, its length)

Axes: b items, k tokens of sound, s states of a text, u its gaps and words by turns, c classes of phones.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fm_audio.layers import Block, FeedForward
from fm_audio.types import Frames, Mask

UNITS_AT_ONCE = 16
MOST_TOKENS = 20.0  # of the shortest phone


class TextMatch(nn.Module):
    """width and layers: of the blocks of tokens (`token_layers`, convolutions of `kernel`) and of words (`layers`, attention).

    The reader's states have `reader_width`, and its P `phones` classes, of which 0 is silence, and one more, damage.
    """

    def __init__(
        self, reader_width: int, phones: int, width: int, token_layers: int, layers: int, heads: int, kernel: int,
        phone_width: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.reader_width, self.phones = reader_width, phones
        self.phone = nn.Embedding(phones + 1, phone_width)
        self.dropout = nn.Dropout(dropout)
        self.into = nn.Linear(reader_width + phones + 1 + phone_width + 4, width)
        self.tokens = nn.ModuleList(FeedForward(width, 2 * width, kernel) for _ in range(token_layers))
        self.token_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(token_layers))
        self.unit = nn.Linear(2 * width + phone_width + 4, width)
        self.kind = nn.Embedding(2, width)
        self.blocks = nn.ModuleList(Block(width, heads, 1, 2.0, 5) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 1)
        nn.init.constant_(self.out.bias, -4.0)  # most words are said

    def forward(
        self,
        states: Float[Tensor, "b k w"],
        log_p: Float[Tensor, "b k c"],
        mask: Mask,
        share: Float[Tensor, "b k s"],
        classes: Int[Tensor, "b s"],
        unit: Int[Tensor, "b s"],
        kept: Bool[Tensor, "b s"],
        real: Bool[Tensor, "b u"],
    ) -> Float[Tensor, "b u"]:
        """A reader's states and its log P, softened, 0 where mask is False; each state's `share` of the tokens, class and the
        gap or word it belongs to; which states and which gaps and words are there -> log odds, 0 where there is nothing."""
        of_state = log_p.gather(2, classes[:, None].expand(-1, log_p.shape[1], -1))
        own = (share * of_state).sum(-1)
        silent = ((classes == 0) & kept).to(share)
        quiet, unsure = (share * silent[:, None]).sum(-1), -(share * share.clamp(min=1e-9).log()).sum(-1)
        best = log_p[..., : self.phones].amax(-1)
        fit = torch.stack([own, best - own, quiet, unsure], -1)
        phones = self.phone(classes)
        x = self.into(torch.cat([self.dropout(states.float()), log_p / 4, share @ phones, fit], -1))
        x = x.masked_fill(~mask[..., None], 0.0)
        for norm, layer in zip(self.token_norms, self.tokens, strict=True):
            x = x + layer(norm(x), mask)
        belongs = belonging(unit, kept, real)
        kinds = self.kind((torch.arange(real.shape[1], device=real.device) % 2).expand(real.shape))  # gaps, words
        h = self.unit(self._of_units(x, share, phones, belongs, mask)) + kinds
        steady = torch.ones(len(h), 1, dtype=h.dtype, device=h.device)
        for block in self.blocks:
            h = block(h, steady, real)
        return self.out(self.norm(h))[..., 0].float().masked_fill(~real, 0.0)

    def _of_units(
        self, x: Frames, share: Float[Tensor, "b k s"], phones: Float[Tensor, "b s e"], belongs: Float[Tensor, "b s u"],
        mask: Mask,
    ) -> Float[Tensor, "b u h"]:  # fmt: skip
        """What is heard in each gap and word, on the average and at most, which phones it has, and how long it is."""
        shares = share @ belongs
        length, many = shares.sum(1), belongs.sum(1)
        mean = torch.einsum("bku,bkd->bud", shares, x) / (length[..., None] + 0.1)
        far = shares.clamp(min=1e-6).log().masked_fill(~mask[..., None], -torch.inf)
        parts = [far] if torch.compiler.is_exporting() else far.split(UNITS_AT_ONCE, 2)  # a file has no loop, and takes memory
        most = [(x[:, :, None] + part[..., None]).amax(1) for part in parts]
        of_phones = torch.einsum("bsu,bsd->bud", belongs, phones) / many[..., None].clamp(min=1)
        shortest = share.sum(1)[..., None].expand_as(belongs).masked_fill(belongs == 0, torch.inf).amin(1)
        lengths = [length.log1p(), length.log1p() - many.log1p(), (shortest.clamp(max=MOST_TOKENS) + 0.1).log(), many / 5]
        return torch.cat([mean, torch.cat(most, 1), of_phones, torch.stack(lengths, -1)], -1)


def belonging(unit: Int[Tensor, "b s"], kept: Bool[Tensor, "b s"], real: Bool[Tensor, "b u"]) -> Float[Tensor, "b s u"]:
    """1 where a state belongs to a gap or word."""
    there = unit[..., None] == torch.arange(real.shape[1], device=real.device)
    return (there & kept[..., None]).float()
