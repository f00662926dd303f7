"""Is this text what is said? A small network compares what a reader of phones hears with the words of a text, whoever speaks.

    share   of each token in each phone of the text: `occupancy` of the reader's P(phone), softened        (frozen)
    tokens  blocks(states of the reader, its P, the phones expected there by the shares, how well they fit)
    logit   of every word that it was not said, and of every gap that something else was: blocks(tokens of it, phones, length)
    loss    binary cross entropy of the clip, whose log odds are logsumexp(logits), + 0.3 Σ that of words and gaps

It learns from texts that are changed (`misreadings`), from joined clips with the text of either side of the joint
(`data_prep.spliced`), so that a joint by itself tells nothing, and from damaged moments (`data.damage_waves`), in which no word
is said. What it finds is evidence for `evaluation.doubt`; `recipes/phones/matched.yaml` trained the one that ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.misreadings import Misread, Misreading, Word
from fm_audio.encoders.occupancy import occupancy
from fm_audio.encoders.text_match import TextMatch, belonging
from fm_audio.tasks.frozen_reader import FrozenReader
from fm_audio.tasks.phone_reader import CLASSES, SILENCE, states_of_words
from fm_audio.types import FmAudioError, Mask, length_mask

TEMPERATURE = 2.0  # of the reader, which is surer than it is right
LEAST_LOG_P = -8.0
UNITS_SHARE = 0.3  # of the loss of words and gaps beside the clip's
AS_ASKED, AS_SAID = 0.35, 0.35  # of joined clips that are shown with the text of before the joint, and as they are
DAMAGED, TOUCHED = 0.5, 0.1  # share of a word's tokens: damaged from here on, whole up to there, between them not counted


class TextMatcher(nn.Module):
    """width and layers: of the blocks of tokens (`token_layers`, convolutions of `kernel`) and of words (`layers`, attention).

    reader: whose states are looked at, of `reader_width`, with damage among its classes; its listener must be the data's.
    """

    def __init__(
        self,
        spec: AudioSpec,
        frontend: FrontEnd,
        reader: FrozenReader | None = None,
        reader_width: int = 160,
        width: int = 128,
        token_layers: int = 3,
        layers: int = 2,
        heads: int = 4,
        kernel: int = 7,
        phone_width: int = 32,
        dropout: float = 0.2,
        misreading: Misreading | None = None,
        listener: FrozenListener | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.frontend, self.listener = spec, frontend, listener
        self.reader = reader or FrozenReader()
        self.misreading = misreading or Misreading()
        self.match = TextMatch(reader_width, len(CLASSES), width, token_layers, layers, heads, kernel, phone_width, dropout)

    def forward(
        self, states: Float[Tensor, "b k w"], log_p: Float[Tensor, "b k c"], mask: Mask, texts: Sequence[Sequence[Word]]
    ) -> tuple[Float[Tensor, "b u"], Bool[Tensor, "b u"]]:
        """What a reader heard and the words of each text -> log odds of each gap and word by turns that it is not as the text has
        it, and which of the u are real; 0 where they are not. Raises FmAudioError for a text that does not fit into its sound."""
        logits, real, _ = self._compared(states, log_p, mask, texts)
        return logits, real

    def odds(self, logits: Float[Tensor, "b u"], real: Bool[Tensor, "b u"]) -> Float[Tensor, "b"]:
        """Log odds of each clip that something in it is not as the text has it."""
        return logits.masked_fill(~real, -torch.inf).logsumexp(1)

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss", "error", the share of clips whose odds are on the wrong side of 0, "alarms" among clips that are as
        their text has them, and "missed" among the others."""
        states, log_p, mask = self.reader.hear(batch)
        said = [self.reader.words(text) for text in batch.texts]
        seed = torch.randint(2**31, (1,), generator=generator, device=generator.device if generator else None)
        draw = np.random.default_rng(int(seed))
        pool = [word for words in said for word in words]
        shown = [self._shown(batch, i, words, pool, int(mask[i].sum()), draw) for i, words in enumerate(said)]
        fits = [i for i, text in enumerate(shown) if sum(map(len, text.words)) <= int(mask[i].sum())]
        if not fits:
            raise FmAudioError(f"no text of the batch fits into its sound ({', '.join(batch.ids[:3])} …); check the corpus")
        at = torch.tensor(fits, device=mask.device)
        logits, real, shares = self._compared(states[at], log_p[at], mask[at], [shown[i].words for i in fits])
        with torch.autocast(logits.device.type, enabled=False):
            labels, counted = self._labels(batch, fits, [shown[i].labels for i in fits], real, shares)
            each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
            odds, faulty = self.odds(logits, real), labels.amax(1)
            clip = F.binary_cross_entropy_with_logits(odds, faulty)
            loss = clip + UNITS_SHARE * each.masked_fill(~counted, 0.0).sum() / len(fits)
        wrong = ((odds > 0) != (faulty > 0)).float().detach()
        told = {"error": wrong.mean()}
        told |= {name: wrong[some].mean() for name, some in (("alarms", faulty == 0), ("missed", faulty > 0)) if bool(some.any())}
        return {"loss": loss, **told}

    def _shown(
        self, batch: SpeechBatch, i: int, said: Sequence[Word], pool: Sequence[Word], room: int, draw: np.random.Generator
    ) -> Misread:
        """The text that a clip is shown with."""
        other = batch.other_texts[i] if batch.other_texts is not None else None
        if other is not None:
            which = draw.random()
            if which < AS_ASKED:
                return told_apart(said, self.reader.words(other))
            if which < AS_ASKED + AS_SAID:
                return Misread.true(said)
        return self.misreading(said, pool, room, draw)

    def _labels(
        self, batch: SpeechBatch, fits: Sequence[int], told: Sequence[Sequence[bool]], real: Bool[Tensor, "b u"],
        shares: Float[Tensor, "b k u"],
    ) -> tuple[Float[Tensor, "b u"], Bool[Tensor, "b u"]]:  # fmt: skip
        """What is wrong, and which gaps and words count: where a moment is damaged its words are wrong, or the one it touches
        most."""
        labels = torch.zeros(real.shape, device=real.device)
        for row, some in zip(labels, told, strict=True):
            row[: len(some)] = torch.tensor(some, dtype=labels.dtype)
        damaged = self.reader.damaged(batch, shares.shape[1])
        if damaged is None:
            return labels, real
        hit = torch.einsum("bk,bku->bu", damaged[list(fits)].to(shares), shares)
        share = hit / shares.sum(1).clamp(min=0.5)
        worst = F.one_hot(hit.argmax(1), hit.shape[1]).bool() & (hit > 0)
        wrong = (share > DAMAGED) | (worst & ~(share > DAMAGED).any(1, keepdim=True))
        return torch.maximum(labels, wrong.float()), real & ((share <= TOUCHED) | wrong)

    def _compared(
        self, states: Float[Tensor, "b k w"], log_p: Float[Tensor, "b k c"], mask: Mask, texts: Sequence[Sequence[Word]]
    ) -> tuple[Float[Tensor, "b u"], Bool[Tensor, "b u"], Float[Tensor, "b k u"]]:
        """Log odds, which are real, and the share that each token has in each gap and word."""
        states, log_p = (part.masked_fill(~mask[..., None], 0.0) for part in (states, log_p))
        classes, kept, unit, real = rows_of(texts, states.device)
        soft = (log_p.float() / TEMPERATURE).log_softmax(-1).clamp(min=LEAST_LOG_P)
        of_state = soft.gather(2, classes[:, None].expand(-1, soft.shape[1], -1))
        share = occupancy(of_state, mask, (classes == SILENCE) & kept, kept)
        logits = self.match(states, soft, mask, share, classes, unit, kept, real)
        return logits, real, share @ belonging(unit, kept, real)


