"""A vocoder trains, its judges too; a resumed run goes on to the same numbers; crops are a function of their number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from fm_audio.audio import AudioSpec
from fm_audio.decoders.vocos import Vocos
from fm_audio.types import FmAudioError

lightning = pytest.importorskip("lightning", reason="the train extra is not installed")

from fm_audio.data.waves import EpochSampler, RandomCrops, WaveBank, WaveDataModule, audio_paths  # noqa: E402
from fm_audio.mel_distance import MultiScaleMelLoss  # noqa: E402
from fm_audio.training.discriminators import Discriminators  # noqa: E402
from fm_audio.training.vocoder import VocoderModule, half_cosine, unit_gradient  # noqa: E402

SPEC = AudioSpec(sample_rate=8000, n_fft=128, hop_samples=32, window_samples=128, bands=20, mean=-3.0, std=2.0)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Six tones of half a second with their manifest; one speaker of them whispers."""
    folder = tmp_path / "speech"
    folder.mkdir()
    lines = []
    for i in range(6):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * i) * np.arange(4000) / 8000)
        soundfile.write(folder / f"{i}.wav", tone, 8000)
        lines.append(json.dumps({"audio": f"{i}.wav", "speaker": "whisper" if i == 5 else "anna", "seconds": 0.5}))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return folder


def module(adversarial_start_steps: int = 0, total_steps: int = 100) -> VocoderModule:
    torch.manual_seed(1)
    judges = Discriminators(periods=(2, 3), resolutions=(128, 64), width=2, period_growth=(1, 2))
    decoder = Vocos(SPEC, width=16, layers=1, hidden=16)
    return VocoderModule(decoder, judges, total_steps, adversarial_start_steps, saved_samples=1)


def data(speech: Path, **options: object) -> WaveDataModule:
    settings = {"batch_size": 2, "crop_frames": 24, "steps_per_epoch": 2, "holdout_every": 3, "exclude_speakers": ["whisper"]}
    return WaveDataModule(SPEC, [str(speech)], **(settings | options))


def trainer(folder: Path, epochs: int) -> lightning.Trainer:
    save = lightning.pytorch.callbacks.ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)
    return lightning.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[save],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def test_a_resumed_run_goes_on_to_the_same_numbers(speech: Path, tmp_path: Path) -> None:
    whole = module(adversarial_start_steps=1)
    trainer(tmp_path / "whole", 2).fit(whole, data(speech))
    trainer(tmp_path / "half", 1).fit(module(adversarial_start_steps=1), data(speech))
    resumed = module(adversarial_start_steps=1)
    trainer(tmp_path / "half", 2).fit(resumed, data(speech), ckpt_path=tmp_path / "half" / "last.ckpt")
    assert int(whole.steps) == int(resumed.steps) == 4
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value, rtol=0, atol=0, msg=key)
    assert any((tmp_path / "half" / "samples").glob("0000004_0.wav"))


def test_reconstruction_alone_learns_one_batch_and_leaves_the_judges_as_they_were(speech: Path, tmp_path: Path) -> None:
    learner = module(adversarial_start_steps=1000, total_steps=1000)
    before = [p.clone() for p in learner.discriminators.parameters()]
    waves = data(speech)
    waves.setup()
    batch = next(iter(waves.train_dataloader()))
    wave, x = learner.pair(batch)
    start = learner.reconstruction(wave, learner.decoder(x))
    optimiser = torch.optim.AdamW(learner.decoder.parameters(), 2e-3)
    for _ in range(60):
        decoded = learner.decoder(x)
        optimiser.zero_grad()
        learner.reconstruction(wave, decoded).backward()
        optimiser.step()
    assert learner.reconstruction(wave, learner.decoder(x)) < 0.5 * start
    assert all(torch.equal(a, b) for a, b in zip(before, learner.discriminators.parameters(), strict=True))


def test_the_mel_of_a_crop_is_the_mel_of_the_whole_wave_at_that_place() -> None:
    wave = torch.randn(1, 32 * 40)
    inner, x = module().pair(wave[:, 32 * 5 : 32 * 25])
    assert torch.equal(inner, wave[:, 32 * 7 : 32 * 23])
    torch.testing.assert_close(x, SPEC.log_mel(wave)[:, 7:23], rtol=1e-4, atol=1e-4)


