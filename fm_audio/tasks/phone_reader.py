"""Which phone is heard when: log-mel → log P(phone) for every two frames or so, whoever speaks.

    loss = −log P(phone of the symbol that lies there)

Where the corpus has durations they say what lies where; other clips are laid along what the reader itself hears of them
(`optional_path`), from the batch on at which it has learned something. Stress and punctuation are no phones: vowels have one
class each, and everything that is silent shares one. A frozen encoder of speech may listen too (`listener`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from fm_audio.audio import AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.frozen_speech import FrozenListener
from fm_audio.data.perturb import SpectralMasking, VoicePerturbation
from fm_audio.data.text.arpabet import PHONES, stressless
from fm_audio.data.text.frontend import FrontEnd
from fm_audio.data.text.sentences import split_sentences
from fm_audio.encoders.speech import SpeechEncoder
from fm_audio.tasks.speech_requests import PIECE_CHARACTERS
from fm_audio.types import FmAudioError, Frames, Mask, masked_mean

CLASSES = ("", *dict.fromkeys(map(stressless, PHONES)))  # silence first
SILENCE = 0
STATES_HZ = 50  # of what a listener hears
ITSELF_AFTER = 400  # batches, before clips without durations count


class PhoneReader(nn.Module):
    """`frontend` must give CMUdict's phones (`arpabet.Arpabet`); sizes are those of `SpeechEncoder`.

    `perturb` makes new voices of the clips of a batch, and `masking` takes parts away, in training only. `listener`: a frozen
    speech encoder, the same as the data's, whose states are read beside the mel; it hears recordings as they are, not perturbed.
    `damage`: one more class, behind `CLASSES`, for what nobody could have said; the data says where that is
    (`data_prep.perturbed --damaged`).
    """

    class_of: Tensor
    batches: Tensor

    def __init__(
        self,
        spec: AudioSpec,
        frontend: FrontEnd,
        width: int = 160,
        layers: int = 5,
        heads: int = 4,
        frames_per_token: int = 2,
        kernel: int = 7,
        dropout: float = 0.1,
        perturb: VoicePerturbation | None = None,
        masking: SpectralMasking | None = None,
        listener: FrozenListener | None = None,
        damage: bool = False,
    ) -> None:
        super().__init__()
        if listener is not None and perturb is not None:
            raise FmAudioError(f"{listener} listens to samples: leave perturb out, which changes mels")
        known = set(PHONES)
        if not known <= set(frontend.symbols):
            raise FmAudioError(f"PhoneReader: {type(frontend).__name__} has not all of CMUdict's phones; give arpabet.Arpabet")
        self.spec, self.frontend = spec, frontend
        self.perturb, self.masking, self.listener = perturb, masking, listener
        self.damage = damage
        beside = listener.channels if listener else 0
        self.encoder = SpeechEncoder(spec.bands, width, layers, heads, frames_per_token, kernel, dropout=dropout, beside=beside)
        self.out = nn.Linear(width, len(CLASSES) + damage)
        classes = [CLASSES.index(stressless(s)) if s in known else SILENCE for s in frontend.symbols]
        self.register_buffer("class_of", torch.tensor(classes), persistent=False)
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(
        self, mel: Frames, mask: Mask, heard: Float[Tensor, "b s e"] | None = None, heard_mask: Bool[Tensor, "b s"] | None = None
    ) -> tuple[Float[Tensor, "b k c"], Bool[Tensor, "b k"]]:
        """mel (b n bands), mask (b n) -> log probabilities of `CLASSES` float32 (and of damage, if learned), and which of the k
        tokens are real.

        heard (b s e) and their mask: what the listener heard of the same sound, where there is one."""
        _, log_p, seen = self.states(mel, mask, heard, heard_mask)
        return log_p, seen

    def states(
        self, mel: Frames, mask: Mask, heard: Float[Tensor, "b s e"] | None = None, heard_mask: Bool[Tensor, "b s"] | None = None
    ) -> tuple[Float[Tensor, "b k w"], Float[Tensor, "b k c"], Bool[Tensor, "b k"]]:
        """As `forward`, with the states of `width` that it reads the phones off before them."""
        if self.listener is None:
            cond = self.encoder(mel, mask)
        elif heard is None or heard_mask is None:
            raise FmAudioError(f"this task listens through {self.listener}, and the data does not; name it at the top")
        else:
            cond = self.encoder(mel, mask, self._beside(mel, heard, heard_mask))
        assert cond.tokens is not None and cond.tokens_mask is not None
        return cond.tokens, self.out(cond.tokens).float().log_softmax(-1), cond.tokens_mask

    def loss(self, batch: SpeechBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Scalars "loss" and "error", the share of tokens whose phone is another."""
        mel = batch.mel
        if self.training and self.perturb is not None:
            mel = self.perturb(mel, batch.mask, self.spec, generator)
        if self.training and self.masking is not None:
            mel = self.masking(mel, batch.mask, generator)
        log_p, seen = self(mel, batch.mask, batch.heard, batch.heard_mask)
        labels, damaged = self._told(batch, log_p.shape[1]), self.damaged_tokens(batch, log_p.shape[1])
        counted = seen & batch.has_durations[:, None]
        if int(self.batches) >= ITSELF_AFTER or not batch.has_durations.any():
            others = (~batch.has_durations).nonzero().flatten()
            heard: Sequence[np.ndarray] = list(self._undisturbed(batch, others)) if len(others) else []
            for i, log_p_i in zip(others.tolist(), heard, strict=True):
                k, kept = int(seen[i].sum()), batch.symbols_mask[i]
                sequence, optional = self.sequence(batch.symbols[i][kept].tolist())
                if len(sequence) - sum(optional) > k:
                    continue
                told_by = np.where(damaged[i, :k, None].cpu().numpy(), 0.0, log_p_i[:k])  # what is damaged tells nothing
                path = optional_path(told_by[:, sequence], optional)
                labels[i, :k] = torch.tensor(sequence)[path].to(labels)
                counted[i] = seen[i]
        labels = labels.masked_fill(damaged, len(CLASSES))
        if self.training:
            self.batches.add_(1)
        each = F.nll_loss(log_p.mT, labels, reduction="none")
        wrong = (log_p.argmax(-1) != labels).float()
        return {"loss": masked_mean(each, counted), "error": masked_mean(wrong.detach(), counted)}

    def _beside(
        self, mel: Frames, heard: Float[Tensor, "b s e"], heard_mask: Bool[Tensor, "b s"]
    ) -> Float[Tensor, "b k e"]:
        """heard (b s e) at the middle of each token (b k e), linearly between states."""
        p = self.encoder.frames_per_token
        middles = (torch.arange(-(-mel.shape[1] // p), device=mel.device) + 0.5) * self.spec.seconds_of_frames(p)
        last = heard_mask.sum(1, keepdim=True) - 1
        at = (middles * STATES_HZ - 0.5).clamp(min=0.0)[None].minimum(last.to(middles.dtype))  # b k
        before = at.long()
        rows = torch.arange(len(heard), device=heard.device)[:, None]
        return torch.lerp(heard[rows, before], heard[rows, (before + 1).minimum(last)], (at - before)[..., None].to(heard.dtype))

    @torch.no_grad()
    def _undisturbed(self, batch: SpeechBatch, which: Int[Tensor, "c"]) -> np.ndarray:
        """Log probabilities (c k classes) of some clips as they are: no holes, no dropout."""
        training = self.training
        self.eval()
        some = (part if part is None else part[which] for part in (batch.mel, batch.mask, batch.heard, batch.heard_mask))
        log_p, _ = self(*some)
        self.train(training)
        return log_p.cpu().numpy()

    def sequence(self, ids: Sequence[int]) -> tuple[list[int], list[bool]]:
        """Symbols as classes, and which may be left out: every silence."""
        classes = [int(c) for c in self.class_of[list(ids)]]
        kept = [c for i, c in enumerate(classes) if c != SILENCE or i == 0 or classes[i - 1] != SILENCE]
        return kept, [c == SILENCE for c in kept]

    def words(self, text: str) -> tuple[list[str], list[list[int]]]:
        """The words of a text that are heard, and their phones as classes. Raises FmAudioError for a text without any."""
        names: list[str] = []
        phones: list[list[int]] = []
        for piece in split_sentences(text, PIECE_CHARACTERS):
            sentence = self.frontend.encode(piece)
            for word, first, last in sentence.words:
                spoken = [c for c in map(int, self.class_of[sentence.ids[first:last]]) if c != SILENCE]
                if spoken:
                    names.append(word)
                    phones.append(spoken)
        if not names:
            raise FmAudioError("text: nothing in it can be read out; give at least one word in letters or digits")
        return names, phones

    def damaged_tokens(self, batch: SpeechBatch, k: int) -> Bool[Tensor, "b k"]:
        """Tokens whose middle is damaged; none unless that is learned."""
        n = batch.mel.shape[1]
        if batch.damaged is None or not self.damage:
            return torch.zeros(len(batch), k, dtype=torch.bool, device=batch.mel.device)
        return batch.damaged[:, self._middles(k, batch.mel.device).clamp(max=n - 1)]

    def _middles(self, k: int, device: torch.device) -> Int[Tensor, "k"]:
        """Frames in the middle of each token."""
        p = self.encoder.frames_per_token
        return torch.arange(k, device=device) * p + (p - 1) // 2

    def _told(self, batch: SpeechBatch, k: int) -> Int[Tensor, "b k"]:
        """The class at the middle of each token by the corpus's durations; silence where there are none."""
        middles = self._middles(k, batch.mel.device)
        ends = batch.durations_frames.cumsum(1)
        at = torch.searchsorted(ends, middles.expand(len(ends), -1).contiguous(), right=True)
        ids = batch.symbols.gather(1, at.clamp(max=batch.symbols.shape[1] - 1))
        return self.class_of[ids]


def states_of_words(words: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Classes in a row with a silence that may be left out around every word; of each state the number of its word, −1 for
    silences."""
    states, owner = [SILENCE], [-1]
    for i, word in enumerate(words):
        states += [*word, SILENCE]
        owner += [i] * len(word) + [-1]
    return states, owner


def optional_path(log_p: np.ndarray, optional: Sequence[bool]) -> np.ndarray:
    """The likeliest way through states in order, of which the `optional` may be passed over: log_p (k s) -> a state for each of
    the k tokens. No two neighbours may be optional; the others have one token each at least (Viterbi, in float64).

    Raises FmAudioError where there are more states that must be than tokens.
    """
    k, s = log_p.shape
    free = np.asarray(optional, dtype=bool)
    if s - int(free.sum()) > k:
        raise FmAudioError(f"alignment: {s - int(free.sum())} phones do not fit into {k} tokens of sound; the text is too long")
    over = np.r_[False, False, free[1:-1]] if s > 1 else np.zeros(1, dtype=bool)  # state i may follow i − 2
    score = np.full(s, -np.inf)
    score[0] = log_p[0, 0]
    if s > 1 and free[0]:
        score[1] = log_p[0, 1]
    steps = np.zeros((k, s), dtype=np.int8)
    for j in range(1, k):
        choices = np.full((3, s), -np.inf)
        choices[0] = score
        choices[1, 1:] = score[:-1]
        choices[2, 2:] = np.where(over[2:], score[:-2], -np.inf)
        steps[j] = choices.argmax(0)
        score = choices.max(0) + log_p[j]
    state = s - 1 if s == 1 or not free[-1] or score[-1] >= score[-2] else s - 2
    path = np.empty(k, dtype=np.int64)
    for j in range(k - 1, -1, -1):
        path[j] = state
        state -= int(steps[j, state])
    return path
