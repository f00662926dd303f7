"""The likeliest path is the best of all, clips without durations find their own, and the reader learns which phone is heard."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fm_audio.audio import Audio, AudioSpec
from fm_audio.data.batches import SpeechBatch
from fm_audio.data.perturb import SpectralMasking, VoicePerturbation
from fm_audio.data.text.arpabet import Arpabet
from fm_audio.data.text.characters import Characters
from fm_audio.evaluation.reading import Reading
from fm_audio.tasks import phone_reader
from fm_audio.tasks.phone_reader import CLASSES, SILENCE, PhoneReader, optional_path
from fm_audio.types import FmAudioError, length_mask

SPEC = AudioSpec(sample_rate=8_000, n_fft=256, hop_samples=128, window_samples=256, bands=10)


def allowed(path: tuple[int, ...], optional: list[bool]) -> bool:
    s = len(optional)
    steps = all(0 <= b - a <= 2 and (b - a < 2 or optional[a + 1]) for a, b in itertools.pairwise(path))
    starts = path[0] == 0 or path[0] == 1 and optional[0]
    return steps and starts and (path[-1] == s - 1 or path[-1] == s - 2 and optional[-1])


def ways(seed: int) -> tuple[np.ndarray, list[bool], list[tuple[int, ...]]]:
    """Log likelihoods (k s), which states are optional, and all ways through them."""
    draw = np.random.default_rng(seed)
    s = int(draw.integers(1, 6))
    k = int(draw.integers(s, 8))
    optional = [bool(draw.integers(2)) for _ in range(s)]
    for i in range(1, s):
        optional[i] = optional[i] and not optional[i - 1]
    if all(optional):
        optional[0] = False
    log_p = draw.normal(size=(k, s))
    return log_p, optional, [p for p in itertools.product(range(s), repeat=k) if allowed(p, optional)]


@pytest.mark.parametrize("seed", range(25))
def test_no_other_path_is_likelier(seed: int) -> None:
    log_p, optional, paths = ways(seed)
    best = max(paths, key=lambda p: sum(log_p[j, state] for j, state in enumerate(p)))
    assert tuple(optional_path(log_p, optional)) == best


def test_what_does_not_fit_is_said() -> None:
    assert optional_path(np.zeros((2, 3)), [False, True, False]).tolist() == [0, 2]
    with pytest.raises(FmAudioError, match="3 phones do not fit into 2 tokens"):
        optional_path(np.zeros((2, 3)), [False] * 3)


def batch(told: bool) -> SpeechBatch:
    """Two clips in which each symbol sounds in a band of its own, three tokens long; frames of silence lie between words."""
    torch.manual_seed(0)
    front_end = Arpabet()
    encoded = [front_end.encode(text) for text in ("bat tab", "tab")]
    lengths = [len(e) for e in encoded]
    symbols = torch.zeros(2, max(lengths), dtype=torch.long)
    durations = torch.zeros_like(symbols)
    mels = torch.full((2, 6 * max(lengths), 10), SPEC.floor)
    for i, e in enumerate(encoded):
        symbols[i, : len(e)] = torch.tensor(e.ids)
        durations[i, : len(e)] = 6
        for j, name in enumerate(e.symbols):
            band = {"B": 1, "AE1": 4, "T": 8}.get(name)
            if band is not None:
                mels[i, 6 * j : 6 * j + 6, band] = 2.0
    has = torch.full((2,), told)
    return SpeechBatch(
        ["a", "b"], ["bat tab", "tab"], ["x", "x"], symbols, length_mask(torch.tensor(lengths)), mels,
        length_mask(6 * torch.tensor(lengths)), durations * told, has,
    )  # fmt: skip


def reader() -> PhoneReader:
    torch.manual_seed(0)
    return PhoneReader(SPEC, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0)


def test_it_learns_and_then_lays_clips_along_what_it_hears() -> None:
    net = reader()
    optimizer = torch.optim.Adam(net.parameters(), 3e-2)
    for _ in range(60):
        losses = net.loss(batch(True))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert float(losses["error"]) < 0.05 and int(net.batches) == 60
    net.eval()
    itself: Any = net.loss(batch(False))
    assert float(itself["error"]) < 0.1 and int(net.batches) == 60, "its own alignment is what it was taught"
    log_p, seen = net(batch(True).mel, batch(True).mask)
    told = net._told(batch(True), log_p.shape[1])
    assert (log_p.argmax(-1) == told)[seen].float().mean() > 0.95
    assert CLASSES[int(told[0, 4])] == "B" and int(told[0, 0]) == SILENCE


def test_untaught_it_leaves_them_out() -> None:
    both = batch(True)
    both.has_durations[1] = False
    net = reader().eval()
    before = float(net.loss(both)["loss"])
    net.batches.fill_(phone_reader.ITSELF_AFTER)
    assert float(net.loss(both)["loss"]) != before
    first = SpeechBatch(**{**vars(both), "mel": both.mel.clone()})
    first.mel[1] = 5.0
    net.batches.zero_()
    assert float(net.loss(first)["loss"]) == pytest.approx(before, rel=1e-5)


def test_silences_may_be_left_out_and_other_front_ends_are_refused() -> None:
    sequence, optional = reader().sequence(Arpabet().encode("bat, tab.").ids)
    assert [CLASSES[c] for c in sequence] == ["", "B", "AE", "T", "", "T", "AE", "B", ""]
    assert optional == [c == SILENCE for c in sequence]
    with pytest.raises(FmAudioError, match="Characters has not all of CMUdict's phones"):
        PhoneReader(SPEC, Characters("abc"))


class Ears:
    """A listener of three numbers a state."""

    channels = 3

    def __str__(self) -> str:
        return "ears"

    def hear(self, audio: Audio, device: torch.device | str = "cpu") -> torch.Tensor:
        k = max(1, round(audio.seconds * phone_reader.STATES_HZ))
        return torch.arange(3.0 * k, device=device).view(k, 3)


def test_states_of_a_listener_are_read_where_each_token_lies() -> None:
    net = PhoneReader(SPEC, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0, listener=Ears())
    heard, mask = torch.randn(2, 40, 3), length_mask(torch.tensor([40, 21]))
    found = net._beside(torch.zeros(2, 49, 10), heard, mask)
    middles = (np.arange(25) + 0.5) * 2 * 128 / 8000
    for i, states in enumerate((40, 21)):
        for channel in range(3):
            at = np.interp(middles, (np.arange(states) + 0.5) / 50, heard[i, :states, channel].numpy())
            assert np.allclose(found[i, :, channel].numpy(), at, atol=1e-5)


def test_a_reader_with_a_listener_asks_for_what_it_hears() -> None:
    net = PhoneReader(SPEC, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0, listener=Ears())
    given = batch(True)
    with pytest.raises(FmAudioError, match="listens through ears, and the data does not"):
        net.loss(given)
    states = [torch.randn(2, 30, 3) for _ in range(2)]
    losses = [float(net.loss(replace(given, heard=h, heard_mask=torch.ones(2, 30, dtype=torch.bool)))["loss"]) for h in states]
    assert losses[0] != losses[1]
    with pytest.raises(FmAudioError, match="ears listens to samples"):
        PhoneReader(SPEC, Arpabet(), 16, 1, 2, 2, 3, perturb=VoicePerturbation(), listener=Ears())


def test_reading_lets_the_listener_hear_the_sound_without_digital_silence() -> None:
    spec = AudioSpec(sample_rate=8_000, n_fft=256, hop_samples=128, window_samples=256, bands=10)
    net = PhoneReader(spec, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0, listener=Ears()).eval()
    noise = 0.1 * np.random.default_rng(0).normal(size=128 * 80).astype(np.float32)
    padded = np.concatenate([noise, np.zeros(128 * 40, np.float32)])
    whole, cut = (Reading(net).hear(Audio(samples, 8_000), "bat tab").values for samples in (padded, noise))
    assert whole.keys() == cut.keys() and abs(whole["read_all"] - cut["read_all"]) < 0.05


def test_voices_are_perturbed_and_holes_made_in_training_alone() -> None:
    torch.manual_seed(0)
    changing = PhoneReader(
        SPEC, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0, perturb=VoicePerturbation(share=1.0), masking=SpectralMasking(3, 1, 2, 1)
    )
    plain = reader()
    plain.load_state_dict(changing.state_dict())
    draw = torch.Generator().manual_seed(0)
    assert float(changing.loss(batch(True), draw)["loss"]) != float(changing.loss(batch(True), draw)["loss"])
    told = float(plain.eval().loss(batch(True))["loss"])
    assert float(changing.eval().loss(batch(True), draw)["loss"]) == pytest.approx(told, rel=1e-6)


def test_damage_is_a_class_of_its_own_that_tells_no_alignment() -> None:
    torch.manual_seed(0)
    net = PhoneReader(SPEC, Arpabet(), 16, 1, 2, 2, 3, dropout=0.0, damage=True)
    given = batch(True)
    damaged = torch.zeros_like(given.mask)
    damaged[0, 12:18] = True  # where "AE1" of "bat" is said
    broken = replace(given, mel=given.mel.masked_fill(damaged[..., None], 3.0), damaged=damaged)
    optimizer = torch.optim.Adam(net.parameters(), 3e-2)
    for _ in range(60):
        losses = net.loss(broken)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert float(losses["error"]) < 0.05
    found = net.eval()(broken.mel, broken.mask)[0][0].argmax(-1)
    assert found[6:9].tolist() == [len(CLASSES)] * 3 and len(CLASSES) not in found[:6].tolist() + found[9:18].tolist()
    assert float(net.loss(replace(broken, has_durations=torch.zeros(2, dtype=torch.bool)))["error"]) < 0.1
    assert float(reader().loss(broken)["loss"]) == float(reader().loss(replace(broken, damaged=None))["loss"]), "none the wiser"