def test_a_pull_follows_the_gradients_whatever_their_size() -> None:
    wave = torch.randn(2, 50, requires_grad=True)
    torch.testing.assert_close(unit_gradient(1e-6 * wave.square().sum(), wave), wave.detach() / wave.norm())
    assert unit_gradient((0 * wave).sum(), wave).eq(0).all()


def test_a_louder_copy_is_as_far_at_every_scale_as_its_gain() -> None:
    wave = torch.randn(1, 8000) * 0.3
    assert MultiScaleMelLoss(8000)(wave, wave) == 0
    assert float(MultiScaleMelLoss(8000)(wave, 2 * wave)) == pytest.approx(np.log(2), rel=1e-3)


def test_every_judge_hears_every_part_of_the_wave() -> None:
    judges = Discriminators(periods=(2, 3, 5), resolutions=(128, 64), width=4, period_growth=(1, 2))
    wave = torch.randn(1, 601, requires_grad=True)
    for logits, features in judges(wave):
        assert len(features) >= 2
        (gradient,) = torch.autograd.grad(logits.sum(), wave, retain_graph=True)
        assert gradient[0, :8].abs().sum() > 0 and gradient[0, -8:].abs().sum() > 0


def test_the_learning_rate_falls_from_one_to_nothing() -> None:
    assert half_cosine(0) == 1 and half_cosine(0.5) == pytest.approx(0.5) and half_cosine(1) == half_cosine(2) == 0


def test_crops_are_a_function_of_seed_and_number_and_never_clip(speech: Path) -> None:
    bank = WaveBank.decode(audio_paths(str(speech)), 8000, None)
    crops = RandomCrops(bank, 700, (0.0, 30.0), seed=3)
    assert torch.equal(crops[5], RandomCrops(bank, 700, (0.0, 30.0), seed=3)[5])
    assert not torch.equal(crops[5], crops[6])
    assert max(float(crops[i].abs().max()) for i in range(20)) <= 0.9901
    assert RandomCrops(bank, 9000, (0.0, 0.0), seed=0)[0].shape == (9000,)


def test_epochs_number_their_crops_on() -> None:
    sampler = EpochSampler(4)
    sampler.set_epoch(2)
    assert list(sampler) == [8, 9, 10, 11]


def test_held_out_clips_and_excluded_speakers_are_not_trained_on(speech: Path, tmp_path: Path) -> None:
    waves = data(speech, cache=str(tmp_path / "cache"))
    waves.setup()
    assert (len(waves.train_waves), len(waves.held_out)) == (4, 1)  # type: ignore[arg-type]
    again = data(speech, cache=str(tmp_path / "cache"))
    again.setup()
    assert torch.equal(again.held_out[0], waves.held_out[0])  # type: ignore[index]


def test_a_cut_manifest_names_its_recordings_once(speech: Path, tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse", reason="the train extra is not installed")
    recordings = [lhotse.Recording.from_file(speech / f"{i}.wav") for i in (2, 0)]
    cuts = [r.to_cut() for r in recordings] + [recordings[0].to_cut()]
    lhotse.CutSet.from_cuts([c.with_id(f"c{i}") for i, c in enumerate(cuts)]).to_file(tmp_path / "cuts.jsonl.gz")
    assert audio_paths(str(tmp_path)) == [speech / "2.wav", speech / "0.wav"]


def test_a_place_without_a_manifest_says_what_to_give(tmp_path: Path, speech: Path) -> None:
    with pytest.raises(FmAudioError, match="manifest"):
        audio_paths(str(tmp_path / "nowhere"))
    with pytest.raises(FmAudioError, match="no clips"):
        audio_paths(str(speech), frozenset({"anna", "whisper"}))


def test_unreadable_clips_are_counted_and_left_out(speech: Path, caplog: pytest.LogCaptureFixture) -> None:
    (speech / "0.wav").write_text("not audio")
    assert len(WaveBank.decode(audio_paths(str(speech)), 8000, None)) == 5
    assert "1 of 6 clips" in caplog.text
