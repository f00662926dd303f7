"""Voices made of voices: frequencies move by the factor, colour is one for a clip, padding and other clips stay. Holes are where
and as large as they may be."""

from __future__ import annotations

import pytest
import torch

from fm_audio.audio import AudioSpec
from fm_audio.data.perturb import SpectralMasking, VoicePerturbation, warped
from fm_audio.types import FmAudioError, length_mask

SPEC = AudioSpec(mean=-1.7, std=2.6)


def tone(hz: float) -> torch.Tensor:
    return SPEC.log_mel(0.3 * torch.sin(2 * torch.pi * hz * torch.arange(24_000) / 24_000)[None])


@pytest.mark.parametrize("factor", [0.87, 1.0, 1.15])
def test_a_tone_moves_by_the_factor(factor: float) -> None:
    moved = warped(tone(2000), torch.tensor([factor]), SPEC)[0, 20].argmax()
    assert abs(moved - tone(2000 * factor)[0, 20].argmax()) <= 1


def test_nothing_moves_by_a_factor_of_one() -> None:
    mel = tone(440)
    torch.testing.assert_close(warped(mel, torch.ones(1), SPEC), mel)


def test_padding_and_the_clips_that_are_left_alone_stay_as_they_were() -> None:
    mel, mask = torch.randn(4, 30, 100).clamp(min=SPEC.floor), length_mask(torch.tensor([30, 12, 5, 1]))
    changed = VoicePerturbation(share=1.0)(mel, mask, SPEC, torch.Generator().manual_seed(0))
    assert torch.equal(changed[~mask], mel[~mask]) and not torch.isclose(changed[mask], mel[mask]).all(-1).any()
    assert torch.equal(VoicePerturbation(share=0.0)(mel, mask, SPEC), mel)


def test_colour_is_one_for_a_whole_clip_and_of_the_size_asked_for() -> None:
    mel, mask = torch.zeros(400, 3, 100), torch.ones(400, 3, dtype=torch.bool)
    colour = VoicePerturbation(warp=0.0, colour_decibels=2.0, share=1.0)(mel, mask, SPEC, torch.Generator().manual_seed(1))
    torch.testing.assert_close(colour[:, 0], colour[:, 2])
    decibels = colour[:, 0].std() * SPEC.std * 20 / torch.tensor(10.0).log()
    assert decibels == pytest.approx(2 * 2**0.5, rel=0.1)  # four cosines, each with half of its square on average


def test_the_same_generator_draws_the_same_voices() -> None:
    mel, mask = tone(300), torch.ones(1, 93, dtype=torch.bool)
    first, second = (VoicePerturbation(share=1.0)(mel, mask, SPEC, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("wrong", [{"warp": 1.0}, {"warp": -0.1}, {"share": 1.5}, {"colour_decibels": -1.0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(FmAudioError, match="VoicePerturbation"):
        VoicePerturbation(**wrong)


def test_holes_are_spans_of_bands_and_of_frames_filled_with_the_mean() -> None:
    draw = torch.Generator().manual_seed(0)
    mel, mask = torch.randn(60, 40, 30, generator=draw), length_mask(torch.tensor([40, 23, 4] * 20))
    holes = SpectralMasking(bands=7, band_spans=1, frames=6, frame_spans=1)(mel, mask, draw)
    assert torch.equal(holes[~mask], mel[~mask])
    sizes = set()
    for was, now, keep in zip(mel, holes, mask, strict=True):
        changed = (was != now)[keep]
        torch.testing.assert_close(now[keep][changed], was[keep].mean().expand(int(changed.sum())))
        bands, frames = changed.all(0), changed.all(1)
        assert torch.equal(changed, bands[None] | frames[:, None])
        for of_one, most in ((bands, 7), (frames, min(6, len(changed) // 5))):
            at = of_one.nonzero().flatten()
            assert len(at) <= most and (not len(at) or int(at[-1] - at[0]) == len(at) - 1)
            sizes.add((most, len(at)))
    assert {(7, 0), (7, 7), (6, 0), (6, 6), (4, 4), (0, 0)} <= sizes


def test_no_spans_are_no_holes_and_the_same_generator_draws_the_same() -> None:
    mel, mask = torch.randn(3, 20, 10), torch.ones(3, 20, dtype=torch.bool)
    assert torch.equal(SpectralMasking(band_spans=0, frame_spans=0)(mel, mask), mel)
    first, second = (SpectralMasking(5)(mel, mask, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, mel)
    with pytest.raises(FmAudioError, match="SpectralMasking: bands=-1"):
        SpectralMasking(bands=-1)
