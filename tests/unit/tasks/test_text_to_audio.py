"""Text to audio: sounds that a caption tells apart are learnt, starts and given frames are kept, mistakes are named."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fm_audio.audio import AudioSpec
from fm_audio.backbones.dit import DiT
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.text.spelled import Spelled
from fm_audio.data.text.vocabulary import Letters
from fm_audio.flow.sampling import Sampling
from fm_audio.tasks.sound_requests import SoundRequest
from fm_audio.tasks.text_to_audio import TextToAudio
from fm_audio.types import FmAudioError

SPEC = AudioSpec(sample_rate=8000, n_fft=256, hop_samples=128, window_samples=256, bands=8)
CAPTIONS = {"low": 1, "high": 6}  # where the sound's band lies
FRAMES = 20
SECONDS = SPEC.seconds_of_frames(FRAMES)
PLAIN = Sampling(steps=8)


def make(**arguments: Any) -> TextToAudio:
    torch.manual_seed(0)
    net = DiT(32, 2, 2, vector_width=8, tokens_width=12, feedforward=2.0, position_kernel=0)
    given: dict[str, Any] = {"caption_width": 12, "caption_layers": 1, "caption_heads": 2, "vector_width": 8, "dropout": 0.0}
    return TextToAudio(SPEC, Spelled(Letters(longest=20)), net, **given | arguments)


def mel_of(caption: str, frames: int = FRAMES) -> torch.Tensor:
    mel = torch.full((frames, SPEC.bands), -1.0)
    mel[:, CAPTIONS[caption]] = 1.0
    return mel


def batch(model: TextToAudio, lengths: tuple[int, ...] = (FRAMES, 14)) -> SpeechBatch:
    texts = [c for _ in lengths for c in CAPTIONS]
    ids = [torch.tensor(model.frontend.encode(t).ids) for t in texts]
    symbols = nn.utils.rnn.pad_sequence(ids, batch_first=True)
    frames = torch.tensor([n for n in lengths for _ in CAPTIONS])
    mels = [mel_of(t, int(n)) for t, n in zip(texts, frames, strict=True)]
    mel = nn.utils.rnn.pad_sequence(mels, batch_first=True, padding_value=SPEC.floor)
    mask = torch.arange(mel.shape[1]) < frames[:, None]
    none = torch.zeros(len(texts), symbols.shape[1], dtype=torch.long)
    return SpeechBatch(texts, texts, texts, symbols, symbols > 0, mel, mask, none, torch.zeros(len(texts)).bool())


@cache
def learnt() -> TextToAudio:
    model = make(infill=0.3)
    optimizer, g, seen = torch.optim.AdamW(model.parameters(), 4e-3), torch.Generator().manual_seed(0), batch(model)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(seen, g)["loss"].backward()
        optimizer.step()
    return model.eval()


def off(mel: torch.Tensor, caption: str) -> float:
    return float((mel - mel_of(caption, len(mel))).abs().mean())


def test_captions_tell_sounds_apart() -> None:
    low, high = learnt().generate([SoundRequest(c, SECONDS, seed=3) for c in CAPTIONS], PLAIN)
    assert low.shape == high.shape == (FRAMES, SPEC.bands)
    assert off(low, "low") < 0.35 < off(low, "high") and off(high, "high") < 0.35 < off(high, "low")


def test_guidance_leans_away_from_what_is_not_wanted() -> None:
    """Away from the other caption the answer goes further than away from no caption at all; and seeds differ."""
    model, guided = learnt(), Sampling(steps=8, guidance=2.0)
    ask = SoundRequest("low", SECONDS, seed=1)
    from_any, from_high = model.generate([ask, SoundRequest("low", SECONDS, seed=1, negative="high")], guided)
    assert not torch.allclose(from_any, from_high, atol=1e-3)
    one, again, other = model.generate([ask, ask, SoundRequest("low", SECONDS, seed=2)], PLAIN)
    assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-3)
    with pytest.raises(FmAudioError, match="not trained without its source"):
        make(condition_drop=0.0).generate([ask], guided)


def test_a_start_is_changed_by_its_strength() -> None:
    model, start = learnt(), mel_of("low")
    kept, half, gone = (
        off(model.generate([SoundRequest("high", SECONDS, start=start, strength=s)], PLAIN)[0], "low") for s in (0.05, 0.5, 1.0)
    )
    assert kept < 0.1 and kept < half < gone + 0.05
    plain = model.generate([SoundRequest("high", SECONDS)], PLAIN)[0]
    assert torch.equal(model.generate([SoundRequest("high", SECONDS, start=start, strength=1.0)], PLAIN)[0], plain)


def test_what_is_given_stays_and_is_gone_on_with() -> None:
    """The frames to keep come back as they were, and tell what the rest should be when the caption does not."""
    model, kept = learnt(), torch.arange(FRAMES) < 12
    made = model.generate([SoundRequest("high", SECONDS, given=mel_of("high"), kept=kept)], PLAIN)[0]
    assert torch.equal(made[:12], mel_of("high")[:12]) and off(made[12:], "high") < 0.35
    told, untold = (
        model.head.predict(torch.zeros(1, FRAMES, 8), torch.zeros(1), torch.ones(1, FRAMES).bool(), cond)
        for cond in (
            model._cond(model._captions([[]]), torch.ones(1, FRAMES).bool(), mel_of("high")[None], k[None])
            for k in (kept, torch.zeros_like(kept))
        )
    )
    wrong = [float((v[0, 12:] - mel_of("high")[12:]).detach().abs().mean()) for v in (told, untold)]
    assert wrong[0] < wrong[1]


def test_training_scores_what_is_hidden_and_drops_captions() -> None:
    model = make(infill=0.0, condition_drop=0.0)
    seen = batch(model)
    changed = batch(model)
    changed.symbols[0] = changed.symbols[1]
    nn.init.normal_(model.head.ports["mel"].out.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    for block in model.head.backbone.blocks:  # type: ignore[union-attr]
        nn.init.normal_(block.modulation.linear.weight, std=0.1)

    def loss(m: TextToAudio, b: SpeechBatch) -> float:
        return float(m.loss(b, torch.Generator().manual_seed(0))["loss"].detach())

    assert loss(model, seen) != loss(model, changed)
    model.condition_drop = 0.999999
    assert loss(model, seen) == loss(model, changed)


@pytest.mark.slow
@pytest.mark.parametrize("clips_gist", [False, True])
def test_clips_that_were_found_say_what_the_caption_cannot(clips_gist: bool) -> None:
    """Of a caption that may be either sound, the clip that was found tells which; hidden or absent it tells nothing."""
    model = make(retrieval=True, retrieval_drop=0.2, clips_gist=clips_gist)
    optimizer, g, seen = torch.optim.AdamW(model.parameters(), 4e-3), torch.Generator().manual_seed(0), batch(model)
    one = torch.tensor(model.frontend.encode("one").ids)
    symbols = one.expand(len(seen), -1)
    found = torch.stack([mel_of(text)[None] for text in seen.texts])  # b 1 n d
    told = {"symbols": symbols, "symbols_mask": symbols > 0, "durations_frames": torch.zeros_like(symbols)}
    seen = replace(seen, **told, found=found, found_mask=torch.ones(found.shape[:3]).bool())
    for _ in range(500):
        optimizer.zero_grad()
        model.loss(seen, g)["loss"].backward()
        optimizer.step()
    model.eval()
    ask = [SoundRequest("one", SECONDS, seed=3, found=(mel_of(c),)) for c in CAPTIONS]
    low, high = model.generate(ask, PLAIN)
    assert 1.5 * off(low, "low") < off(low, "high") and 1.5 * off(high, "high") < off(high, "low")
    with pytest.raises(FmAudioError, match="this model does not look at other clips"):
        make().generate(ask, PLAIN)
    with pytest.raises(FmAudioError, match="but the data bring none; give data retrieve: 4"):
        model.loss(batch(model), g)


def test_the_mean_of_clips_is_told_where_there_are_any() -> None:
    model = make(retrieval=True, clips_gist=True).eval()
    read, mask = model._captions([[1, 2], [1, 2]]), torch.ones(2, FRAMES, dtype=torch.bool)
    mel, kept = torch.zeros(2, FRAMES, SPEC.bands), torch.zeros_like(mask)
    clips = torch.randn(2, 3, 11, SPEC.bands)
    shown = torch.zeros(2, 3, 11, dtype=torch.bool)
    shown[0, 1, :9] = True  # the first item sees one clip, the second none

    def vector(mels: Tensor, seen: Tensor) -> Tensor:
        return model._cond(read, mask, mel, kept, model.clips(mels, seen)).vector  # type: ignore[misc, return-value]

    without = model._cond(read, mask, mel, kept).vector
    first = vector(clips, shown)
    assert not torch.allclose(first[0], without[0]) and torch.equal(first[1], without[1])
    assert torch.equal(vector(clips.masked_fill(~shown[..., None], 7.0), shown), first), "what is not shown tells nothing"
    alone = model._cond(read, mask, mel, kept, model.clips(clips[:, 1:2, :9], shown[:, 1:2, :9])).vector
    assert torch.allclose(alone, first, atol=1e-6), "clips that are not there count for nothing"
    with pytest.raises(FmAudioError, match="clips_gist is of clips that are found"):
        make(clips_gist=True)


def test_clips_are_shown_to_those_who_read_and_each_half_of_the_time() -> None:
    model = make(retrieval=True, retrieval_drop=0.25)
    seen = batch(model, (FRAMES,) * 500)
    found = torch.zeros(len(seen), 2, 8, SPEC.bands)
    seen = replace(seen, found=found, found_mask=torch.ones(found.shape[:3]).bool())
    read = torch.arange(len(seen)) % 2 == 0
    shown = model._seen(seen, read, torch.Generator().manual_seed(0))
    assert shown is not None and shown.tokens_mask is not None
    each = shown.tokens_mask.view(len(seen), 2, -1).any(-1)
    assert not each[~read].any(), "without its caption an item sees no clips either"
    assert each[read].float().mean() == pytest.approx(0.75 * 0.5, abs=0.04)
    assert (each[read].sum(1) == 2).float().mean() == pytest.approx(0.75 * 0.25, abs=0.04)


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        (lambda: SoundRequest(" ", 1.0), "prompt: it is empty"),
        (lambda: SoundRequest("low", 0.0), "seconds: given 0; allowed is 0.1 to 600"),
        (lambda: SoundRequest("low", 10_000), "seconds: given 10000"),
        (lambda: SoundRequest("low", 1.0, seed=-1), "seed: given -1"),
        (lambda: SoundRequest("low", 1.0, start=mel_of("low"), strength=0.0), "strength: given 0"),
        (lambda: SoundRequest("low", 1.0, given=mel_of("low")), "given and kept: give both"),
        (lambda: SoundRequest("low", 1.0, given=mel_of("low"), kept=torch.ones(FRAMES).bool()), "nothing is left to make"),
        (lambda: SoundRequest("low", 1.0, given=mel_of("low"), kept=torch.ones(3).bool()), "one for each frame"),
    ],
)
def test_requests_that_mean_nothing_are_refused(request_of: Any, message: str) -> None:
    with pytest.raises(FmAudioError, match=message):
        request_of()


def test_what_cannot_be_made_is_refused() -> None:
    model = make()
    with pytest.raises(FmAudioError, match="at most 20 are allowed"):
        model.generate([SoundRequest("low" * 3000, 1.0)])
    with pytest.raises(FmAudioError, match=r"start: is \(20, 8\); 1 s are \(\d+, 8\) here"):
        model.generate([SoundRequest("low", 1.0, start=mel_of("low"), strength=0.5)])
    with pytest.raises(FmAudioError, match="has no words"):
        model.generate([SoundRequest("!?", 1.0)])
    with pytest.raises(FmAudioError, match="infill is 1.0; give a share"):
        make(infill=1.0)