def told_apart(said: Sequence[Word], text: Sequence[Word]) -> Misread:
    """A text beside what was said: which of its words were not, and where something else was."""
    unsaid, more = [False] * len(text), [False] * (len(text) + 1)
    for kind, _, _, start, end in SequenceMatcher(None, said, text, autojunk=False).get_opcodes():
        if kind == "delete":
            more[start] = True
        elif kind != "equal":
            unsaid[start:end] = [True] * (end - start)
    return Misread(tuple(text), tuple(unsaid), tuple(more))


def rows_of(
    texts: Sequence[Sequence[Word]], device: torch.device
) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"], Int[Tensor, "b s"], Bool[Tensor, "b u"]]:
    """The class of each state of each text, which states are real, the number of the gap or word that each belongs to, and which
    of those are real."""
    rows, units = [], []
    for words in texts:
        states, owner = states_of_words(words)
        rows.append(torch.tensor(states))
        gaps = iter(range(0, 2 * len(words) + 1, 2))
        units.append(torch.tensor([2 * word + 1 if word >= 0 else next(gaps) for word in owner]))
    pad = nn.utils.rnn.pad_sequence
    kept = length_mask(torch.tensor([len(row) for row in rows]))
    real = length_mask(torch.tensor([2 * len(words) + 1 for words in texts]))
    return pad(rows, True).to(device), kept.to(device), pad(units, True).to(device), real.to(device)
