"""An item's noise belongs to its seed and its length, and to nothing else."""

from __future__ import annotations

import torch

from fm_audio.flow.noise import noise, noise_like


def test_alone_padded_and_reordered_noise_is_the_same() -> None:
    batch = noise([3, 8, 5], [4, 6, 2], 9, 5)
    turned = noise([5, 3, 8], [2, 4, 6], 6, 5)
    for i, (seed, length) in enumerate([(3, 4), (8, 6), (5, 2)]):
        alone = noise([seed], [length], length, 5)
        assert torch.equal(batch[i, :length], alone[0]) and not batch[i, length:].any()
        assert torch.equal(turned[(i + 1) % 3, :length], alone[0])


def test_seeds_differ_and_do_not_touch_the_global_state() -> None:
    before = torch.get_rng_state()
    x = noise([1, 2], [50, 50], 50, 20)
    assert torch.equal(before, torch.get_rng_state())
    assert abs(float((x[0] * x[1]).mean())) < 0.1 and abs(float(x.std()) - 1) < 0.05


def test_training_noise_follows_its_generator() -> None:
    x = torch.zeros(2, 3, 4, dtype=torch.bfloat16)
    a, b = (noise_like(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b) and a.dtype == torch.float32
